//! The last decisions, in memory.
//!
//! A fixed number of slots, used round and round: which one is next says one counter, and each has a small lock of its own,
//! so that two threads hardly meet. They come by the page, when one is first needed: a gateway that nobody calls holds none. A slot keeps its room, so that nothing is allocated once the ring has gone round.
//! Looking one up goes through all slots: it is for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use domain::{RequestId, WorkspaceId};
use limits::{LimitState, Seen};

use super::recorded::{DecisionFacts, DecisionOutcome, Recorded};

/// Slots of one page.
const PAGE: usize = 256;

type Page = Box<[Mutex<Slot>]>;

#[derive(Debug)]
pub(super) struct Ring {
    slots: usize,
    pages: Box<[OnceLock<Page>]>,
    /// Decisions written so far.
    written: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Which decision since the start; 0 while there was none.
    nth: u64,
    facts: Option<DecisionFacts>,
    /// How the limits of an admitted call stood.
    pub(super) seen: Seen,
    /// How those of any other stood.
    pub(super) states: Vec<LimitState>,
}

impl Ring {
    pub(super) fn new(slots: usize) -> Self {
        let pages = std::iter::repeat_with(OnceLock::new).take(slots.div_ceil(PAGE)).collect();
        Self { slots, pages, written: AtomicU64::new(0) }
    }

    /// Whether there is any slot.
    pub(super) fn keeps(&self) -> bool {
        self.slots > 0
    }

    /// Puts a decision in the place of the oldest. `states` notes how its limits stood.
    pub(super) fn write(&self, facts: DecisionFacts, states: impl FnOnce(&mut Slot)) {
        let nth = self.written.fetch_add(1, Ordering::Relaxed);
        let slots = u64::try_from(self.slots).unwrap_or(u64::MAX);
        let Some(Ok(at)) = nth.checked_rem(slots).map(usize::try_from) else { return };
        let Some(slot) = self.slot(at) else { return };
        let mut slot = lock(slot);
        // A thread that was held up for a whole round comes too late.
        if nth < slot.nth {
            return;
        }
        slot.nth = nth.saturating_add(1);
        slot.facts = Some(facts);
        slot.states.clear();
        states(&mut slot);
    }

    pub(super) fn find(&self, id: RequestId, workspace: WorkspaceId) -> Option<Recorded> {
        let pages = self.pages.iter().filter_map(OnceLock::get);
        pages.flat_map(|page| page.iter()).find_map(|slot| {
            let slot = lock(slot);
            let is_it = |facts: &&DecisionFacts| facts.request_id == id && facts.workspace == workspace;
            let facts = slot.facts.as_ref().filter(is_it)?;
            let states = match facts.outcome {
                DecisionOutcome::Admitted => slot.seen.states(&facts.limits, facts.at),
                DecisionOutcome::Refused { .. } | DecisionOutcome::TurnedAway(_) => slot.states.clone(),
            };
            Some(Recorded { facts: facts.clone(), states })
        })
    }
}

impl Ring {
    fn slot(&self, at: usize) -> Option<&Mutex<Slot>> {
        let page = self.pages.get(at / PAGE)?;
        let page = page.get_or_init(|| std::iter::repeat_with(Mutex::default).take(PAGE).collect());
        page.get(at % PAGE)
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
