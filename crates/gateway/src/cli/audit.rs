//! `tollgate audit`: does everything that is kept follow from the ledger?

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use storage::{Audit, Difference, audit_at_rest};

use super::output::{plain, say, say_json};
use super::{Usage, environment_variables, machine};
use crate::config;
use crate::control::Request;

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let config =
        config::load(args.config.as_deref(), environment_variables()).map_err(|e| Usage(format!("{e:#}")))?;
    crate::log::start(&config.log);
    let audit = match machine::ask(&args.data_dir, &Request::Audit).await? {
        Some(answer) => serde_json::from_value(answer).context("the gateway's answer is not understood")?,
        None => at_rest(&args.data_dir).await?,
    };
    if args.json {
        say_json(&serde_json::to_value(&audit)?)?;
    } else {
        show(&audit)?;
    }
    match audit.count() {
        0 => Ok(()),
        1 => bail!("1 difference"),
        count => bail!("{count} differences"),
    }
}

async fn at_rest(dir: &Path) -> anyhow::Result<Audit> {
    let owned = dir.to_owned();
    let audited = tokio::task::spawn_blocking(move || audit_at_rest(&owned)).await?;
    audited.map_err(|error| machine::explained(error, dir))
}

fn show(audit: &Audit) -> anyhow::Result<()> {
    for Difference { what, place, expected, found } in &audit.differences {
        say(&plain(&format!("{what}: {place}: expected {expected}, found {found}")))?;
    }
    if audit.more > 0 {
        say(&format!("and {} more", audit.more))?;
    }
    for what in &audit.not_compared {
        say(&plain(&format!("not compared: {what}")))?;
    }
    let named = u64::try_from(audit.not_compared.len()).unwrap_or(u64::MAX);
    if audit.skipped > named {
        say(&format!("not compared: {} more", audit.skipped.saturating_sub(named)))?;
    }
    let found = if audit.count() == 0 { "no difference" } else { "differences found" };
    say(&format!("{} entries, {} sums, events and counters: {found}", audit.entries, audit.compared))
}
