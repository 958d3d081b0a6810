//! `tollgate workspace recover`: a new operator's key, for whoever holds the machine itself.
//!
//! The key goes to standard output and nowhere else; that it was minted goes to the log.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use limits::Engine;
use storage::{OpenError, Store};

use super::output::say;
use super::{Usage, environment_variables, machine, serve};
use crate::clock::SystemClock;
use crate::control::Request;
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
    if let Some(answer) = machine::ask(&args.data_dir, &Request::Recover).await? {
        return say(answer.as_str().context("the gateway's answer is not understood")?);
    }
    if found.locked {
        return Err(machine::explained(OpenError::Locked { pid: found.locked_by }, &args.data_dir));
    }
    let store = serve::open(&config, &args.data_dir, &Arc::new(Engine::new()))?;
    let (clock, _) = SystemClock::start(store.last_recorded_ms());
    let key = keys::recover(&store, &clock).await?;
    store.close();
    say(&key)
}
