//! What tokens cost in a run, and what a call costs by that: worked out here once more, from the published rules.
//!
//! Rates are nano-dollars per million tokens; the cost of a call is rounded up to a nano-dollar once.

use domain::{Pricing, Rates as Published};
use serde_json::{Map, Value};

use crate::chance::Chance;

const PER: u128 = 1_000_000;
const NANOS: u64 = 1_000_000_000;

/// Nano-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    input: u64,
    output: u64,
    cached: Option<u64>,
    written: Option<u64>,
}

/// A price: rates, and those of calls with more prompt tokens than so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    rates: Rates,
    tiers: Vec<(u64, Rates)>,
}

/// Tokens of one call. The cached and the written ones are part of the input.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// Of its prompt.
    pub input: u64,
    /// Of its answer.
    pub output: u64,
    /// That came from a cache.
    pub cached: u64,
    /// That went into a cache.
    pub written: u64,
}

/// Of each model: one with a cache and a tier, one at odd rates.
const FIRST: [Rates; 2] = [
    Rates {
        input: 2_500_000_000,
        output: 10_000_000_000,
        cached: Some(250_000_000),
        written: Some(3_125_000_000),
    },
    // 0.000000333333333 USD a token: no call comes to whole nano-dollars.
    Rates { input: 333_333_333, output: 1_777_777_777, cached: None, written: None },
];
/// Prompts are up to some 500 tokens long.
const TIER: u64 = 200;

impl Price {
    /// A price of this model: the usual one, or another of its kind; now and then next to nothing.
    #[must_use]
    pub fn draw(slug: usize, chance: &mut Chance) -> Self {
        let percent = if chance.percent(10) { 0 } else { chance.between(40, 250) };
        let scale = |rate: u64| (rate / 100).saturating_mul(percent).saturating_add(rate % 1_000);
        let scaled = |rates: Rates| Rates {
            input: scale(rates.input),
            output: scale(rates.output),
            cached: rates.cached.map(scale),
            written: rates.written.map(scale),
        };
        let rates = scaled(FIRST[slug]);
        let long =
            Rates { input: rates.input * 2, output: rates.output * 3 / 2, cached: None, written: None };
        let tiers = if rates.cached.is_some() { vec![(TIER, long)] } else { Vec::new() };
        Self { rates, tiers }
    }

    /// As management takes it.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut price = written(self.rates);
        let tiers = self.tiers.iter().map(|(above, rates)| {
            let mut tier = written(*rates);
            tier.insert("above_input_tokens".to_owned(), (*above).into());
            Value::Object(tier)
        });
        price.insert("tiers".to_owned(), tiers.collect());
        Value::Object(price)
    }

    /// The price that an entry says it was computed with.
    #[must_use]
    pub fn of(price: &Pricing) -> Self {
        let tiers = price.tiers.iter().map(|tier| (tier.above_input_tokens, rates(&tier.rates)));
        Self { rates: rates(&price.rates), tiers: tiers.collect() }
    }

    /// What a call costs, in nano-dollars.
    #[must_use]
    pub fn cost(&self, tokens: Tokens) -> u64 {
        let rates = self.rates_for(tokens.input);
        let plain = tokens.input - tokens.cached - tokens.written;
        let parts = [
            (plain, rates.input),
            (tokens.cached, rates.cached.unwrap_or(rates.input)),
            (tokens.written, rates.written.unwrap_or(rates.input)),
            (tokens.output, rates.output),
        ];
        sum(&parts)
    }

    /// What a call holds that may use so much, whatever of its prompt is cached.
    #[must_use]
    pub fn hold(&self, prompt: u64, output: u64) -> u64 {
        let rates = self.rates_for(prompt);
        let dearest = [rates.cached, rates.written].into_iter().flatten().fold(rates.input, u64::max);
        sum(&[(prompt, dearest), (output, rates.output)])
    }

    fn rates_for(&self, prompt: u64) -> Rates {
        let reached = self.tiers.iter().filter(|(above, _)| prompt > *above);
        reached.max_by_key(|(above, _)| *above).map_or(self.rates, |(_, rates)| *rates)
    }
}

fn rates(published: &Published) -> Rates {
    Rates {
        input: published.input_per_million.0,
        output: published.output_per_million.0,
        cached: published.cached_input_per_million.map(|rate| rate.0),
        written: published.cache_write_per_million.map(|rate| rate.0),
    }
}

fn written(rates: Rates) -> Map<String, Value> {
    let named = [
        ("input_per_million", Some(rates.input)),
        ("output_per_million", Some(rates.output)),
        ("cached_input_per_million", rates.cached),
        ("cache_write_per_million", rates.written),
    ];
    let dollars = |nanos: u64| format!("{}.{:09}", nanos / NANOS, nanos % NANOS).into();
    named.into_iter().filter_map(|(name, rate)| Some((name.to_owned(), dollars(rate?)))).collect()
}

/// Rounded up, once.
fn sum(parts: &[(u64, u64)]) -> u64 {
    let exact: u128 = parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum();
    u64::try_from(exact.div_ceil(PER)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Price, Rates, Tokens};

    const PLAIN: Rates = Rates { input: 333, output: 777, cached: None, written: None };

    #[test]
    fn a_cost_is_rounded_up_once() {
        let price = Price { rates: PLAIN, tiers: Vec::new() };
        let tokens = |input, output| Tokens { input, output, cached: 0, written: 0 };
        assert_eq!(price.cost(tokens(0, 0)), 0);
        assert_eq!(price.cost(tokens(1, 1)), 1, "a thousandth of a nano-dollar");
        assert_eq!(price.cost(tokens(1_000_000, 1_000_001)), 333 + 777 + 1);
    }

    #[test]
    fn cached_tokens_have_their_own_rate_and_a_hold_the_dearest() {
        let rates = Rates { cached: Some(100_000), written: Some(900_000), input: 500_000, output: 0 };
        let price = Price { rates, tiers: vec![(10, PLAIN)] };
        let tokens = Tokens { input: 10, output: 3, cached: 4, written: 2 };
        assert_eq!(price.cost(tokens), (4 * 5 + 4 + 2 * 9_u64).div_ceil(10), "10 are not above 10");
        assert_eq!(price.hold(10, 3), 9);
        assert_eq!(price.hold(11, 0), 1, "a tier holds for all of a call");
    }

    #[test]
    fn what_is_written_for_management_is_read_back_the_same() {
        for slug in 0..2 {
            let price = Price::draw(slug, &mut crate::chance::Chance::new(9));
            let read = serde_json::from_value(price.json()).unwrap();
            assert_eq!(Price::of(&read), price);
        }
    }
}
