//! How surprising a key is: Shannon entropy over its characters, compared with a bound without a fraction.
//!
//! With n characters, of which c are the same one, `-Σ (c/n)·log2(c/n) ≥ b` is `n·log2(n) - Σ c·log2(c) ≥ b·n`, and
//! raising 2 to both sides gives `nⁿ ≥ 2^(b·n) · Π cᶜ`. Both sides are whole numbers.

use std::collections::HashMap;

/// Longest text whose entropy is compared, in characters. Its largest power, and 8ⁿ times as much, fit a [`Big`].
pub(super) const CHARACTERS_MAX: usize = 128;

/// Digits of a [`Big`] in base 2^32: 1312 bits, where 128^128 · 8^128 needs 1281.
const DIGITS: usize = 41;

/// A whole number below 2^1312, least digit first.
#[derive(Clone, PartialEq, Eq)]
struct Big([u32; DIGITS]);

impl Big {
    fn one() -> Self {
        let mut digits = [0; DIGITS];
        digits[0] = 1;
        Self(digits)
    }

    /// Times `factor`, `times` times over.
    fn times(mut self, factor: u32, times: usize) -> Self {
        for _ in 0..times {
            let mut carry = 0;
            for digit in &mut self.0 {
                (*digit, carry) = digit.carrying_mul(factor, carry);
            }
        }
        self
    }

    fn at_least(&self, other: &Self) -> bool {
        self.0.iter().rev().ge(other.0.iter().rev())
    }
}

/// Whether a text of 1 to [`CHARACTERS_MAX`] characters has at least 3 bits of entropy a character.
pub(super) fn has_three_bits(text: &str) -> bool {
    let mut counts: HashMap<char, u32> = HashMap::new();
    for character in text.chars().take(CHARACTERS_MAX) {
        *counts.entry(character).or_default() += 1;
    }
    let characters: u32 = counts.values().sum();
    let times = |count: u32| usize::try_from(count).unwrap_or(CHARACTERS_MAX);
    let have = Big::one().times(characters, times(characters));
    let repeated = |product: Big, count: &u32| product.times(*count, times(*count));
    let needed = counts.values().fold(Big::one().times(8, times(characters)), repeated);
    have.at_least(&needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_three_bits_are_enough_and_less_is_not() {
        for good in [
            "abcdefgh".repeat(4),
            "abcdefgh".repeat(16),
            "Zq3vX9pL2mT7wR5cB8nK4jH6gF1dS0aY".to_owned(),
            "äöüßéèêë".repeat(4),
            (0..128).map(|n| char::from_u32(0x100 + n).unwrap()).collect(),
        ] {
            assert!(has_three_bits(&good), "{good}");
        }
        for bad in [
            "a".repeat(32),
            "a".repeat(128),
            format!("{}abcd", "abcdefg".repeat(4)),
            "abcdefg".repeat(18),
            format!("{}aaaaabcd", "abcdefgh".repeat(15)),
        ] {
            assert!(!has_three_bits(&bad), "{bad}");
        }
    }
}
