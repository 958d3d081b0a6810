//! What was charged in the minute before the store was opened, for the rolling windows that open in the minute after.
//!
//! Guarantees: no charge counts for a shorter time than it would have without the restart, and for a longer one only
//! where the machine was started anew, where so many charges came that only rings could count them, or where a call
//! without an end is met by two starts within a minute; gone a minute after the start.
//! Knows nothing of: where it was kept, limits, windows' forms.
//! Begins at [`Gathering::add`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Entry, GroupId, Now, Slug};
use limits::{Charged, Recent};

use crate::journal::{BootId, Ended, KEPT_FOR_NS};
use crate::today::UseScope;

/// Requests that a window may count one by one.
const EXACT_MAX: u64 = 64;
/// How long after a charge a window of a second may count it, and a little more.
const EXACT_FOR_NS: u64 = 1_100_000_000;
/// The slots of the finest ring.
const SLOT_NS: u64 = 100_000_000;
/// Charges of one counter that are gathered before they are joined for the first time.
const THINNED_FROM: usize = 4_096;

type Key = (GroupId, UseScope, Slug);
type Map<T> = HashMap<Key, T, foldhash::fast::RandomState>;

/// Charges as they are found.
pub(crate) struct Gathering {
    now: Now,
    boot: BootId,
    charges: Map<Charges>,
}

struct Charges {
    all: Vec<Charged>,
    thinned_at: usize,
}

/// Charges for counters that open.
pub(crate) struct RecentCharges {
    until_ns: u64,
    charges: Mutex<Map<Recent>>,
}

impl Gathering {
    /// At this time, after this start of the machine.
    pub(crate) fn new(now: Now, boot: BootId) -> Self {
        Self { now, boot, charges: Map::default() }
    }

    /// What a call was charged on its way, as far as a window can still count it.
    pub(crate) fn add(&mut self, Ended { entry, boot }: &Ended) {
        let late: u64 = entry.late.iter().fold(0, |sum, charge| sum.saturating_add(charge.tokens));
        let at_first = entry.usage.total().saturating_sub(late);
        let moment = |mono_ns| self.moment(entry, mono_ns, *boot);
        let first = Charged { mono_ns: moment(entry.admitted.mono_ns), requests: 1, tokens: at_first };
        let later = entry.late.iter().map(|charge| Charged {
            mono_ns: moment(charge.mono_ns),
            requests: 0,
            tokens: charge.tokens,
        });
        let since_ns = self.now.mono_ns.saturating_sub(KEPT_FOR_NS);
        let all = std::iter::once(first).chain(later);
        let counts: Vec<Charged> = all.filter(|charge| charge.mono_ns >= since_ns).collect();
        for charge in counts {
            self.charge(entry, charge);
        }
    }

    /// A moment of the entry on this machine's clock. Before this start of the machine it is as long ago as the wall
    /// clock says, and not in the future.
    fn moment(&self, entry: &Entry, mono_ns: u64, boot: BootId) -> u64 {
        if boot == self.boot {
            return mono_ns.min(self.now.mono_ns);
        }
        let after_ms = mono_ns.saturating_sub(entry.admitted.mono_ns) / 1_000_000;
        let wall_ms = entry.admitted.wall_ms.saturating_add(after_ms);
        let age_ms = self.now.wall_ms.saturating_sub(wall_ms);
        // What was charged before the clock's zero counts from there.
        self.now.mono_ns.saturating_sub(age_ms.saturating_mul(1_000_000))
    }

    fn charge(&mut self, entry: &Entry, charge: Charged) {
        let Some(caller) = entry.group() else { return };
        let own = std::iter::once((caller, UseScope::Own));
        let subtrees = entry.terms.groups.iter().map(|group| (*group, UseScope::Subtree));
        for (group, scope) in own.chain(subtrees) {
            let key = (group, scope, entry.terms.slug.clone());
            let fresh = || Charges { all: Vec::new(), thinned_at: THINNED_FROM };
            let charges = self.charges.entry(key).or_insert_with(fresh);
            charges.all.push(charge);
            if charges.all.len() >= charges.thinned_at {
                charges.thin(self.now.mono_ns);
                charges.thinned_at = charges.all.len().saturating_mul(2).max(THINNED_FROM);
            }
        }
    }

    /// All of it, in the order of time.
    pub(crate) fn finish(self) -> RecentCharges {
        let now_ns = self.now.mono_ns;
        let done = |(key, mut charges): (Key, Charges)| {
            charges.thin(now_ns);
            (key, Recent::new(charges.all))
        };
        RecentCharges {
            until_ns: now_ns.saturating_add(KEPT_FOR_NS),
            charges: Mutex::new(self.charges.into_iter().map(done).collect()),
        }
    }
}

impl Charges {
    /// Joins charges of one slot that no exact window can count. They count from the latest of them on.
    fn thin(&mut self, now_ns: u64) {
        let requests = self.all.iter().fold(0_u64, |sum, charge| sum.saturating_add(charge.requests));
        if requests <= EXACT_MAX && self.all.len() < THINNED_FROM {
            return;
        }
        self.all.sort_by_key(|charge| charge.mono_ns);
        self.all.dedup_by(|later, earlier| {
            let joins = later.mono_ns.saturating_add(EXACT_FOR_NS) < now_ns
                && later.mono_ns / SLOT_NS == earlier.mono_ns / SLOT_NS;
            if joins {
                earlier.mono_ns = later.mono_ns;
                earlier.requests = earlier.requests.saturating_add(later.requests);
                earlier.tokens = earlier.tokens.saturating_add(later.tokens);
            }
            joins
        });
    }
}

impl RecentCharges {
    /// What a counter of this owner opens with.
    pub(crate) fn of(&self, owner: GroupId, scope: UseScope, slug: &Slug, now: Now) -> Recent {
        let mut charges = self.charges.lock().unwrap_or_else(PoisonError::into_inner);
        if now.mono_ns >= self.until_ns && !charges.is_empty() {
            *charges = Map::default();
        }
        if charges.is_empty() {
            return Recent::default();
        }
        charges.get(&(owner, scope, slug.clone())).cloned().unwrap_or_default()
    }
}
