//! `tollgate restore`: a backup becomes a data directory.

use std::path::PathBuf;

use storage::restore;

use super::backup::say_reached;
use super::output::say;
use crate::keys::MASTER_KEY_VARIABLE;

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    dir: PathBuf,
    /// The data directory to make: not there yet, or empty.
    #[arg(long)]
    data_dir: PathBuf,
}

pub(super) async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { dir, data_dir } = args;
    let to = data_dir.clone();
    let manifest = tokio::task::spawn_blocking(move || restore(&dir, &to)).await??;
    say(&format!("{}: ledger and counters go back to this backup", data_dir.display()))?;
    say_reached(&manifest)?;
    if manifest.files.iter().any(|file| file.path.starts_with("journal/")) {
        say("the first start adds what its journal holds beyond that")?;
    }
    if manifest.has_master_key {
        return say("the master key is in it");
    }
    say(&format!(
        "the master key is not in it: put master.key into {}, or set {MASTER_KEY_VARIABLE}, before the first start",
        data_dir.display()
    ))
}
