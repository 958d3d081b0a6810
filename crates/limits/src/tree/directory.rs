//! Which counter has which entry of the slab: what binding, reading and sweeping need, and no call ever touches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::{LimitType, Unit, Version};

use crate::counter::Counter;
use crate::lock::Seed;
use crate::measure::Measure;
use crate::path::{CounterKey, PathLimit};

/// Names and entries of a tree's counters.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    named: HashMap<CounterKey, Named, Seed>,
    /// Unlinked counters whose reservations have not all settled.
    retired: Vec<u32>,
    free: Vec<u32>,
    len: u32,
}

#[derive(Debug)]
struct Named {
    at: u32,
    /// The latest epoch of a path that was bound to it: up to there, the limit is known to have stood without a break.
    seen: Version,
}

/// Whether a counter can still be found by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Station {
    Named,
    Retired,
}

/// What binding one limit asks of the slab.
#[derive(Debug)]
pub(crate) enum Work {
    /// The counter is there.
    Keep { at: u32 },
    /// A counter has to be opened in a vacant entry. If it takes over the key of another, that one retires.
    Open { at: u32, fresh: Counter, retires: Option<u32> },
    /// The counter is there and may have to change its form.
    Reshape { at: u32, fresh: Counter },
    /// The counter is there, and the duration of its line may have been edited.
    Recycle { at: u32, fresh: Counter },
}

/// A counter that binding a limit would keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) at: u32,
    /// Whether it would go on in the limit's periods.
    pub(crate) recycles: bool,
}

impl Named {
    /// Whether this is the limit's counter. One of a day is not if the limit came back after a gap; that of a line
    /// went with the line.
    fn serves(&self, limit: &PathLimit) -> bool {
        limit.counter.measure.unit() != Some(Unit::Day) || limit.since <= self.seen
    }

    /// Whether a path of this epoch knows of edits of the line that no earlier one knew.
    fn recycles(&self, measure: Measure, epoch: Version) -> bool {
        matches!(measure, Measure::Spend(_)) && epoch > self.seen
    }
}

impl Directory {
    /// Finds the counter of a limit or names a new one. Allocates what the slab will need.
    ///
    /// A DAY counter that is there is kept only if the limit has stood since the last time it was bound. A limit that
    /// came back after a gap opens a new one, so that it neither forgets what was used in the gap nor receives what
    /// settles on a path from before it.
    pub(crate) fn bind(&mut self, limit: &PathLimit, epoch: Version, wall_ms: u64) -> Work {
        let Self { named, retired, free, len } = self;
        let mut vacant = || {
            free.pop().unwrap_or_else(|| {
                let at = *len;
                *len = len.saturating_add(1);
                at
            })
        };
        let fresh = || Counter::open(limit, wall_ms);
        match named.entry(limit.counter.clone()) {
            Entry::Vacant(entry) => {
                let at = entry.insert(Named { at: vacant(), seen: epoch }).at;
                Work::Open { at, fresh: fresh(), retires: None }
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let serves = known.serves(limit);
                let recycles = known.recycles(limit.counter.measure, epoch);
                known.seen = known.seen.max(epoch);
                match limit.counter.measure {
                    _ if !serves => {
                        let old = std::mem::replace(&mut known.at, vacant());
                        retired.push(old);
                        Work::Open { at: known.at, fresh: fresh(), retires: Some(old) }
                    }
                    Measure::Use(LimitType::Request, Unit::Second | Unit::Minute) => {
                        Work::Reshape { at: known.at, fresh: Counter::blank(limit, wall_ms) }
                    }
                    Measure::Spend(_) if recycles => Work::Recycle { at: known.at, fresh: fresh() },
                    Measure::Use(_, Unit::Day)
                    | Measure::Use(LimitType::Token, _)
                    | Measure::Spend(_)
                    | Measure::Concurrency => Work::Keep { at: known.at },
                }
            }
        }
    }

    /// The counter that binding this limit at this epoch would keep; none if it would open one.
    pub(crate) fn kept(&self, limit: &PathLimit, epoch: Version) -> Option<Kept> {
        let named = self.named.get(&limit.counter).filter(|named| named.serves(limit))?;
        Some(Kept { at: named.at, recycles: named.recycles(limit.counter.measure, epoch) })
    }

    /// The counter of a limit that has stood since `since`; one from before a gap is not its counter. Lines have no gaps.
    pub(crate) fn find(&self, key: &CounterKey, since: Version) -> Option<u32> {
        let is_line = matches!(key.measure, Measure::Spend(_));
        self.named.get(key).filter(|named| is_line || since <= named.seen).map(|named| named.at)
    }

    /// The counter of a line that was edited at `epoch`, unless a later edit is known already.
    pub(crate) fn edited(&mut self, key: &CounterKey, epoch: Version) -> Option<u32> {
        let named = self.named.get_mut(key).filter(|named| named.seen <= epoch)?;
        named.seen = epoch;
        Some(named.at)
    }

    /// Lets nobody find a counter by its key any more. Its entry is given back when the last call in flight has ended.
    pub(crate) fn retire(&mut self, key: &CounterKey) -> Option<u32> {
        let at = self.named.remove(key)?.at;
        self.retired.push(at);
        Some(at)
    }

    /// Entries ever given out.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Gives back every entry of which `vacate` says that it is vacant now. Returns how many.
    pub(crate) fn sweep(&mut self, mut vacate: impl FnMut(u32, Station) -> bool) -> usize {
        let before = self.free.len();
        let mut stays = |at: u32, station: Station| {
            let vacant = vacate(at, station);
            if vacant {
                self.free.push(at);
            }
            !vacant
        };
        self.named.retain(|_, named| stays(named.at, Station::Named));
        self.retired.retain(|at| stays(*at, Station::Retired));
        self.free.len().saturating_sub(before)
    }
}
