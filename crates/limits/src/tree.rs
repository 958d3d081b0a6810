//! The counters of one root or one workspace, and the one short lock under which calls check and charge them.
//!
//! Two locks. Binding, reading and sweeping take the *directory* first and keep it while they plan, allocate and free;
//! under the *state* lock they only exchange what is ready. A call takes the state lock alone, so nothing that grows
//! with the number of counters ever stands in its way.

mod directory;
mod slab;
mod survey;

use std::fmt;
use std::sync::Arc;

use domain::{Cycle, Now, Version};

use crate::counter::Counter;
use crate::lock::{Mutex, MutexGuard, Published, lock};
use crate::moment::Moment;
use crate::path::{CounterKey, Epoch, Path, PathLimit, PathSpec};
use crate::tree::directory::{Directory, Station, Work};
use crate::tree::slab::Slab;
pub(crate) use crate::tree::survey::survey;

/// The counters of one root or one workspace.
#[derive(Default)]
pub(crate) struct Tree {
    directory: Mutex<Directory>,
    state: Mutex<State>,
    /// The epoch of the state, for those who do not take its lock.
    published: Published,
}

/// A counter as a path remembers it: where it is, and which of all that have lived there it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) at: u32,
    pub(crate) tag: u32,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Paths bound at an older epoch are stale.
    epoch: Version,
    /// The latest reading of each clock that has been used under this lock.
    latest: Now,
    counters: Slab,
}

impl State {
    /// The time of this operation: never before that of an earlier one, whichever thread read its clock first. A late
    /// reading used as it is would charge a slot that another thread has already summed.
    #[inline]
    pub(crate) fn moment(&mut self, now: Now) -> Moment {
        Moment::at(self.pass(now))
    }

    /// Lets time go on to `now`, if that is later, and says what it is.
    #[inline]
    fn pass(&mut self, now: Now) -> Now {
        self.latest = Now {
            mono_ns: self.latest.mono_ns.max(now.mono_ns),
            wall_ms: self.latest.wall_ms.max(now.wall_ms),
        };
        self.latest
    }

    /// The wall clock was set back.
    pub(crate) fn lower_wall(&mut self, wall_ms: u64) {
        self.latest.wall_ms = self.latest.wall_ms.min(wall_ms);
    }

    /// The counter of a reservation, which keeps it from being given to another.
    #[inline]
    pub(crate) fn held(&mut self, handle: Handle) -> &mut Counter {
        self.counters.at(handle.at)
    }

    /// The counter, unless it was given back or has changed since the path was bound to it.
    #[inline]
    pub(crate) fn bound(&mut self, handle: Handle) -> Option<&mut Counter> {
        Some(self.counters.at(handle.at)).filter(|counter| counter.tag == handle.tag)
    }

    /// Does what binding asks. What is left over ends in `work`, to be dropped away from the lock.
    fn exchange(&mut self, work: &mut Work, moment: &Moment) -> Handle {
        let at = match work {
            Work::Keep { at } => *at,
            Work::Open { at, fresh, retires } => {
                if let Some(old) = *retires {
                    self.counters.at(old).expel_paths();
                }
                self.counters.at(*at).renew(fresh);
                *at
            }
            Work::Reshape { at, fresh } => {
                self.counters.at(*at).reshape(fresh, moment);
                *at
            }
            Work::Recycle { at, fresh } => {
                self.counters.at(*at).recycle(fresh, moment);
                *at
            }
        };
        Handle { at, tag: self.counters.at(at).tag }
    }
}

/// The time of an operation under the lock of a tree, and under that of its workspace if it is taken: for both of them
/// never before that of an earlier one.
#[inline]
pub(crate) fn moment(tree: &mut State, workspace: Option<&mut State>, now: Now) -> Moment {
    let Some(workspace) = workspace else { return tree.moment(now) };
    let latest = tree.pass(workspace.pass(now));
    workspace.moment(latest)
}

/// Whether one of both was edited since `epoch`. The workspace is asked without its lock, which most calls do not take:
/// whoever was told of an edit of it finds it all the same.
#[inline]
pub(crate) fn is_stale(epoch: Epoch, tree: &State, workspace: &Tree) -> bool {
    epoch.tree < tree.epoch || epoch.workspace < workspace.published.latest()
}

/// Binds each limit to its counter, opening those that are not there.
pub(crate) fn bind([tree, workspace]: [Arc<Tree>; 2], spec: PathSpec, now: Now) -> Path {
    let mut handles = tree.bind(&spec.limits, spec.epoch.tree, now);
    if !spec.shared.is_empty() {
        handles.extend(workspace.bind(&spec.shared, spec.epoch.workspace, now));
    }
    Path::new([tree, workspace], spec, &handles)
}

impl Tree {
    /// The lock of a call.
    #[inline]
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn bind(&self, limits: &[PathLimit], epoch: Version, now: Now) -> Vec<Handle> {
        let mut directory = lock(&self.directory);
        let have = directory.len();
        let mut works: Vec<Work> =
            limits.iter().map(|limit| directory.bind(limit, epoch, now.wall_ms)).collect();
        let chunks = Slab::chunks_missing(have, directory.len());
        let mut handles = Vec::with_capacity(works.len());

        let mut state = self.state();
        state.counters.grow(chunks);
        let moment = state.moment(now);
        for work in &mut works {
            handles.push(state.exchange(work, &moment));
        }
        drop(state);
        handles
    }

    /// Makes paths of an older epoch stale.
    pub(crate) fn publish(&self, epoch: Version) {
        let mut state = self.state();
        state.epoch = state.epoch.max(epoch);
        self.published.raise(epoch);
    }

    /// What a counter holds: used, pending, touched.
    pub(crate) fn read(&self, key: &CounterKey, since: Version, now: Now) -> Option<(u64, u64, bool)> {
        let directory = lock(&self.directory);
        let at = directory.find(key, since)?;
        let mut state = self.state();
        let moment = state.moment(now);
        Some(state.counters.at(at).read(&moment))
    }

    /// The time that the next operation would take for now.
    pub(crate) fn present(&self, now: Now) -> Now {
        self.state().moment(now).now()
    }

    /// Forgets what is used on a counter of periods, and answers how much that was, and when.
    pub(crate) fn reset(&self, key: &CounterKey, now: Now) -> Option<(u64, Now)> {
        let directory = lock(&self.directory);
        let at = directory.find(key, Version(0))?;
        let mut state = self.state();
        let moment = state.moment(now);
        let used = state.counters.at(at).reset(&moment)?;
        Some((used, moment.now()))
    }

    /// Uses what was forgotten once more.
    pub(crate) fn remember(&self, key: &CounterKey, used: u64, now: Now) {
        let directory = lock(&self.directory);
        let Some(at) = directory.find(key, Version(0)) else { return };
        let mut state = self.state();
        let moment = state.moment(now);
        state.counters.at(at).remember(used, &moment);
    }

    /// Lets the counter of a line go on in the periods of `cycle`.
    pub(crate) fn recycle(&self, key: &CounterKey, cycle: Cycle, epoch: Version, now: Now) {
        let mut directory = lock(&self.directory);
        let Some(at) = directory.edited(key, epoch) else { return };
        let mut fresh = Counter::of_periods(cycle, 0, now.wall_ms);
        let mut state = self.state();
        let moment = state.moment(now);
        state.counters.at(at).recycle(&mut fresh, &moment);
    }

    /// Ends the counter of a line that is no more, but for the calls in flight.
    pub(crate) fn retire(&self, key: &CounterKey) {
        let mut directory = lock(&self.directory);
        if let Some(at) = directory.retire(key) {
            self.state().counters.at(at).expel_paths();
        }
    }

    /// Gives back idle counters. Takes the lock of calls for one counter at a time.
    pub(crate) fn sweep(&self, now: Now) -> usize {
        lock(&self.directory).sweep(|at, station| self.vacate(at, station, now).is_some())
    }

    /// Ends a counter that nothing needs. What is left of it is dropped when the lock is free again.
    fn vacate(&self, at: u32, station: Station, now: Now) -> Option<Counter> {
        let mut state = self.state();
        let moment = state.moment(now);
        let counter = state.counters.at(at);
        let needless = match station {
            Station::Named => counter.is_idle(&moment),
            Station::Retired => counter.is_settled(),
        };
        needless.then(|| counter.vacate())
    }

    /// The wall clock was set back: what was used in periods to come counts for the present one.
    pub(crate) fn set_back(&self, wall_ms: u64) {
        self.state().counters.iter_mut().for_each(|counter| counter.set_back(wall_ms));
    }
}

/// Numbers of customers have no place in a dump, and a dump should not wait for a lock.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}
