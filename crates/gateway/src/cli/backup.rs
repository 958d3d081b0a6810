//! `tollgate backup`: a copy of everything, with the gateway running or not.

use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use storage::{BackupError, BackupOrder, Manifest, backup_at_rest};

use super::output::say;
use super::{Usage, environment_variables, machine};
use crate::clock::raw_now;
use crate::config;
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The directory to make: not there yet, or empty. The gateway has to be able to write it.
    dir: PathBuf,
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
    /// Copy the master key too. Whoever has both can read every secret: keep such a copy as safe as the machine.
    #[arg(long)]
    with_master_key: bool,
}

pub(super) async fn run(args: BackupArgs) -> anyhow::Result<()> {
    let config =
        config::load(args.config.as_deref(), environment_variables()).map_err(|e| Usage(format!("{e:#}")))?;
    crate::log::start(&config.log);
    let BackupArgs { dir, data_dir, with_master_key, .. } = args;
    // The gateway may have been started elsewhere.
    let to = std::path::absolute(&dir).with_context(|| format!("there is no directory {}", dir.display()))?;
    let request = Request::Backup { to: to.clone(), with_master_key };
    let manifest: Manifest = match machine::ask(&data_dir, &request).await? {
        Some(answer) => serde_json::from_value(answer).context("the gateway's answer is not understood")?,
        None => {
            let program = env!("CARGO_PKG_VERSION").to_owned();
            let order = BackupOrder { to, with_master_key, program, now_ms: raw_now().wall_ms };
            let from = data_dir.clone();
            let copied = tokio::task::spawn_blocking(move || backup_at_rest(&from, &order)).await?;
            copied.map_err(|error| {
                if let BackupError::Open(error) = error {
                    machine::explained(error, &data_dir)
                } else {
                    anyhow::Error::new(error)
                }
            })?
        }
    };
    let bytes = manifest.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    say(&format!("{}: {} files, {bytes} bytes", dir.display(), manifest.files.len()))?;
    say_reached(&manifest)?;
    let key = if with_master_key {
        "the master key is in it"
    } else {
        "the master key is not in it; keep it apart"
    };
    say(key)
}

/// Says how far a copy goes.
pub(super) fn say_reached(manifest: &Manifest) -> anyhow::Result<()> {
    say(&format!(
        "made at {}; the last call of the ledger ended at {}",
        time(manifest.at_ms),
        time(manifest.recorded_ms)
    ))?;
    for reached in &manifest.reached {
        let (workspace, sequence, at) = (reached.workspace, reached.sequence, time(reached.at_ms));
        say(&format!("workspace {workspace}: events up to sequence {sequence}, {at}"))?;
    }
    Ok(())
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().filter(|ms| *ms > 0).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "no time".to_owned(), |at| at.to_string())
}
