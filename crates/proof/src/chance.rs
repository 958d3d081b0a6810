//! Random choices that can be made again: everything a run decides follows from its seed.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014): small, fast, and good enough to choose by.

/// A stream of choices.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The choices of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream, independent of what is drawn from this one later.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.next() % span.max(1))
    }

    /// An index below `len`; 0 where there is none.
    pub fn index(&mut self, len: usize) -> usize {
        let len = u64::try_from(len).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % len).unwrap_or(0)
    }

    /// True in so many of a hundred.
    pub fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.between(1, 100) <= of_a_hundred
    }

    /// From `low` to `high`, each order of size as likely as another.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low.max(1)).max(1).ilog2();
        let scale = low << self.between(0, u64::from(doublings));
        self.between(scale, scale.saturating_mul(2)).min(high)
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_makes_the_same_choices_again_and_another_seed_others() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [chance.between(5, 9), chance.log_between(10, 5_000), chance.between(0, u64::MAX - 1)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((5..=9).contains(&draw(3)[0]) && (10..=5_000).contains(&draw(3)[1]));
    }
}
