//! Late charges made few enough for a settlement.
//!
//! Guarantees: no token is lost, and none counts for a shorter time than it should: charges that are joined count from
//! the latest of them on. At most [`LATE_MAX`] are left, as far apart as the rings of rolling windows tell them.

use std::borrow::Cow;

use domain::LateCharge;

/// Late charges in one settlement.
pub(super) const LATE_MAX: usize = 64;
/// The slots of a second's ring and of a minute's, and how long after a charge only the latter may still count it.
const FINE_NS: u64 = 100_000_000;
const COARSE_NS: u64 = 1_200_000_000;
const FINE_FOR_NS: u64 = 1_100_000_000;

/// The same charges, joined where there are too many.
pub(super) fn thinned(late: &[LateCharge], settled_ns: u64) -> Cow<'_, [LateCharge]> {
    if late.len() <= LATE_MAX {
        return Cow::Borrowed(late);
    }
    let slot = |charge: &LateCharge| {
        let is_fine = charge.mono_ns.saturating_add(FINE_FOR_NS) >= settled_ns;
        let slot_ns = if is_fine { FINE_NS } else { COARSE_NS };
        (is_fine, charge.mono_ns / slot_ns)
    };
    let mut joined: Vec<LateCharge> = Vec::with_capacity(late.len());
    for charge in late {
        match joined.last_mut() {
            Some(last) if slot(last) == slot(charge) => *last = sum(*last, *charge),
            _ => joined.push(*charge),
        }
    }
    // Charges older than a minute's window may be left: they are joined first.
    let surplus = joined.len().saturating_sub(LATE_MAX);
    if surplus > 0 {
        let oldest = joined.drain(..=surplus).reduce(sum);
        joined.splice(..0, oldest);
    }
    Cow::Owned(joined)
}

fn sum(one: LateCharge, later: LateCharge) -> LateCharge {
    LateCharge { mono_ns: later.mono_ns, tokens: one.tokens.saturating_add(later.tokens) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_there_are_few_are_left_and_none_counts_less() {
        let late: Vec<_> = (0..6_000).map(|at| LateCharge { mono_ns: at * 10_000_000, tokens: 1 }).collect();
        let thin = thinned(&late, 60_000_000_000);
        assert!(thin.len() <= LATE_MAX, "{}", thin.len());
        for since in (0..60_000_000_000).step_by(70_000_000) {
            let after = |charges: &[LateCharge]| -> u64 {
                charges.iter().filter(|charge| charge.mono_ns >= since).map(|charge| charge.tokens).sum()
            };
            assert!(after(&thin) >= after(&late), "since {since}");
        }
        assert_eq!(thin.iter().map(|charge| charge.tokens).sum::<u64>(), 6_000);
    }
}
