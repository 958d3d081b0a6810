//! Reads the price map that is widely used: a JSON object of models, each with what one token of it costs.
//!
//! <https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json> is the best known one. It holds far
//! more than we bill: what is not about text, or has no price for a token, is skipped and counted.
//!
//! Guarantees: a price is what the file says, digit by digit, down to a nano-dollar for a million tokens; the same file
//! gives the same prices whatever the order of its entries. Knows nothing of: HTTP, files, what is in force.
//! Begins at [`read_price_map`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use domain::money::decimal;
use domain::price::TIERS_MAX;
use domain::{PriceBook, Pricing, Rates, Tier, Usd};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Entries of one map.
pub const PRICE_MAP_ENTRIES_MAX: usize = 100_000;

/// Characters of a key that an error repeats.
const KEY_SHOWN_MAX: usize = 100;
/// From USD for a token to nano-dollars for a million: fifteen decimals further.
const SCALE: i64 = 15;

/// The prices that a token has, in the order of [`Four`].
const KINDS: [&str; 4] = [
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
];
/// What makes a price that of a tier: `input_cost_per_token_above_200k_tokens`.
const TIER: (&str, &str) = ("_above_", "k_tokens");
/// Kinds of models whose tokens we bill. An entry that does not say is of one of them.
const MODES: [&str; 4] = ["chat", "completion", "embedding", "responses"];
/// An entry that explains the others.
const SAMPLE: &str = "sample_spec";

/// The prices of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceMap {
    /// Those that can be billed by; at least one. No name in it is empty or has control characters.
    pub book: PriceBook,
    /// Entries that were left out: not about text, without a price for a token or a provider, or said by another entry.
    pub skipped: usize,
}

/// Why a map was not taken, as the end of a sentence. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceMapError {
    entry: Option<String>,
    why: String,
}

/// Input, output, cache read, cache write; none where the entry does not say.
type Four = [Option<Usd>; 4];
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a price map. An entry is about the model of its key at its `litellm_provider`; a key may begin with the
/// provider, as in `openai/gpt-4o`, and gives way to one that does not.
///
/// # Errors
/// What is not a JSON object of objects, or of more than [`PRICE_MAP_ENTRIES_MAX`]; a price that is not a number, below
/// zero or too large; a map that prices nothing.
pub fn read_price_map(json: &[u8]) -> Result<PriceMap, PriceMapError> {
    let Entries(entries) = serde_json::from_slice(json)
        .map_err(|error| PriceMapError { entry: None, why: format!("it is no price map: {error}") })?;
    let mut map = PriceMap { book: PriceBook::default(), skipped: 0 };
    for (key, entry) in &entries {
        let priced = read_entry(key, entry).map_err(|why| PriceMapError::of(key, why))?;
        match priced {
            Some(priced) => map.put(priced),
            None => map.skipped += 1,
        }
    }
    if map.book.0.is_empty() {
        let why = "no entry of it has `litellm_provider`, `input_cost_per_token` and `output_cost_per_token`; \
                   take a map that has";
        return Err(PriceMapError { entry: None, why: why.to_owned() });
    }
    Ok(map)
}

/// An entry that can be billed by.
struct Priced {
    provider: Arc<str>,
    model: Arc<str>,
    /// Whether the key began with the provider.
    is_prefixed: bool,
    pricing: Pricing,
}

impl PriceMap {
    /// Where two entries are about one model, that whose key is the model's very name wins, else the first.
    fn put(&mut self, priced: Priced) {
        let Priced { provider, model, is_prefixed, pricing } = priced;
        match self.book.0.entry((provider, model)) {
            Entry::Vacant(free) => {
                free.insert(Arc::new(pricing));
            }
            Entry::Occupied(mut taken) => {
                self.skipped += 1;
                if !is_prefixed {
                    taken.insert(Arc::new(pricing));
                }
            }
        }
    }
}

fn read_entry(key: &str, entry: &RawValue) -> Result<Option<Priced>, String> {
    if key == SAMPLE {
        return Ok(None);
    }
    let fields: Fields<'_> =
        serde_json::from_str(entry.get()).map_err(|_| "it is not a JSON object".to_owned())?;
    // All of it is looked at, so that what is wrong is said of entries that are skipped, too.
    let (provider, mode) = (read_text(&fields, "litellm_provider")?, read_text(&fields, "mode")?);
    let pricing = pricing(&fields)?;
    let (Some(provider), Some(pricing)) = (provider.filter(|name| !name.is_empty()), pricing) else {
        return Ok(None);
    };
    let (provider, model) = named(key, &provider);
    let is_billed = mode.is_none_or(|mode| MODES.contains(&mode.as_str()));
    let is_named = !model.is_empty() && !provider.chars().chain(model.chars()).any(char::is_control);
    if !is_named || !is_billed {
        return Ok(None);
    }
    Ok(Some(Priced { provider: provider.into(), model: model.into(), is_prefixed: model != key, pricing }))
}

/// The provider as endpoints name it, and the model as the provider does.
fn named<'a>(key: &'a str, provider: &'a str) -> (&'a str, &'a str) {
    // One provider, and many words for what it serves: `vertex_ai-anthropic_models`.
    let (ours, prefix) =
        if provider.starts_with("vertex_ai") { ("vertex", "vertex_ai") } else { (provider, provider) };
    let model = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    (ours, model.unwrap_or(key))
}

/// None without a price for input and one for output, or with more tiers than a price may have.
fn pricing(fields: &Fields<'_>) -> Result<Option<Pricing>, String> {
    let mut base = Four::default();
    for (price, kind) in base.iter_mut().zip(KINDS) {
        *price = read_price(fields, kind)?;
    }
    let tiers = tiers(fields)?;
    let Some(rates) = rates(base).filter(|_| tiers.len() <= TIERS_MAX) else { return Ok(None) };
    // What a tier does not say is as without it.
    let filled = |tier: Four| std::array::from_fn(|at| tier[at].or(base[at]));
    let tier = |(above, tier)| Some(Tier { above_input_tokens: above, rates: self::rates(filled(tier))? });
    Ok(Some(Pricing { rates, tiers: tiers.into_iter().filter_map(tier).collect() }))
}

fn rates([input, output, cache_read, cache_write]: Four) -> Option<Rates> {
    Some(Rates {
        input_per_million: input?,
        output_per_million: output?,
        cached_input_per_million: cache_read,
        cache_write_per_million: cache_write,
    })
}

/// Prices of calls with long prompts, by the prompt tokens they begin above.
fn tiers(fields: &Fields<'_>) -> Result<BTreeMap<u64, Four>, String> {
    let mut tiers: BTreeMap<u64, Four> = BTreeMap::new();
    for name in fields.keys() {
        let Some((kind, above)) = tier_of(name) else { continue };
        if let (Some(at), Some(price)) =
            (KINDS.iter().position(|its| *its == kind), read_price(fields, name)?)
        {
            tiers.entry(above).or_default()[at] = Some(price);
        }
    }
    Ok(tiers)
}

/// `input_cost_per_token_above_200k_tokens` is the input's, above 200 000 tokens.
fn tier_of(name: &str) -> Option<(&str, u64)> {
    let (kind, thousands) = name.strip_suffix(TIER.1)?.rsplit_once(TIER.0)?;
    let digits = thousands.bytes().all(|byte| byte.is_ascii_digit());
    let thousands: u64 = thousands.parse().ok().filter(|_| digits)?;
    Some((kind, thousands.checked_mul(1_000)?))
}

/// A number as it is written, so that no floating point comes between.
fn read_price(fields: &Fields<'_>, name: &str) -> Result<Option<Usd>, String> {
    let Some(written) = fields.get(name).map(|value| value.get()).filter(|text| *text != "null") else {
        return Ok(None);
    };
    decimal(written, SCALE)
        .map(|nanos| Some(Usd(nanos)))
        .map_err(|not| format!("{name} is {}; correct it, or take the entry out", not.why()))
}

fn read_text(fields: &Fields<'_>, name: &str) -> Result<Option<String>, String> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    serde_json::from_str(value.get())
        .map_err(|_| format!("{name} is not text; correct it, or take the entry out"))
}

impl PriceMapError {
    fn of(key: &str, why: String) -> Self {
        Self { entry: Some(key.chars().take(KEY_SHOWN_MAX).collect()), why }
    }
}

impl fmt::Display for PriceMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "entry `{entry}`: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for PriceMapError {}

/// The entries of a map, not looked at yet. Of two with one key the last counts.
struct Entries<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfModels;
        impl<'de> Visitor<'de> for OfModels {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of models")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, entry)) = map.next_entry()? {
                    if entries.len() == PRICE_MAP_ENTRIES_MAX {
                        let most = format_args!("more than {PRICE_MAP_ENTRIES_MAX} entries");
                        return Err(A::Error::custom(most));
                    }
                    entries.insert(key, entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(OfModels)
    }
}

#[cfg(test)]
mod tests;
