//! How many calls were refused, by group, slug, hour and kind: counted in memory, written every few seconds.
//!
//! Guarantees: counting runs no SQL and never waits for the disk. At most [`COUNTERS_MAX`] counts are held; what finds no
//! place is lost, and said so in the log. A crash loses what was counted since the last write: refusals are no bills.
//! Begins at [`Store::note_refused`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{GroupId, Now, Slug, Terms};

use crate::embedded::{self, HOUR_MS};
use crate::error::Unavailable;
use crate::store::Store;

/// Counts that are held between two writes.
const COUNTERS_MAX: usize = 16_384;
/// Seconds between two writes.
const WRITE_EVERY_S: u64 = 5;

/// What is counted separately.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RefusalKey {
    /// The calling group first, then its ancestors.
    pub(crate) groups: Arc<[GroupId]>,
    pub(crate) slug: Slug,
    /// Since 1970 UTC.
    pub(crate) hour: u64,
    /// The published word for the refusal.
    pub(crate) kind: &'static str,
}

pub(crate) type Counts = HashMap<RefusalKey, u64, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    counts: Counts,
    /// Found no place since the last write.
    lost: u64,
    /// When the last write was asked for.
    asked_s: u64,
}

impl Refusals {
    /// Counts one. Answers whether it is time to write.
    fn note(&self, key: RefusalKey, now: Now) -> bool {
        let mut noted = self.lock();
        let is_full = noted.counts.len() >= COUNTERS_MAX;
        match noted.counts.get_mut(&key) {
            Some(count) => *count = count.saturating_add(1),
            None if is_full => noted.lost = noted.lost.saturating_add(1),
            None => {
                noted.counts.insert(key, 1);
            }
        }
        let due = now.mono_ns / 1_000_000_000 >= noted.asked_s.saturating_add(WRITE_EVERY_S);
        if due {
            noted.asked_s = now.mono_ns / 1_000_000_000;
        }
        due
    }

    fn is_empty(&self) -> bool {
        self.lock().counts.is_empty()
    }

    /// Everything counted so far; it is counted from nothing again.
    pub(crate) fn take(&self) -> Counts {
        let mut noted = self.lock();
        if noted.lost > 0 {
            tracing::warn!(
                refusals.lost = noted.lost,
                "too many groups were refused calls at once to count them all"
            );
        }
        noted.lost = 0;
        std::mem::take(&mut noted.counts)
    }

    /// Counts again what the disk refused.
    pub(crate) fn put_back(&self, counts: Counts) {
        let mut noted = self.lock();
        for (key, count) in counts {
            let counted = noted.counts.entry(key).or_default();
            *counted = counted.saturating_add(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Counts a call on these terms that a limit refused. Neither waits nor fails.
    pub fn note_refused(&self, terms: &Terms, kind: &'static str, now: Now) {
        let (groups, slug) = (Arc::clone(&terms.groups), terms.slug.clone());
        let key = RefusalKey { groups, slug, hour: now.wall_ms / HOUR_MS, kind };
        if self.inner.refusals.note(key, now) {
            self.inner.ask_to_write_refusals();
        }
    }

    /// Writes the counts of refused calls, where there are any.
    pub(crate) async fn write_refusals(&self) -> Result<(), Unavailable> {
        if self.inner.refusals.is_empty() {
            return Ok(());
        }
        let refusals = Arc::clone(&self.inner.refusals);
        self.on_desk(move |books| {
            embedded::write_refusals(books, &refusals);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> RefusalKey {
        RefusalKey { groups: [GroupId(n)].into(), slug: "a/b".parse().unwrap(), hour: 1, kind: "x" }
    }

    fn at(second: u64) -> Now {
        Now { mono_ns: second * 1_000_000_000, wall_ms: 0 }
    }

    #[test]
    fn counts_are_bounded_and_what_is_known_goes_on_being_counted() {
        let refusals = Refusals::default();
        for n in 0..=u64::try_from(COUNTERS_MAX).unwrap() {
            refusals.note(key(n), at(0));
        }
        refusals.note(key(0), at(0));
        assert_eq!(refusals.lock().lost, 1);
        let counts = refusals.take();
        assert_eq!((counts.len(), counts[&key(0)]), (COUNTERS_MAX, 2));
        assert!(refusals.is_empty() && refusals.lock().lost == 0);
        refusals.note(key(0), at(0));
        refusals.put_back(counts);
        assert_eq!(refusals.take()[&key(0)], 3, "what the disk refused is not forgotten");
    }

    #[test]
    fn a_storm_is_written_once_in_five_seconds() {
        let refusals = Refusals::default();
        let due = [5, 6, 9, 10, 10, 15].map(|second| refusals.note(key(1), at(second)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
