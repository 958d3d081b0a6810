//! What each group has used today: the ledger's daily sums, in memory.
//!
//! A DAY counter that has to be opened starts with these numbers, so they are asked where no SQL may run.
//!
//! Guarantees: the present day, as given at start and then by the entries, is never dropped. At most [`DAYS_KEPT`]
//! days are held.
//! Knows nothing of: SQL; the committer tells it what was written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{Day, GroupId, Slug};

/// The present day, and one more: calls admitted before midnight still arrive after it.
const DAYS_KEPT: usize = 2;

/// Whose use is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UseScope {
    /// The group's own calls.
    Own,
    /// The group's calls and those of everything below it.
    Subtree,
}

/// Requests and tokens that were charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// Calls, by the day they were admitted.
    pub requests: u64,
    /// Tokens, by the day they were settled.
    pub tokens: u64,
}

impl Use {
    /// The sum of both. Saturates.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            tokens: self.tokens.saturating_add(more.tokens),
        }
    }
}

/// One line of the daily sums.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UseKey {
    pub(crate) group: GroupId,
    pub(crate) scope: UseScope,
    pub(crate) slug: Slug,
    pub(crate) day: Day,
}

/// What one group used of one slug on one day, in both scopes.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    own: Use,
    subtree: Use,
}

type Lines = HashMap<(GroupId, Slug), Line, foldhash::fast::RandomState>;

/// The daily sums of the latest days.
#[derive(Debug, Default)]
pub(crate) struct Today {
    days: Mutex<Vec<(Day, Lines)>>,
}

impl Today {
    /// What was used. Nothing, for a day that is not held.
    pub(crate) fn used(&self, group: GroupId, scope: UseScope, slug: &Slug, day: Day) -> Use {
        let key = (group, slug.clone());
        let days = self.lock();
        let lines = days.iter().find(|(held, _)| *held == day);
        let line = lines.and_then(|(_, lines)| lines.get(&key)).copied().unwrap_or_default();
        match scope {
            UseScope::Own => line.own,
            UseScope::Subtree => line.subtree,
        }
    }

    /// Adds what a batch of entries used.
    pub(crate) fn add(&self, sums: impl IntoIterator<Item = (UseKey, Use)>) {
        let mut days = self.lock();
        for (UseKey { group, scope, slug, day }, more) in sums {
            let line = lines_of(&mut days, day).entry((group, slug)).or_default();
            match scope {
                UseScope::Own => line.own = line.own.plus(more),
                UseScope::Subtree => line.subtree = line.subtree.plus(more),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Day, Lines)>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of a day. A day that appears drops the earliest of the others, never itself: after the clock was set
/// forward and back, the present day is the earlier one.
fn lines_of(days: &mut Vec<(Day, Lines)>, day: Day) -> &mut Lines {
    let at = days.iter().position(|(held, _)| *held == day).unwrap_or_else(|| {
        if days.len() >= DAYS_KEPT {
            let earliest = days.iter().enumerate().min_by_key(|(_, (held, _))| *held).map(|(at, _)| at);
            days.swap_remove(earliest.unwrap_or(0));
        }
        days.push((day, Lines::default()));
        days.len() - 1
    });
    &mut days[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(today: &Today, day: u32, scope: UseScope) {
        let slug = "acme/m1".parse().unwrap();
        let key = UseKey { group: GroupId(1), scope, slug, day: Day(day) };
        today.add([(key, Use { requests: 1, tokens: 10 })]);
    }

    fn requests(today: &Today, day: u32) -> u64 {
        today.used(GroupId(1), UseScope::Own, &"acme/m1".parse().unwrap(), Day(day)).requests
    }

    #[test]
    fn scopes_are_counted_apart() {
        let today = Today::default();
        add(&today, 5, UseScope::Own);
        add(&today, 5, UseScope::Subtree);
        add(&today, 5, UseScope::Subtree);
        let slug = "acme/m1".parse().unwrap();
        let used = |scope| today.used(GroupId(1), scope, &slug, Day(5));
        assert_eq!(used(UseScope::Own), Use { requests: 1, tokens: 10 });
        assert_eq!(used(UseScope::Subtree), Use { requests: 2, tokens: 20 });
        assert_eq!(today.used(GroupId(2), UseScope::Own, &slug, Day(5)), Use::default());
    }

    #[test]
    fn a_new_day_drops_the_day_before_yesterday() {
        let today = Today::default();
        for day in [5, 6, 7] {
            add(&today, day, UseScope::Own);
        }
        assert_eq!([5, 6, 7].map(|day| requests(&today, day)), [0, 1, 1]);
        assert_eq!(today.lock().len(), DAYS_KEPT);
    }

    #[test]
    fn the_present_day_stays_after_the_clock_went_forward_and_back() {
        let today = Today::default();
        for day in [99, 100, 7, 7, 8, 8] {
            add(&today, day, UseScope::Own);
        }
        assert_eq!(requests(&today, 8), 2);
    }
}
