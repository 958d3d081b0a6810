//! How long answers usually are: the running 95th percentile of completions by group and slug, or else by slug.
//!
//! What a call will write is not known when it is admitted. Where nothing is declared, and in the mode `learned`, the
//! hold is what 19 of the last 20 answers stayed within.
//!
//! Guarantees: reading is one atomic load; memory is bounded however many groups call.
//! Knows nothing of: requests, time, counters. Begins at [`Outputs::of`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{GroupId, Slug};

use crate::lock::{Mutex, MutexGuard, Seed, lock};

/// Answers that are remembered: the percentile is over the last of them.
const RECENT_MAX: usize = 128;
/// Answers after which a percentile means something.
const ENOUGH: usize = 20;
/// The percentile is worked out anew after so many answers.
const STRIDE: usize = 8;
/// Pairs of a group and a slug that are remembered apart, at half a kilobyte each; further ones are told by slug alone.
const PAIRS_MAX: usize = 65_536;

/// The answers of all groups and slugs.
#[derive(Debug, Default)]
pub struct Outputs {
    pairs: Mutex<HashMap<(GroupId, Slug), Arc<History>, Seed>>,
    slugs: Mutex<HashMap<Slug, Arc<History>, Seed>>,
}

/// The answers that a group gets from a slug, and all that come from the slug.
#[derive(Debug, Clone)]
pub struct Usual {
    /// None where too many groups are remembered already.
    own: Option<Arc<History>>,
    slug: Arc<History>,
}

/// The last answers of one kind.
#[derive(Debug, Default)]
struct History {
    /// 0: too few to tell. A percentile of 0 is kept as 1.
    p95: AtomicU64,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Circular once it is full.
    tokens: Vec<u32>,
    next: usize,
    /// Since the percentile was last worked out.
    fresh: usize,
}

impl Outputs {
    /// The answers of this group and slug: those to come are to be [noted](Usual::note) there.
    #[must_use]
    pub fn of(&self, group: GroupId, slug: &Slug) -> Usual {
        let slugs = &mut lock(&self.slugs);
        let slug_history = Arc::clone(slugs.entry(slug.clone()).or_default());
        Usual { own: own(lock(&self.pairs), group, slug), slug: slug_history }
    }

    /// What [`Usual::p95`] would say, opening nothing for the question.
    #[must_use]
    pub fn p95(&self, group: GroupId, slug: &Slug) -> Option<u64> {
        let own = lock(&self.pairs).get(&(group, slug.clone())).and_then(|history| history.p95());
        own.or_else(|| lock(&self.slugs).get(slug).and_then(|history| history.p95()))
    }
}

/// The history of a pair. Where there are too many, those that no path holds are forgotten first.
fn own(
    mut pairs: MutexGuard<'_, HashMap<(GroupId, Slug), Arc<History>, Seed>>,
    group: GroupId,
    slug: &Slug,
) -> Option<Arc<History>> {
    let pair = (group, slug.clone());
    if pairs.len() >= PAIRS_MAX && !pairs.contains_key(&pair) {
        pairs.retain(|_, history| Arc::strong_count(history) > 1);
        if pairs.len() >= PAIRS_MAX {
            return None;
        }
    }
    Some(Arc::clone(pairs.entry(pair).or_default()))
}

impl Usual {
    /// Tokens that 95 of 100 answers stayed within: the group's own, or those of all groups while it has too few.
    #[must_use]
    pub fn p95(&self) -> Option<u64> {
        self.own.as_ref().and_then(|own| own.p95()).or_else(|| self.slug.p95())
    }

    /// Takes in an answer that came to its end, in tokens.
    pub fn note(&self, tokens: u64) {
        self.slug.note(tokens);
        if let Some(own) = &self.own {
            own.note(tokens);
        }
    }
}

impl History {
    fn p95(&self) -> Option<u64> {
        Some(self.p95.load(Ordering::Relaxed)).filter(|p95| *p95 > 0)
    }

    fn note(&self, tokens: u64) {
        let mut recent = lock(&self.recent);
        recent.push(u32::try_from(tokens).unwrap_or(u32::MAX));
        if let Some(p95) = recent.p95_if_due() {
            self.p95.store(p95.max(1), Ordering::Relaxed);
        }
    }
}

impl Recent {
    fn push(&mut self, tokens: u32) {
        match self.tokens.get_mut(self.next) {
            Some(oldest) => *oldest = tokens,
            None => self.tokens.push(tokens),
        }
        self.next = self.next.wrapping_add(1) % RECENT_MAX;
        self.fresh = self.fresh.saturating_add(1);
    }

    fn p95_if_due(&mut self) -> Option<u64> {
        if self.tokens.len() < ENOUGH || (self.fresh < STRIDE && self.tokens.len() > ENOUGH) {
            return None;
        }
        self.fresh = 0;
        let mut sorted = [0; RECENT_MAX];
        let sorted = sorted.get_mut(..self.tokens.len())?;
        sorted.copy_from_slice(&self.tokens);
        // The smallest value that at least 95 of 100 do not pass.
        let rank = self.tokens.len().saturating_mul(95).div_ceil(100).saturating_sub(1);
        let (_, p95, _) = sorted.select_nth_unstable(rank);
        Some(u64::from(*p95))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);
    const OTHER: GroupId = GroupId(2);

    fn slug() -> Slug {
        "acme/chat".parse().unwrap()
    }

    #[test]
    fn twenty_answers_tell_what_nineteen_of_them_stayed_within() {
        let outputs = Outputs::default();
        let usual = outputs.of(GROUP, &slug());
        (1..20).for_each(|tokens| usual.note(tokens));
        assert_eq!(usual.p95(), None);
        usual.note(10_000);
        assert_eq!(usual.p95(), Some(19));
        assert_eq!(outputs.p95(GROUP, &slug()), Some(19));
    }

    #[test]
    fn a_group_of_few_calls_is_told_by_its_slug_and_one_of_many_by_its_own() {
        let outputs = Outputs::default();
        let (busy, quiet) = (outputs.of(GROUP, &slug()), outputs.of(OTHER, &slug()));
        (0..100).for_each(|_| busy.note(7));
        assert_eq!((busy.p95(), quiet.p95()), (Some(7), Some(7)));
        (0..20).for_each(|_| quiet.note(3));
        assert_eq!((busy.p95(), quiet.p95()), (Some(7), Some(3)));
        assert_eq!(outputs.p95(GroupId(3), &slug()), Some(7));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let usual = Outputs::default().of(GROUP, &slug());
        (0..RECENT_MAX).for_each(|_| usual.note(50_000));
        assert_eq!(usual.p95(), Some(50_000));
        (0..RECENT_MAX).for_each(|_| usual.note(10));
        assert_eq!(usual.p95(), Some(10));
    }

    #[test]
    fn answers_of_nothing_and_of_any_length_are_taken() {
        let usual = Outputs::default().of(GROUP, &slug());
        (0..ENOUGH).for_each(|_| usual.note(0));
        assert_eq!(usual.p95(), Some(1), "never 0, which would hold nothing");
        (0..RECENT_MAX).for_each(|_| usual.note(u64::MAX));
        assert_eq!(usual.p95(), Some(u64::from(u32::MAX)));
    }

    #[test]
    fn the_percentile_is_worked_out_at_twenty_answers_and_then_after_every_eight() {
        let usual = Outputs::default().of(GROUP, &slug());
        (0..20).for_each(|_| usual.note(10));
        assert_eq!(usual.p95(), Some(10));
        (0..7).for_each(|_| usual.note(500));
        assert_eq!(usual.p95(), Some(10));
        usual.note(500);
        assert_eq!(usual.p95(), Some(500));
    }

    #[test]
    fn more_pairs_than_are_remembered_are_told_by_slug() {
        let outputs = Outputs::default();
        let pairs = u64::try_from(PAIRS_MAX).unwrap();
        let held: Vec<Usual> = (0..pairs).map(|group| outputs.of(GroupId(group), &slug())).collect();
        assert!(outputs.of(GroupId(pairs), &slug()).own.is_none());
        assert!(outputs.of(GroupId(0), &slug()).own.is_some(), "it is one of those that are remembered");
        drop(held);
        assert!(outputs.of(GroupId(pairs), &slug()).own.is_some(), "those that no path holds made room");
    }
}
