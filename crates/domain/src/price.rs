//! Prices of tokens, and what a call costs by them.
//!
//! Rates are nano-dollars per million tokens, so a rate of nine decimals is whole. The cost of a call is rounded up to a
//! nano-dollar once, over all of its tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Usd;
use crate::usage::Usage;

/// Tokens that rates are told for.
const PER: u128 = 1_000_000;
/// Tiers that one price may have.
pub const TIERS_MAX: usize = 8;

/// What a million tokens of each kind cost, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Prompt tokens.
    #[schema(value_type = String, examples("2.5"))]
    pub input_per_million: Usd,
    /// Completion tokens.
    #[schema(value_type = String, examples("10"))]
    pub output_per_million: Usd,
    /// Prompt tokens that the server had in its cache; left out, they cost what others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub cached_input_per_million: Option<Usd>,
    /// Prompt tokens that the server put into its cache; left out, they cost what others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub cache_write_per_million: Option<Usd>,
}

/// Other rates for calls with long prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = PriceTier)]
pub struct Tier {
    /// They hold for the whole of a call with more prompt tokens than this.
    pub above_input_tokens: u64,
    /// The rates.
    #[serde(flatten)]
    pub rates: Rates,
}

/// The price of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Pricing {
    /// What tokens cost.
    #[serde(flatten)]
    pub rates: Rates,
    /// Other rates for calls with long prompts; the highest that a call reaches holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false, max_items = 8)]
    pub tiers: Vec<Tier>,
}

/// What the tokens of one call may cost at most: nano-dollars per million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tariff {
    /// Prompt tokens.
    pub input: Usd,
    /// Completion tokens.
    pub output: Usd,
}

impl Pricing {
    /// What a call with this usage costs.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Usd {
        let rates = self.rates_at(usage.input);
        let cached = usage.cached.min(usage.input);
        let written = usage.cache_written.min(usage.input - cached);
        let plain = usage.input - cached - written;
        let of = |rate: Option<Usd>| rate.unwrap_or(rates.input_per_million);
        sum([
            (plain, rates.input_per_million),
            (cached, of(rates.cached_input_per_million)),
            (written, of(rates.cache_write_per_million)),
            (usage.output, rates.output_per_million),
        ])
    }

    /// The most that tokens of a call with so long a prompt can cost: whatever of it the server caches.
    #[must_use]
    pub fn tariff(&self, prompt: u64) -> Tariff {
        let rates = self.rates_at(prompt);
        let cache = rates.cached_input_per_million.max(rates.cache_write_per_million);
        let input = cache.map_or(rates.input_per_million, |cache| cache.max(rates.input_per_million));
        Tariff { input, output: rates.output_per_million }
    }

    fn rates_at(&self, prompt: u64) -> &Rates {
        let reached = self.tiers.iter().filter(|tier| prompt > tier.above_input_tokens);
        reached.max_by_key(|tier| tier.above_input_tokens).map_or(&self.rates, |tier| &tier.rates)
    }
}

impl Tariff {
    /// What so many tokens cost, rounded up.
    #[must_use]
    pub fn cost(&self, prompt: u64, output: u64) -> Usd {
        sum([(prompt, self.input), (output, self.output)])
    }

    /// The most completion tokens that fit into `room` beside the prompt.
    #[must_use]
    pub fn output_within(&self, room: Usd, prompt: u64) -> u64 {
        let prompt = u128::from(prompt).saturating_mul(self.input.0.into());
        let left = u128::from(room.0).saturating_mul(PER).saturating_sub(prompt);
        match self.output.0 {
            0 => u64::MAX,
            rate => u64::try_from(left / u128::from(rate)).unwrap_or(u64::MAX),
        }
    }
}

/// Tokens at their rates, rounded up to a nano-dollar; no more than [`Usd::MAX`].
fn sum<const N: usize>(parts: [(u64, Usd); N]) -> Usd {
    let exact = parts.into_iter().fold(0_u128, |sum, (tokens, rate)| {
        sum.saturating_add(u128::from(tokens).saturating_mul(rate.0.into()))
    });
    Usd(u64::try_from(exact.div_ceil(PER)).unwrap_or(u64::MAX)).min(Usd::MAX)
}

/// What becomes of a call that a budget applies to, where its route has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// It is refused: what it costs cannot be held to the budget.
    Refused,
    /// It costs nothing.
    Allowed,
}

/// Prices by provider and the model's name there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceBook(pub BTreeMap<(Arc<str>, Arc<str>), Arc<Pricing>>);

/// Where a book came from. One that the configuration names goes before one that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PriceSource {
    /// The file that the configuration names.
    File,
    /// `tollgate prices import`.
    Imported,
}

impl PriceSource {
    /// Both, the one that goes first first.
    pub const ALL: [Self; 2] = [Self::File, Self::Imported];

    /// The word in tables and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Imported => "imported",
        }
    }
}

impl PriceBook {
    /// The price of a provider's model.
    #[must_use]
    pub fn price(&self, provider: &str, model: &str) -> Option<&Arc<Pricing>> {
        self.0.get(&(provider.into(), model.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::UsageSource;

    fn pricing(json: &str) -> Pricing {
        serde_json::from_str(json).unwrap()
    }

    fn usage(input: u64, output: u64, cached: u64, cache_written: u64) -> Usage {
        Usage { input, output, cached, cache_written, source: UsageSource::Reported }
    }

    #[test]
    fn a_call_costs_the_sum_of_its_tokens_rounded_up_once() {
        let flat = pricing(r#"{"input_per_million":0.15,"output_per_million":"0.6"}"#);
        assert_eq!(flat.cost(&usage(1_000_000, 1_000_000, 0, 0)), Usd(750_000_000));
        assert_eq!(flat.cost(&usage(1, 0, 0, 0)), Usd(150));
        let odd = pricing(r#"{"input_per_million":"0.000000001","output_per_million":"0.000000001"}"#);
        assert_eq!(odd.cost(&usage(1, 1, 0, 0)), Usd(1), "two millionths of a nano-dollar");
        assert_eq!(odd.cost(&usage(0, 0, 0, 0)), Usd::ZERO);
    }

    #[test]
    fn cached_tokens_have_their_own_rates_or_that_of_the_others() {
        let flat = pricing(r#"{"input_per_million":10,"output_per_million":0}"#);
        assert_eq!(flat.cost(&usage(100, 0, 40, 30)), flat.cost(&usage(100, 0, 0, 0)));
        let cached = pricing(
            r#"{"input_per_million":10,"output_per_million":0,"cached_input_per_million":1,
                "cache_write_per_million":12.5}"#,
        );
        assert_eq!(cached.cost(&usage(100, 0, 40, 30)), Usd(30 * 10_000 + 40 * 1_000 + 30 * 12_500));
        assert_eq!(cached.cost(&usage(10, 0, 40, 30)), Usd(10 * 1_000), "no more of it than there is");
    }

    #[test]
    fn the_highest_tier_that_the_prompt_reaches_holds_for_all_of_the_call() {
        let tiers = pricing(
            r#"{"input_per_million":1,"output_per_million":2,"tiers":[
                {"above_input_tokens":200,"input_per_million":3,"output_per_million":4},
                {"above_input_tokens":100,"input_per_million":2,"output_per_million":3}]}"#,
        );
        for (input, nanos) in
            [(100, 100 * 1_000 + 2_000), (101, 101 * 2_000 + 3_000), (201, 201 * 3_000 + 4_000)]
        {
            assert_eq!(tiers.cost(&usage(input, 1, 0, 0)), Usd(nanos));
            assert_eq!(tiers.tariff(input).cost(input, 1), Usd(nanos));
        }
    }

    #[test]
    fn an_estimate_takes_the_dearest_rate_of_a_prompt_token() {
        let json = |write: &str| {
            pricing(&format!(
                r#"{{"input_per_million":10,"output_per_million":1,"cached_input_per_million":1,
                    "cache_write_per_million":{write}}}"#
            ))
        };
        assert_eq!(json("12.5").tariff(5).input, Usd(12_500_000_000));
        assert_eq!(json("2").tariff(5).input, Usd(10_000_000_000));
    }

    #[test]
    fn output_that_fits_costs_no_more_than_the_room_and_one_token_more_does() {
        let tariff = Tariff { input: Usd(3), output: Usd(7_000_000_000) };
        for (room, prompt) in
            [(Usd(70_000), 0), (Usd(70_001), 9), (Usd(6_999), 0), (Usd::ZERO, 5), (Usd(1 << 60), 3)]
        {
            let output = tariff.output_within(room, prompt);
            assert!(output == 0 || tariff.cost(prompt, output) <= room);
            assert!(tariff.cost(prompt, output + 1) > room);
        }
        assert_eq!(Tariff::default().output_within(Usd::ZERO, 1), u64::MAX);
    }

    #[test]
    fn the_largest_call_at_the_largest_price_saturates() {
        let dear = Tariff { input: Usd::MAX, output: Usd::MAX };
        assert_eq!(dear.cost(u64::MAX, u64::MAX), Usd::MAX);
    }
}
