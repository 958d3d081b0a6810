//! Values of several rounds: the middle one, the least and the most.

use crate::table::{fraction, percentile};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) median: u64,
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Spread {
    /// None of no values.
    pub(super) fn of(values: impl IntoIterator<Item = u64>) -> Option<Spread> {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Spread { median: percentile(&values, 50), least, most })
    }

    /// Round by round, in hundredths, rounded to the nearest. A round that has nothing to divide by does not count.
    pub(super) fn of_ratios(pairs: impl IntoIterator<Item = (u64, u64)>) -> Option<Spread> {
        let ratio =
            |(one, other): (u64, u64)| one.saturating_mul(100).saturating_add(other / 2).checked_div(other);
        Spread::of(pairs.into_iter().filter_map(ratio))
    }

    /// `1.04× (0.98 to 1.11)`, of hundredths.
    pub(super) fn ratio(self) -> String {
        let Spread { median, least, most } = self;
        let [median, least, most] = [median, least, most].map(|value| fraction(value, 100));
        format!("{median}× ({least} to {most})")
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn a_ratio_is_of_two_values_of_one_round() {
        let ratios = Spread::of_ratios([(110, 100), (50, 100), (300, 100), (7, 0)]).unwrap();
        assert_eq!(ratios.ratio(), "1.10× (0.50 to 3.00)");
        assert_eq!(Spread::of([]), None);
    }
}
