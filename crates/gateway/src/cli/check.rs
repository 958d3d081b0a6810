//! `tollgate check`: is everything sound, and what would a start do? Changes nothing.

use std::path::PathBuf;

use anyhow::bail;
use storage::Store;

use super::environment_variables;
use super::output::say;
use crate::config;
use crate::node::Tls;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let config = config::load(args.config.as_deref(), environment_variables())?;
    say(&format!("configuration: sound; callers would connect to {}", config.server.listen))?;
    if Tls::of(&config)?.is_some() {
        say("TLS: the certificate and its key are sound and belong together")?;
    }
    let found = Store::inspect(&args.data_dir)?;
    let dir = args.data_dir.display();
    if !found.exists {
        return say(&format!("store: none in {dir}; a start would make one, and an operator's key"));
    }
    if found.locked {
        let holder = found.locked_by.map_or_else(String::new, |pid| format!(" {pid}"));
        say(&format!("store: in use by process{holder}"))?;
    }
    match (found.schema_found, found.schema_known) {
        (found, known) if found > known => {
            bail!("the store in {dir} has version {found}, this program knows {known}; use a newer program")
        }
        (found, known) if found < known => say(&format!(
            "store: version {found}; a start would copy it to {dir}/before-{known} and migrate it to {known}"
        )),
        (found, _) => say(&format!("store: version {found}; nothing to migrate")),
    }
}
