//! Who is compared: every process, set up and answering, with what it took to start and to rest.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::calls::calls;
use super::point::{Point, points};
use super::stores::Store;
use crate::callers::{Callers, Pace};
use crate::machine::Machine;
use crate::nginx;
use crate::options::{Answers, Options};
use crate::plot::grouped;
use crate::process::Running;
use crate::say::note;
use crate::subject::Subject;
use crate::tollgate::{self, Serving, add_endpoint, add_tree, add_unlimited, target};

/// Sent to those who know no keys, so that all requests are alike.
const NO_KEY: &str = "k-0000000000000000000000000000000000000";
/// Starts of a gateway with many groups, of which the median counts.
const STARTS: usize = 3;
/// Long enough that everything that is loaded at the first calls is there.
const FIRST_CALLS: Duration = Duration::from_millis(100);

/// What a side is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Straight,
    Nginx,
    /// A key, and no limit.
    Bare,
    /// Five levels, limits at each, in two trees.
    Full,
    /// The same among so many groups.
    Many(usize),
    /// Another binary, full: the first, the second.
    Other(usize),
    /// The first nginx once more.
    Again,
}

#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) nginx: PathBuf,
    pub(super) tollgate: PathBuf,
    pub(super) others: Vec<(String, PathBuf)>,
}

#[derive(Debug)]
pub(super) struct Side {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) process: Running,
    addr: SocketAddr,
    /// Where streams are asked for.
    streams: SocketAddr,
    keys: Vec<String>,
    pub(super) memory: Memory,
    /// From the start of the process until it was ready; the last is the one that serves.
    pub(super) starts: Vec<Duration>,
    /// How long its store took to be filled, if that was now.
    pub(super) filled_in: Option<Duration>,
}

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Ready, before any call.
    pub(super) rest: u64,
    /// After the first calls, when there is a token count behind it.
    pub(super) counted: u64,
    /// Right after a burst on 512 connections.
    pub(super) loaded: Option<u64>,
    /// The most it ever had.
    pub(super) peak: u64,
}

#[derive(Debug)]
pub(super) struct Sides {
    pub(super) machine: Machine,
    all: Vec<Side>,
}

impl Sides {
    /// In the order in which they have their turns.
    pub(super) fn start(
        options: &Options,
        machine: Machine,
        (binaries, stores): (&Binaries, &[Store]),
        model: Subject,
    ) -> anyhow::Result<Sides> {
        let upstream = model.addr;
        let mut all = vec![straight(model)];
        all.push(nginx_side("nginx", Role::Nginx, binaries, (machine, upstream))?);
        all.push(bare(binaries, machine, upstream)?);
        all.push(full(("tollgate full".to_owned(), Role::Full), &binaries.tollgate, (machine, upstream))?);
        for (nth, (name, binary)) in binaries.others.iter().enumerate() {
            all.push(full((name.clone(), Role::Other(nth)), binary, (machine, upstream))?);
        }
        for store in stores {
            let starts = if options.rounds == 1 { 1 } else { STARTS };
            all.push(many(store, starts, &binaries.tollgate, (machine, upstream))?);
        }
        all.push(nginx_side("nginx again", Role::Again, binaries, (machine, upstream))?);
        let mut sides = Sides { machine, all };
        sides.rest_and_count(options)?;
        Ok(sides)
    }

    /// Those who take part at this point.
    pub(super) fn at<'a>(&'a self, point: &Point) -> Vec<&'a Side> {
        let takes_part = |side: &&Side| point.with_stores || !matches!(side.role, Role::Many(_));
        self.all.iter().filter(takes_part).collect()
    }

    /// How much memory that one had under load.
    pub(super) fn loaded(&mut self, name: &str, kib: u64) {
        for side in self.all.iter_mut().filter(|side| side.name == name) {
            side.memory.loaded = side.memory.loaded.max(Some(kib));
        }
    }

    /// How much memory each has before and after its first calls.
    fn rest_and_count(&mut self, options: &Options) -> anyhow::Result<()> {
        let first = points(options).into_iter().next().context("nothing to measure")?;
        let whole = Point { answers: Answers::Whole, gap_ms: 0, ..first };
        for side in &mut self.all {
            side.memory.rest = side.process.settled_consumption()?.rss_kib;
            let calls = side.calls(&whole)?;
            calls.connect(1)?.run(Pace::Closed, FIRST_CALLS)?;
            side.memory.counted = side.process.settled_consumption()?.rss_kib;
        }
        Ok(())
    }

    /// Ends them all, after a last look at how much memory they ever had.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<Kept>> {
        for side in &mut self.all {
            side.memory.peak = side.process.consumption()?.peak_kib;
        }
        let kept = self.all.into_iter().map(|side| Kept {
            name: side.name,
            role: side.role,
            memory: side.memory,
            starts: side.starts,
            filled_in: side.filled_in,
        });
        Ok(kept.collect())
    }
}

/// What is known of a side when its process has ended.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) memory: Memory,
    pub(super) starts: Vec<Duration>,
    pub(super) filled_in: Option<Duration>,
}

impl Side {
    pub(super) fn calls(&self, point: &Point) -> anyhow::Result<Callers> {
        let addr = match point.answers {
            Answers::Whole => self.addr,
            Answers::Streamed => self.streams,
        };
        calls(point, addr, &self.keys).with_context(|| format!("through {}", self.name))
    }
}

fn straight(model: Subject) -> Side {
    let Subject { addr, process, .. } = model;
    side(("straight".to_owned(), Role::Straight), process, [addr, addr])
}

fn nginx_side(
    name: &str,
    role: Role,
    binaries: &Binaries,
    (machine, upstream): (Machine, SocketAddr),
) -> anyhow::Result<Side> {
    let (Subject { addr, process, .. }, streams) = nginx::start(name, &binaries.nginx, machine, upstream)?;
    Ok(side((name.to_owned(), role), process, [addr, streams]))
}

fn bare(binaries: &Binaries, machine: Machine, upstream: SocketAddr) -> anyhow::Result<Side> {
    let files = tempfile::tempdir()?;
    let serving = tollgate::serve(&binaries.tollgate, machine, files.path())?;
    add_endpoint(&serving.server(), &target(upstream))?;
    let key = add_unlimited(&serving.server())?;
    Ok(gateway(("tollgate bare".to_owned(), Role::Bare), serving, files, vec![key]))
}

fn full(
    named: (String, Role),
    binary: &Path,
    (machine, upstream): (Machine, SocketAddr),
) -> anyhow::Result<Side> {
    let files = tempfile::tempdir()?;
    let serving = tollgate::serve(binary, machine, files.path())?;
    add_endpoint(&serving.server(), &target(upstream))?;
    let keys = ["a", "b"].map(|tree| add_tree(&serving.server(), tree));
    let keys = keys.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(gateway(named, serving, files, keys))
}

/// Its model server has another address in each run, so the endpoint is made now; then it starts anew.
fn many(
    store: &Store,
    starts: usize,
    binary: &Path,
    (machine, upstream): (Machine, SocketAddr),
) -> anyhow::Result<Side> {
    let groups = grouped(u64::try_from(store.groups)?);
    let name = format!("tollgate full, {groups} groups");
    note(&format!("starting {name}"));
    let files = store.copy()?;
    let first = tollgate::serve(binary, machine, files.path()).context(name.clone())?;
    add_endpoint(&first.server(), &target(upstream))?;
    drop(first);
    let mut took = Vec::new();
    for _ in 1..starts {
        took.push(tollgate::serve(binary, machine, files.path())?.took);
    }
    let serving = tollgate::serve(binary, machine, files.path())?;
    let mut side = gateway((name, Role::Many(store.groups)), serving, files, store.keys.clone());
    took.append(&mut side.starts);
    Ok(Side { starts: took, filled_in: store.filled_in, ..side })
}

fn gateway(named: (String, Role), serving: Serving, files: tempfile::TempDir, keys: Vec<String>) -> Side {
    let Serving { mut process, addr, took } = serving;
    process.keep(files);
    Side { keys, starts: vec![took], ..side(named, process, [addr, addr]) }
}

fn side((name, role): (String, Role), process: Running, [addr, streams]: [SocketAddr; 2]) -> Side {
    let (memory, keys) = (Memory::default(), vec![NO_KEY.to_owned()]);
    Side { name, role, process, addr, streams, keys, memory, starts: Vec::new(), filled_in: None }
}
