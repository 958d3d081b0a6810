//! Figures of a round and their medians. Integers only; fractions are written digit by digit.

use crate::load::Burst;
use crate::process::Consumption;

/// One round of one subject, or the medians of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) calls_per_second: u64,
    pub(crate) p50_nanos: u64,
    pub(crate) p99_nanos: u64,
    /// A hundredth of a microsecond each.
    pub(crate) cpu_centimicros: u64,
    pub(crate) rss_kib: u64,
    pub(crate) errors: u64,
}

impl Figures {
    pub(crate) fn of(mut burst: Burst, before: Consumption, after: Consumption) -> Figures {
        burst.nanos.sort_unstable();
        let calls = burst.nanos.len() as u64;
        let micros = u64::try_from(burst.elapsed.as_micros()).unwrap_or(u64::MAX);
        let cpu = after.cpu_micros.saturating_sub(before.cpu_micros);
        Figures {
            calls_per_second: calls * 1_000_000 / micros.max(1),
            p50_nanos: percentile(&burst.nanos, 50),
            p99_nanos: percentile(&burst.nanos, 99),
            cpu_centimicros: cpu * 100 / calls.max(1),
            rss_kib: after.rss_kib,
            errors: burst.errors,
        }
    }

    /// Column by column; errors are not forgiven, so they are summed.
    pub(crate) fn median(rounds: &[Figures]) -> Figures {
        let column = |of: fn(&Figures) -> u64| {
            let mut values: Vec<u64> = rounds.iter().map(of).collect();
            values.sort_unstable();
            percentile(&values, 50)
        };
        Figures {
            calls_per_second: column(|round| round.calls_per_second),
            p50_nanos: column(|round| round.p50_nanos),
            p99_nanos: column(|round| round.p99_nanos),
            cpu_centimicros: column(|round| round.cpu_centimicros),
            rss_kib: column(|round| round.rss_kib),
            errors: rounds.iter().map(|round| round.errors).sum(),
        }
    }
}

/// `amount / unit` with as many digits as the unit has zeros.
pub(crate) fn fraction(amount: u64, unit: u64) -> String {
    let digits = usize::try_from(unit.ilog10()).unwrap_or_default();
    format!("{}.{:0digits$}", amount / unit, amount % unit)
}

/// The value that so many of a hundred do not pass; zero where there are none.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{fraction, percentile};

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (100, 198));
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (7, 0));
    }

    #[test]
    fn fractions_keep_their_zeros() {
        assert_eq!((fraction(1_007, 1000), fraction(96, 100)), ("1.007".to_owned(), "0.96".to_owned()));
    }
}
