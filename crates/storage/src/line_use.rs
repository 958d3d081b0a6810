//! What each line of each model config has used in the latest of its periods, by the ledger.
//!
//! A counter that has to be opened starts with these numbers, so they are asked where no SQL may run.
//!
//! Guarantees: what is used and what is reset add up to the same number in whichever order they are written.
//! Knows nothing of: SQL; the committer tells it what was written.
//! Begins at [`LineUse::used`] and [`Spent::charge`].

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{Cycle, Entry, LineId, Meter, ModelConfig, Snapshot};

/// How much earlier than another an entry that is written later may have been settled: calls end on several threads. If
/// it is more, the wall clock was set back.
const BEHIND_MAX_MS: u64 = 60_000;

/// A line is found by its id and what it counts.
pub(crate) type LineKey = (LineId, Meter);

/// The use of one line in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Where its periods begin.
    pub(crate) cycle: Cycle,
    /// When the line was made, by a clock in milliseconds since 1970 UTC; 0 where no call from before can come any more.
    pub(crate) made_ms: u64,
    /// When the period began, in milliseconds since 1970 UTC.
    pub(crate) start_ms: u64,
    /// What was charged before is in no sum any more: when the period began, or the one that it went on from when its
    /// duration was edited.
    pub(crate) since_ms: u64,
    /// Below zero while a reset is written and what it let the line forget is not yet.
    pub(crate) used: i64,
}

/// What a call adds to a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    /// When the call was admitted, in milliseconds since 1970 UTC.
    pub(crate) admitted_ms: u64,
    /// When it ended.
    pub(crate) settled_ms: u64,
    /// The time by which it counts: one of both.
    pub(crate) at_ms: u64,
    /// Requests, tokens or nano-dollars.
    pub(crate) amount: i64,
}

/// What the disk says of a line, in the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) made_ms: u64,
    pub(crate) start_ms: u64,
    pub(crate) since_ms: u64,
    pub(crate) used: i64,
}

/// The lines while calls are charged to them: nobody reads half of a batch.
#[derive(Debug)]
pub(crate) struct Charging<'a>(MutexGuard<'a, Lines>);

type Lines = HashMap<LineKey, Spent, foldhash::fast::RandomState>;

/// The use of every line.
#[derive(Debug, Default)]
pub(crate) struct LineUse(Mutex<Lines>);

impl Charge {
    /// What an entry adds to a line that counts so.
    pub(crate) fn of(entry: &Entry, meter: Meter) -> Self {
        let (at_ms, amount) = entry.charge(meter);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        Self { admitted_ms: entry.admitted.wall_ms, settled_ms: entry.settled.wall_ms, at_ms, amount }
    }
}

impl Spent {
    /// What is used of the period in which `wall_ms` lies. A period of the future means that the clock was set back:
    /// what was used there counts for the present.
    fn at(&self, wall_ms: u64) -> i64 {
        if self.cycle.period(wall_ms).start_ms <= self.start_ms { self.used } else { 0 }
    }

    /// Adds what a call used. What belongs to a period that is over is no longer of interest, and what was charged to a
    /// line that had this id before is not this one's.
    pub(crate) fn charge(&mut self, charge: Charge) {
        let Charge { admitted_ms, settled_ms, at_ms, amount } = charge;
        self.pass(settled_ms);
        if at_ms >= self.since_ms && admitted_ms >= self.made_ms {
            self.used = self.used.saturating_add(amount);
        }
    }

    /// Takes away what a counter forgot at a time.
    pub(crate) fn forget(&mut self, at_ms: u64, used: u64) {
        self.pass(at_ms);
        self.used = self.used.saturating_sub(i64::try_from(used).unwrap_or(i64::MAX));
    }

    /// Goes on to the period of this time. Where the clock was set back, that may be an earlier one: it keeps what is used.
    fn pass(&mut self, wall_ms: u64) {
        let start_ms = self.cycle.period(wall_ms).start_ms;
        if start_ms > self.start_ms {
            *self = Self { start_ms, since_ms: start_ms, used: 0, ..*self };
        } else if wall_ms.saturating_add(BEHIND_MAX_MS) < self.latest_ms() {
            *self = Self { start_ms, since_ms: start_ms, made_ms: 0, ..*self };
        }
    }

    /// The same use, as of a moment, in the present period of another cycle. The edit may have waited while entries of a
    /// later time were written.
    fn moved(&self, cycle: Cycle, wall_ms: u64) -> Self {
        let wall_ms = wall_ms.max(self.start_ms);
        let mut now = *self;
        now.pass(wall_ms);
        Self { cycle, start_ms: cycle.period(wall_ms).start_ms, ..now }
    }

    /// The latest time that is known to have been.
    fn latest_ms(&self) -> u64 {
        self.start_ms.max(self.since_ms).max(self.made_ms)
    }
}

impl Charging<'_> {
    /// Charges a line. Answers whether it is known: one that was removed since counts nothing any more.
    pub(crate) fn charge(&mut self, key: LineKey, charge: Charge) -> bool {
        let line = self.0.get_mut(&key);
        line.is_some_and(|line| {
            line.charge(charge);
            true
        })
    }
}

impl LineUse {
    /// Lines of these configs, of which nothing is used.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let lines = snapshot.configs().flat_map(|config| {
            let unused = |cycle| Spent { cycle, made_ms: 0, start_ms: 0, since_ms: 0, used: 0 };
            config.lines().map(move |line| ((line.id, line.meter), unused(line.cycle)))
        });
        Self(Mutex::new(lines.collect()))
    }

    /// Takes up what was written of a line, if it is one of those that are known.
    pub(crate) fn load(&self, key: LineKey, written: Written) {
        let Written { made_ms, start_ms, since_ms, used } = written;
        if let Some(spent) = self.lock().get_mut(&key) {
            *spent = Spent { cycle: spent.cycle, made_ms, start_ms, since_ms, used };
        }
    }

    /// What is used at this time. Nothing, of a line that is not known.
    pub(crate) fn used(&self, key: LineKey, wall_ms: u64) -> u64 {
        let used = self.lock().get(&key).map_or(0, |spent| spent.at(wall_ms));
        u64::try_from(used).unwrap_or(0)
    }

    /// The use of one line, if it is known.
    pub(crate) fn get(&self, key: LineKey) -> Option<Spent> {
        self.lock().get(&key).copied()
    }

    /// Lets calls be charged, in the order in which they were written.
    pub(crate) fn charging(&self) -> Charging<'_> {
        Charging(self.lock())
    }

    /// Puts what was written in the place of what was there. Lines that are gone stay so.
    pub(crate) fn put(&self, written: impl IntoIterator<Item = (LineKey, Spent)>) {
        let mut lines = self.lock();
        for (key, spent) in written {
            if let Slot::Occupied(mut slot) = lines.entry(key) {
                slot.insert(spent);
            }
        }
    }

    /// What the lines of a config have used once it is edited: a new line what `opening` says, any other what it had.
    pub(crate) fn after_edit(
        &self,
        config: &ModelConfig,
        wall_ms: u64,
        opening: impl Fn(LineKey) -> u64,
    ) -> Vec<(LineKey, Spent)> {
        // Not under one lock: `opening` looks at the same lines. Only the committer changes them, and it is here.
        let spent = |line: domain::Line<'_>| {
            let key = (line.id, line.meter);
            let fresh = || {
                let used = i64::try_from(opening(key)).unwrap_or(i64::MAX);
                let start_ms = line.cycle.period(wall_ms).start_ms;
                Spent { cycle: line.cycle, made_ms: wall_ms, start_ms, since_ms: start_ms, used }
            };
            (key, self.get(key).map_or_else(fresh, |spent| spent.moved(line.cycle, wall_ms)))
        };
        config.lines().map(spent).collect()
    }

    /// Puts the lines of a config in the place of those that it had.
    pub(crate) fn replace(&self, before: Option<&ModelConfig>, after: Vec<(LineKey, Spent)>) {
        let mut lines = self.lock();
        for line in before.into_iter().flat_map(ModelConfig::lines) {
            lines.remove(&(line.id, line.meter));
        }
        lines.extend(after);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
