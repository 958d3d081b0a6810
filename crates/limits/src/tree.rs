//! One root's counters, and the one short lock under which a path is checked and charged.
//!
//! Two locks. Binding, reading and sweeping take the *directory* first and keep it while they plan, allocate and free;
//! under the *state* lock they only exchange what is ready. A call takes the state lock alone, so nothing that grows
//! with the number of counters ever stands in its way.

mod directory;
mod slab;

use std::fmt;
use std::sync::Arc;

use domain::{Day, Now, Version};

use crate::counter::Counter;
use crate::lock::{Mutex, MutexGuard, lock};
use crate::moment::Moment;
use crate::path::{CounterKey, Path, PathLimit, PathSpec};
use crate::tree::directory::{Directory, Station, Work};
use crate::tree::slab::Slab;

/// The counters of one root.
#[derive(Default)]
pub(crate) struct Tree {
    directory: Mutex<Directory>,
    state: Mutex<State>,
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
    pub(crate) epoch: Version,
    /// The latest reading of each clock that has been used under this lock.
    latest: Now,
    counters: Slab,
}

impl State {
    /// The time of this operation: never before that of an earlier one, whichever thread read its clock first. A late
    /// reading used as it is would charge a slot that another thread has already summed.
    #[inline]
    pub(crate) fn moment(&mut self, now: Now) -> Moment {
        self.latest = Now {
            mono_ns: self.latest.mono_ns.max(now.mono_ns),
            wall_ms: self.latest.wall_ms.max(now.wall_ms),
        };
        Moment::at(self.latest)
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
        };
        Handle { at, tag: self.counters.at(at).tag }
    }
}

impl Tree {
    /// The lock of a call.
    #[inline]
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Binds each limit to its counter, opening those that are not there.
    pub(crate) fn bind(self: &Arc<Self>, spec: PathSpec, now: Now) -> Path {
        let PathSpec { epoch, limits, .. } = &spec;
        let mut directory = lock(&self.directory);
        let have = directory.len();
        let mut works: Vec<Work> =
            limits.iter().map(|limit| directory.bind(limit, *epoch, now.day())).collect();
        let chunks = Slab::chunks_missing(have, directory.len());
        let mut handles = Vec::with_capacity(works.len());

        let mut state = self.state();
        state.counters.grow(chunks);
        let moment = state.moment(now);
        for work in &mut works {
            handles.push(state.exchange(work, &moment));
        }
        drop(state);

        Path::new(Arc::clone(self), spec, &handles)
    }

    /// Makes paths of an older epoch stale.
    pub(crate) fn publish(&self, epoch: Version) {
        let mut state = self.state();
        state.epoch = state.epoch.max(epoch);
    }

    /// What a counter holds: used, pending, touched.
    pub(crate) fn read(&self, key: &CounterKey, since: Version, now: Now) -> Option<(u64, u64, bool)> {
        let directory = lock(&self.directory);
        let at = directory.find(key, since)?;
        let mut state = self.state();
        let moment = state.moment(now);
        Some(state.counters.at(at).read(&moment))
    }

    /// Shows each of these limits to `look` with the counter that it would be checked against if it were bound now, all
    /// at one moment, and opens none. `None`: the limits are older than what was last published.
    pub(crate) fn survey<T>(
        &self,
        spec: &PathSpec,
        now: Now,
        look: impl Fn(&PathLimit, &mut Counter, &Moment) -> T,
    ) -> Option<(Moment, Vec<T>)> {
        let directory = lock(&self.directory);
        let kept: Vec<Option<u32>> = spec.limits.iter().map(|limit| directory.kept(limit)).collect();
        let mut opened: Vec<Counter> =
            spec.limits.iter().map(|limit| Counter::open(limit, now.day())).collect();
        let mut seen = Vec::with_capacity(spec.limits.len());

        let mut state = self.state();
        if spec.epoch < state.epoch {
            return None;
        }
        let moment = state.moment(now);
        for (limit, (kept, fresh)) in spec.limits.iter().zip(kept.iter().zip(&mut opened)) {
            let counter = match *kept {
                Some(at) if !state.counters.at(at).copy_reshaped(fresh, &moment) => state.counters.at(at),
                Some(_) | None => fresh,
            };
            seen.push(look(limit, counter, &moment));
        }
        drop(state);
        Some((moment, seen))
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

    /// The wall clock was set back: what was used on days to come counts for the present one.
    pub(crate) fn lower_wall(&self, wall_ms: u64) {
        let mut state = self.state();
        state.latest.wall_ms = state.latest.wall_ms.min(wall_ms);
        let present = Day::of(wall_ms);
        state.counters.iter_mut().for_each(|counter| counter.set_back(present));
    }
}

/// Numbers of customers have no place in a dump, and a dump should not wait for a lock.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}
