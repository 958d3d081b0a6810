//! What a call has been charged in tokens and when: at its admission, and at each top-up.
//!
//! Charges are kept only as far apart as a refund can tell: those of one slot of the finest ring on the path are one,
//! and those that have left every window are folded into the first, because nothing goes back to them any more. So a
//! call that asks for more all day keeps no more of them than there are slots.

use domain::{LateCharge, Now};

use crate::moment::Span;
use crate::path::TokenWindows;

/// Charges after the first. A minute's ring has 50 slots behind the newest, a second's are twelve times as fine, and one
/// charge may come between two foldings.
const LATER_MAX: usize = 51 * 12 + 1;

/// Tokens that were charged together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    pub(crate) amount: u64,
    pub(crate) at: Now,
}

/// All charges of a call, oldest first.
#[derive(Debug)]
pub(crate) struct Charges {
    total: u64,
    first: Charge,
    later: Vec<Charge>,
}

impl Charges {
    #[inline]
    pub(crate) fn new(amount: u64, at: Now) -> Self {
        Self { total: amount, first: Charge { amount, at }, later: Vec::new() }
    }

    /// The sum of all of them.
    #[inline]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// When the call was admitted.
    #[inline]
    pub(crate) fn begun(&self) -> Now {
        self.first.at
    }

    /// Those after the first, oldest first.
    #[inline]
    pub(crate) fn later(&self) -> &[Charge] {
        &self.later
    }

    /// Makes room for one more at about `now`, away from the lock.
    pub(crate) fn make_room(&mut self, windows: Option<TokenWindows>, now: Now) {
        if let Some(TokenWindows { longest, .. }) = windows {
            self.fold(longest, now);
            self.later.reserve(1);
        }
    }

    /// Adds one. It is not older than any before it.
    pub(crate) fn push(&mut self, windows: Option<TokenWindows>, charge: Charge) {
        self.total = self.total.saturating_add(charge.amount);
        let newest = self.later.last_mut().unwrap_or(&mut self.first);
        if windows.is_none_or(|TokenWindows { finest, .. }| slot(finest, newest) == slot(finest, &charge)) {
            newest.amount = newest.amount.saturating_add(charge.amount);
        } else {
            self.later.push(charge);
            debug_assert!(self.later.len() <= LATER_MAX, "more charges than there are slots");
        }
    }

    /// Of so many tokens used, those that were not charged at the admission: a surplus went back newest first, and what
    /// was used beyond all charges was charged at the end.
    pub(crate) fn late(&self, used: u64, ended: Now) -> Box<[LateCharge]> {
        let overage = used.saturating_sub(self.total);
        if self.later.is_empty() && overage == 0 {
            return Box::default();
        }
        let mut left =
            used.saturating_sub(self.first.amount).min(self.total.saturating_sub(self.first.amount));
        let mut late = Vec::with_capacity(self.later.len().saturating_add(1));
        for charge in &self.later {
            let kept = left.min(charge.amount);
            left = left.saturating_sub(kept);
            late.push(LateCharge { mono_ns: charge.at.mono_ns, tokens: kept });
        }
        late.push(LateCharge { mono_ns: ended.mono_ns, tokens: overage });
        late.retain(|charge| charge.tokens > 0);
        late.into()
    }

    /// Joins to the first what has left every window. A clock that lags behind the newest charge says nothing.
    fn fold(&mut self, longest: Span, now: Now) {
        let newest = self.later.last().map_or(0, |newest| slot(longest, newest));
        let newest = newest.max(longest.place(now.mono_ns).slot);
        let has_left = |charge: &Charge| newest.saturating_sub(slot(longest, charge)) > longest.slots();
        let gone = self.later.partition_point(has_left);
        for charge in self.later.drain(..gone) {
            self.first.amount = self.first.amount.saturating_add(charge.amount);
        }
    }
}

fn slot(span: Span, charge: &Charge) -> u64 {
    span.place(charge.at.mono_ns).slot
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Option<TokenWindows> = Some(TokenWindows { finest: Span::Second, longest: Span::Minute });

    fn at(millis: u64) -> Now {
        Now { mono_ns: millis.saturating_mul(1_000_000), wall_ms: millis }
    }

    fn after(windows: Option<TokenWindows>, times: impl IntoIterator<Item = u64>) -> Charges {
        let mut charges = Charges::new(1, at(0));
        for millis in times {
            charges.make_room(windows, at(millis));
            charges.push(windows, Charge { amount: 1, at: at(millis) });
        }
        charges
    }

    fn kept(charges: &Charges) -> Vec<(u64, u64)> {
        let all = std::iter::once(&charges.first).chain(&charges.later);
        all.map(|charge| (charge.amount, charge.at.wall_ms)).collect()
    }

    #[test]
    fn charges_of_one_slot_of_the_finest_ring_are_one() {
        let times = [99, 100, 199, 200, 1_199, 1_200];
        assert_eq!(kept(&after(BOTH, times)), [(2, 0), (2, 100), (1, 200), (1, 1_199), (1, 1_200)]);
        let minutes = Some(TokenWindows { finest: Span::Minute, longest: Span::Minute });
        assert_eq!(kept(&after(minutes, times)), [(6, 0), (1, 1_200)]);
        assert_eq!(kept(&after(None, times)), [(7, 0)], "no ring, no slots");
    }

    #[test]
    fn charges_that_have_left_every_window_are_folded_into_the_first() {
        // The slot of 1.2 s to 2.4 s may hold a charge of its very end, which leaves when 62.4 s are reached.
        assert_eq!(kept(&after(BOTH, [1_200, 62_399])), [(1, 0), (1, 1_200), (1, 62_399)]);
        assert_eq!(kept(&after(BOTH, [1_200, 62_400])), [(2, 0), (1, 62_400)]);
        let seconds = Some(TokenWindows { finest: Span::Second, longest: Span::Second });
        assert_eq!(kept(&after(seconds, [100, 1_199])), [(1, 0), (1, 100), (1, 1_199)]);
        assert_eq!(kept(&after(seconds, [100, 1_200])), [(2, 0), (1, 1_200)]);
    }

    #[test]
    fn a_call_that_asks_for_more_all_day_keeps_a_bounded_number_of_charges() {
        let charges = after(BOTH, (50..86_400_000).step_by(50));
        assert_eq!(charges.total(), 1_728_000);
        assert_eq!(kept(&charges).iter().map(|(amount, _)| amount).sum::<u64>(), charges.total());
        assert!(charges.later.len() <= LATER_MAX && charges.later.capacity() <= 2 * LATER_MAX);
    }

    #[test]
    fn a_surplus_goes_back_newest_first_and_what_is_used_beyond_is_charged_at_the_end() {
        let charges = after(BOTH, [1_000, 2_000]);
        let late = |used| -> Vec<(u64, u64)> {
            let late = charges.late(used, at(3_000));
            late.iter().map(|charge| (charge.tokens, charge.mono_ns.div_euclid(1_000_000))).collect()
        };
        assert_eq!((late(0), late(1)), (vec![], vec![]));
        assert_eq!(late(2), [(1, 1_000)]);
        assert_eq!(late(3), [(1, 1_000), (1, 2_000)]);
        assert_eq!(late(7), [(1, 1_000), (1, 2_000), (4, 3_000)]);
    }

    #[test]
    fn a_clock_that_lags_folds_nothing_that_may_still_come_back() {
        let mut charges = after(BOTH, [30_000, 62_000]);
        charges.make_room(BOTH, at(0));
        assert_eq!(kept(&charges), [(1, 0), (1, 30_000), (1, 62_000)]);
    }
}
