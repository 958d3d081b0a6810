//! `tollgate workspace recover`: a new operator's key, for whoever holds the machine itself.
//!
//! The key goes to standard output and nowhere else; that it was minted goes to the log.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use limits::Engine;
use storage::Store;

use super::output::say;
use super::{Usage, environment_variables, serve};
use crate::clock::SystemClock;
use crate::{config, keys};

#[derive(Debug, clap::Args)]
pub(super) struct RecoverArgs {
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
}

pub(super) async fn run(args: RecoverArgs) -> anyhow::Result<()> {
    let config =
        config::load(args.config.as_deref(), environment_variables()).map_err(|e| Usage(format!("{e:#}")))?;
    crate::log::start(&config.log);
    let found = Store::inspect(&args.data_dir)?;
    if !found.exists {
        bail!("there is no store in {}; name the one that serve uses", args.data_dir.display());
    }
    if found.locked {
        let holder = found.locked_by.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
        bail!("{holder} serves from {}; stop it first", args.data_dir.display());
    }
    let store = serve::open(&config, &args.data_dir, &Arc::new(Engine::new()))?;
    let (clock, _) = SystemClock::start(store.last_recorded_ms());
    let key = keys::recover(&store, &clock).await?;
    store.close();
    say(&key)
}
