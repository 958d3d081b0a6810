//! `tollgate import`: groups and keys in bulk, with the gateway stopped; for migrations, and for large tests.
//!
//! Lines are read and checked on one thread while the batch before is written on another. What is in stays, whatever is
//! wrong with a later line, and a line that is in already is passed over: a file may be imported again.
//! Begins at [`run`]; a file is read in `lines`.

mod lines;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use domain::{Clock as _, Rejection, Snapshot, Workspace, WorkspaceId};
use limits::Engine;
use storage::{OpenError, Store};
use tokio::sync::mpsc;

use self::lines::{Batch, Lines};
use super::output::{plain, say};
use super::{Usage, environment_variables, serve};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::node::admin_settings;

/// Batches that wait to be written while one is: reading is faster.
const BATCHES_AHEAD: usize = 1;
/// Lines between two words on how far it is.
const TELL_EVERY: u64 = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// A JSON object on each line, `{"group": …}` or `{"key": …}` (`-`: standard input).
    file: PathBuf,
    /// Whose they are, by id or name; may be left out where there is one workspace.
    #[arg(long)]
    workspace: Option<String>,
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
}

/// How far it is.
#[derive(Debug, Default)]
struct Tally {
    groups: u64,
    keys: u64,
    already_there: u64,
    told: u64,
}

/// What is wrong with the first line that is not in.
#[derive(Debug)]
struct Fault {
    line: u64,
    message: String,
}

pub(super) async fn run(args: ImportArgs) -> anyhow::Result<()> {
    let config =
        config::load(args.config.as_deref(), environment_variables()).map_err(|e| Usage(format!("{e:#}")))?;
    crate::log::start(&config.log);
    let lines = Lines::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let store = open(&config, &args.data_dir)?;
    let mut tally = Tally::default();
    let imported = import(&store, &config, (lines, args.workspace.as_deref()), &mut tally).await;
    store.close();
    let Tally { groups, keys, already_there, .. } = tally;
    say(&format!("groups added: {groups}, keys added: {keys}, there already: {already_there}"))?;
    match imported? {
        None => Ok(()),
        Some(Fault { line, message }) => bail!(
            "{}, line {line}: {} The lines before it are in; mend this one, and import the file again.",
            lines::name(&args.file),
            plain(&message)
        ),
    }
}

/// Opens the store of a gateway that does not run.
fn open(config: &Config, dir: &Path) -> anyhow::Result<Store> {
    let found = Store::inspect(dir)?;
    if !found.exists {
        bail!("there is no store in {}; name the one that serve uses, or start it once", dir.display());
    }
    if found.locked {
        return Err(in_use(found.locked_by, dir));
    }
    serve::open(config, dir, &Arc::new(Engine::new())).map_err(|error| match error.downcast_ref() {
        Some(OpenError::Locked { pid }) => in_use(*pid, dir),
        _ => error,
    })
}

fn in_use(pid: Option<u32>, dir: &Path) -> anyhow::Error {
    let holder = pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
    anyhow::anyhow!("{holder} serves from {}; stop it before an import", dir.display())
}

/// Brings in line after line, until one is at fault or there are no more.
async fn import(
    store: &Store,
    config: &Config,
    (lines, workspace): (Lines, Option<&str>),
    tally: &mut Tally,
) -> anyhow::Result<Option<Fault>> {
    let workspace = chosen(&store.snapshot(), workspace)?;
    let (clock, _) = SystemClock::start(store.last_recorded_ms());
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let (settings, vault) = (admin_settings(config), store.clone());
    let reading = std::thread::spawn(move || {
        lines.batches(&settings, vault.vault(), |batch| sender.blocking_send(batch).is_ok());
    });
    let mut fault = None;
    while let Some(Batch { additions, lines, fault: unread }) = batches.recv().await {
        let added = store.add_all(workspace, additions, clock.now()).await;
        let added = added.context("cannot write the store; what was imported before stays")?;
        let refused = lines.get(usize::try_from(added.done())?).copied().zip(added.refused.as_ref());
        tally.count(&added);
        fault = refused.map(|(line, rejection)| Fault { line, message: words(rejection) }).or(unread);
        if fault.is_some() {
            break;
        }
    }
    // Once a line was refused nobody waits for the end of it: it may still wait for the next line of standard input.
    if fault.is_none() && reading.join().is_err() {
        bail!("reading ended by a fault; what was imported before stays");
    }
    Ok(fault)
}

fn words(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Invalid(why) | Rejection::Conflict(why) => why.to_string(),
        Rejection::NotFound(why) => (*why).to_owned(),
    }
}

/// The workspace that is meant.
fn chosen(snapshot: &Snapshot, wanted: Option<&str>) -> anyhow::Result<WorkspaceId> {
    let is_meant = |workspace: &Workspace| {
        wanted.is_none_or(|wanted| *workspace.name == *wanted || workspace.id.to_string() == wanted)
    };
    let meant: Vec<_> = snapshot.workspaces().filter(|workspace| is_meant(workspace)).take(2).collect();
    match (meant.as_slice(), wanted) {
        ([one], _) => Ok(one.id),
        ([], wanted) => {
            bail!("no workspace has the id or name {}; see `tollgate workspace list`", wanted.unwrap_or("-"))
        }
        (_, None) => bail!("there are several workspaces; say whose these are by --workspace"),
        (_, Some(name)) => bail!("several workspaces have the name {name}; give the id of one"),
    }
}

impl Tally {
    fn count(&mut self, added: &storage::Additions) {
        self.groups = self.groups.saturating_add(added.groups);
        self.keys = self.keys.saturating_add(added.keys);
        self.already_there = self.already_there.saturating_add(added.already_there);
        let done = self.groups.saturating_add(self.keys).saturating_add(self.already_there);
        if done.saturating_sub(self.told) >= TELL_EVERY {
            self.told = done;
            let Self { groups, keys, already_there, .. } = self;
            tracing::info!(groups, keys, already_there, "importing");
        }
    }
}
