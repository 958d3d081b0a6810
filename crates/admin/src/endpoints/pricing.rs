//! The form of a target's prices: JSON to [`Pricing`]. Read strictly: a rate under a name that we do not know would
//! be a rate that nobody is charged.
//!
//! Begins at [`pricing`].

use std::sync::Arc;

use domain::price::TIERS_MAX;
use domain::{Pricing, Rates, Tier};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::json::{Amount, Object, Whole};

/// What tokens of a target cost, in USD for a million of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PricingWanted, examples(json!({
    "input_per_million": "2.5", "output_per_million": "10", "cached_input_per_million": "1.25",
})))]
pub(super) struct PricingBody {
    /// Prompt tokens.
    input_per_million: Amount,
    /// Completion tokens.
    output_per_million: Amount,
    /// Prompt tokens that the server had in its cache; left out, they cost what others do.
    cached_input_per_million: Option<Amount>,
    /// Prompt tokens that the server put into its cache; left out, they cost what others do.
    cache_write_per_million: Option<Amount>,
    /// Other rates for calls with long prompts; the highest that a call reaches holds.
    #[schema(value_type = Option<Vec<TierBody>>, max_items = 8)]
    tiers: Option<Vec<Object<TierBody>>>,
}

/// Other rates for calls with long prompts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PriceTierWanted)]
struct TierBody {
    /// They hold for the whole of a call with more prompt tokens than this. No two tiers have the same.
    #[schema(value_type = u64, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    above_input_tokens: Whole,
    /// Prompt tokens.
    input_per_million: Amount,
    /// Completion tokens.
    output_per_million: Amount,
    /// Prompt tokens that the server had in its cache; left out, they cost what others of the tier do.
    cached_input_per_million: Option<Amount>,
    /// Prompt tokens that the server put into its cache; left out, they cost what others of the tier do.
    cache_write_per_million: Option<Amount>,
}

/// The prices that the operator wants.
///
/// # Errors
/// Too many tiers, or two that begin at the same length, or one that holds for every call.
pub(super) fn pricing(Object(body): Object<PricingBody>) -> Result<Arc<Pricing>, Error> {
    let plain = [body.input_per_million, body.output_per_million];
    let rates = rates(plain, [body.cached_input_per_million, body.cache_write_per_million]);
    let tiers: Vec<Tier> = body.tiers.iter().flatten().map(|Object(body)| tier(body)).collect();
    check(&tiers)?;
    Ok(Arc::new(Pricing { rates, tiers }))
}

fn tier(body: &TierBody) -> Tier {
    let plain = [body.input_per_million, body.output_per_million];
    let cache = [body.cached_input_per_million, body.cache_write_per_million];
    Tier { above_input_tokens: body.above_input_tokens.0, rates: rates(plain, cache) }
}

fn rates([input, output]: [Amount; 2], cache: [Option<Amount>; 2]) -> Rates {
    let [cached, written] = cache.map(|rate| rate.map(|Amount(usd)| usd));
    Rates {
        input_per_million: input.0,
        output_per_million: output.0,
        cached_input_per_million: cached,
        cache_write_per_million: written,
    }
}

fn check(tiers: &[Tier]) -> Result<(), Error> {
    let refuse = |what: String| Error::invalid(format!("targets[0].pricing.tiers{what}"));
    if tiers.len() > TIERS_MAX {
        return Err(refuse(format!(" holds {} tiers; list at most {TIERS_MAX}.", tiers.len())));
    }
    for (at, tier) in tiers.iter().enumerate() {
        let above = tier.above_input_tokens;
        if above == 0 {
            return Err(refuse(format!("[{at}].above_input_tokens is 0; send 1 or more.")));
        }
        if tiers.iter().take(at).any(|earlier| earlier.above_input_tokens == above) {
            return Err(refuse(format!(
                "[{at}].above_input_tokens is that of an earlier tier; let each begin at another length."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::Usd;
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::json::parse;
    use crate::openapi::published;

    #[derive(Debug, Deserialize)]
    struct Body {
        pricing: Object<PricingBody>,
    }

    fn priced(json: &str) -> Result<Pricing, String> {
        let body = format!(r#"{{"pricing":{json}}}"#);
        match parse::<Body>(body.as_bytes()).and_then(|body| pricing(body.pricing)) {
            Ok(pricing) => Ok(Pricing::clone(&pricing)),
            Err(Error::Invalid(message)) => Err(message.into_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Prices with so many tiers.
    fn with_tiers(above: impl Iterator<Item = usize>) -> String {
        let tier = |above: usize| {
            format!(r#"{{"above_input_tokens":{above},"input_per_million":3,"output_per_million":4}}"#)
        };
        let tiers: Vec<String> = above.map(tier).collect();
        format!(r#"{{"input_per_million":1,"output_per_million":2,"tiers":[{}]}}"#, tiers.join(","))
    }

    #[test]
    fn every_rate_of_every_tier_is_read() {
        let read = priced(
            r#"{"input_per_million":"2.5","output_per_million":10,"cached_input_per_million":null,
                "cache_write_per_million":0,"tiers":[{"above_input_tokens":200000,"input_per_million":5,
                "output_per_million":"20","cached_input_per_million":0.000000001,"cache_write_per_million":6}]}"#,
        );
        let (dollar, nano) = (1_000_000_000, 1);
        let first = Rates {
            input_per_million: Usd(2_500_000_000),
            output_per_million: Usd(10 * dollar),
            cached_input_per_million: None,
            cache_write_per_million: Some(Usd::ZERO),
        };
        let long = Rates {
            input_per_million: Usd(5 * dollar),
            output_per_million: Usd(20 * dollar),
            cached_input_per_million: Some(Usd(nano)),
            cache_write_per_million: Some(Usd(6 * dollar)),
        };
        let tiers = vec![Tier { above_input_tokens: 200_000, rates: long }];
        assert_eq!(read, Ok(Pricing { rates: first, tiers }));
    }

    #[test]
    fn what_is_wrong_with_a_price_is_said_by_name() {
        for (json, place) in [
            ("7", "pricing"),
            ("[1,2]", "pricing"),
            (r#"{"input_per_million":1}"#, "pricing: missing field `output_per_million`"),
            (r#"{"input_per_million":null,"output_per_million":1}"#, "pricing.input_per_million: "),
            (r#"{"input_per_million":-1,"output_per_million":1}"#, "pricing.input_per_million: "),
            (r#"{"input_per_million":1,"output_per_million":1e400}"#, "pricing.output_per_million: "),
            (
                r#"{"input_per_million":1,"output_per_million":1,"cache_write_per_million":"NaN"}"#,
                "pricing.cache_write_per_million: ",
            ),
            (r#"{"input_per_million":1,"output_per_million":1,"output":1}"#, "pricing.output: unknown field"),
            (
                r#"{"input_per_million":1,"output_per_million":1,"tiers":[{"above_input_tokens":1}]}"#,
                "pricing.tiers[0]: missing field",
            ),
            (
                r#"{"input_per_million":1,"output_per_million":1,"tiers":[{"above":1}]}"#,
                "pricing.tiers[0].above: unknown field",
            ),
            (r#"{"input_per_million":1,"output_per_million":1,"tiers":[[]]}"#, "pricing.tiers[0]: "),
        ] {
            let message = priced(json).unwrap_err();
            assert!(message.starts_with(place), "{json}: {message}");
        }
    }

    #[test]
    fn tiers_begin_at_different_lengths_and_are_few() {
        assert_eq!(priced(&with_tiers(1..=TIERS_MAX)).unwrap().tiers.len(), TIERS_MAX);
        assert!(priced(&with_tiers(1..=TIERS_MAX + 1)).unwrap_err().contains("tiers holds 9 tiers"));
        assert!(priced(&with_tiers(0..2)).unwrap_err().contains("tiers[0].above_input_tokens is 0"));
        let twice = priced(&with_tiers([5, 6, 5].into_iter()));
        assert!(twice.unwrap_err().contains("tiers[2].above_input_tokens is that of an earlier tier"));
    }

    #[test]
    fn the_published_bounds_are_those_that_are_kept() {
        assert_eq!(published("PricingWanted", "tiers", "maxItems"), TIERS_MAX);
        let shown = serde_json::to_value(Pricing::schema()).unwrap();
        assert_eq!(shown.pointer("/allOf/1/properties/tiers/maxItems"), Some(&TIERS_MAX.into()));
    }
}
