use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Entries as the best known map has them.
const FIXTURE: &str = include_str!("fixture.json");

fn read(map: &Value) -> Result<PriceMap, String> {
    read_price_map(map.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// An entry of the provider `p`, with these members besides.
fn entry(members: Value) -> Value {
    let mut entry =
        json!({"litellm_provider": "p", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6});
    let Value::Object(members) = members else { panic!("an entry has members") };
    entry.as_object_mut().unwrap().extend(members);
    entry
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

#[test]
fn the_usable_entries_of_a_real_map_are_taken_and_the_others_counted() {
    let map = read_price_map(FIXTURE.as_bytes()).unwrap();
    let taken: Vec<_> = map.book.0.keys().map(|(provider, model)| format!("{provider} {model}")).collect();
    assert_eq!(
        taken,
        [
            "anthropic claude-sonnet-4-5",
            "groq openai/gpt-oss-120b",
            "openai gpt-4o",
            "openai gpt-5-mini",
            "openai text-embedding-3-small",
            "vertex claude-sonnet-4-5",
            "vertex gemini-1.5-pro",
        ]
    );
    assert_eq!(map.skipped, 7);
}

#[test]
fn prices_are_those_of_the_file_digit_by_digit() {
    let map = read_price_map(FIXTURE.as_bytes()).unwrap();
    let gpt = map.book.price("openai", "gpt-4o").unwrap();
    let rates = Rates {
        input_per_million: usd("2.5"),
        output_per_million: usd("10"),
        cached_input_per_million: Some(usd("1.25")),
        cache_write_per_million: None,
    };
    assert_eq!(**gpt, Pricing { rates, tiers: Vec::new() });
    let odd = read_price_map(
        br#"{"m":{"litellm_provider":"p","input_cost_per_token":0.000000123456789012345,"output_cost_per_token":3E-7}}"#,
    );
    let rates = odd.unwrap().book.price("p", "m").unwrap().rates;
    assert_eq!((rates.input_per_million, rates.output_per_million), (usd("0.123456789"), usd("0.3")));
}

#[test]
fn a_long_prompt_has_the_prices_of_its_tier_and_else_those_without_one() {
    let map = read_price_map(FIXTURE.as_bytes()).unwrap();
    let claude = map.book.price("anthropic", "claude-sonnet-4-5").unwrap();
    let rates = Rates {
        input_per_million: usd("6"),
        output_per_million: usd("22.5"),
        cached_input_per_million: Some(usd("0.6")),
        cache_write_per_million: Some(usd("7.5")),
    };
    assert_eq!(claude.tiers, [Tier { above_input_tokens: 200_000, rates }]);
    assert_eq!(claude.rates.cache_write_per_million, Some(usd("3.75")), "an hour in the cache is no tier");
    let gemini = map.book.price("vertex", "gemini-1.5-pro").unwrap();
    let rates = Rates { input_per_million: usd("2.5"), ..gemini.rates };
    assert_eq!(gemini.tiers, [Tier { above_input_tokens: 128_000, rates }]);
}

#[test]
fn the_key_that_is_the_models_very_name_wins_whatever_stands_first() {
    let dear = entry(json!({"input_cost_per_token": 1}));
    for (exact, prefixed) in [("m", "p/m"), ("z", "p/z")] {
        let map = read(&json!({prefixed: dear, exact: entry(json!({}))})).unwrap();
        let price = map.book.price("p", exact).unwrap();
        assert_eq!((price.rates.input_per_million, map.skipped), (usd("1"), 1), "{exact}");
    }
    let other = entry(json!({"litellm_provider": "vertex"}));
    let vertex = entry(json!({"litellm_provider": "vertex_ai", "input_cost_per_token": 1}));
    let map = read(&json!({"vertex_ai/m": vertex, "vertex/m": other})).unwrap();
    assert_eq!(map.book.price("vertex", "m").unwrap().rates.input_per_million, usd("1"), "the first key");
}

#[test]
fn only_the_providers_own_prefix_is_taken_off_a_key() {
    let map =
        read(&json!({"q/m": entry(json!({})), "p/q/m": entry(json!({})), "pm": entry(json!({}))})).unwrap();
    assert!(map.book.price("p", "pm").is_some());
    assert_eq!((map.book.0.len(), map.skipped), (2, 1), "`q/m` is the model of both others");
    let nameless = json!({"p/": entry(json!({})), "a\u{0}b": entry(json!({})), "m": entry(json!({}))});
    assert_eq!(read(&nameless).unwrap().skipped, 2);
}

#[test]
fn a_price_that_is_none_is_refused_by_its_entry_and_name() {
    for (members, expected) in [
        (json!({"input_cost_per_token": -1e-6}), "input_cost_per_token is below zero"),
        (json!({"output_cost_per_token": "cheap"}), "output_cost_per_token is not a decimal number"),
        (json!({"output_cost_per_token": {}}), "output_cost_per_token is not a decimal number"),
        (json!({"cache_read_input_token_cost": true}), "cache_read_input_token_cost is not"),
        (json!({"cache_creation_input_token_cost": 1e300}), "cache_creation_input_token_cost is too large"),
        (
            json!({"input_cost_per_token_above_9k_tokens": -1}),
            "input_cost_per_token_above_9k_tokens is below",
        ),
        (json!({"litellm_provider": 5}), "litellm_provider is not text"),
        (json!({"mode": ["chat"]}), "mode is not text"),
        // Also where the entry would be skipped.
        (json!({"mode": "rerank", "input_cost_per_token": -1}), "input_cost_per_token is below zero"),
    ] {
        let said = read(&json!({"fine": entry(json!({})), "gpt-bad": entry(members)})).unwrap_err();
        assert!(said.starts_with("entry `gpt-bad`: ") && said.contains(expected), "{said}");
    }
    let said = read(&json!({"gpt-bad": 5})).unwrap_err();
    assert_eq!(said, "entry `gpt-bad`: it is not a JSON object");
    let said = read(&json!({"k".repeat(5_000): 5})).unwrap_err();
    assert!(said.len() < 200, "a long key is cut");
}

#[test]
fn null_is_as_if_it_were_not_there_and_more_tiers_than_a_price_may_have_are_skipped() {
    let unpriced = entry(json!({"output_cost_per_token": null}));
    let nobodys = entry(json!({"litellm_provider": null}));
    let tiers = (1..=9).map(|n| (format!("input_cost_per_token_above_{n}k_tokens"), json!(1)));
    let tiered = entry(Value::Object(tiers.collect()));
    let map = json!({"a": unpriced, "b": nobodys, "c": tiered, "m": entry(json!({"mode": null}))});
    let map = read(&map).unwrap();
    assert_eq!((map.book.0.len(), map.skipped), (1, 3));
}

#[test]
fn what_is_no_map_or_prices_nothing_is_refused() {
    for (json, expected) in [
        (&b"not json"[..], "expected"),
        (b"", "EOF"),
        (b"[]", "an object of models"),
        (b"null", "an object of models"),
        (b"{\"m\":{}} x", "trailing"),
        (b"{\"m\":{\"a\":\"\xff\"}}", "unicode"),
        (b"{}", "no entry of it has"),
        (b"{\"m\":{\"litellm_provider\":\"p\"}}", "no entry of it has"),
    ] {
        let said = read_price_map(json).unwrap_err().to_string();
        assert!(said.contains(expected), "{}: {said}", String::from_utf8_lossy(json));
    }
}

#[test]
fn a_map_has_a_bound() {
    let many = |count: usize| {
        let entries = (0..count).map(|n| format!("\"{n}\":{{}}")).collect::<Vec<_>>();
        read_price_map(format!("{{{}}}", entries.join(",")).as_bytes()).unwrap_err().to_string()
    };
    assert!(many(PRICE_MAP_ENTRIES_MAX).contains("no entry of it has"));
    assert!(many(PRICE_MAP_ENTRIES_MAX + 1).contains("more than 100000 entries"));
}

/// Any JSON, made of the words that mean something here.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "litellm_provider",
        "mode",
        "chat",
        "p",
        "p/m",
        "m",
        "vertex_ai",
        "vertex_ai/",
        "sample_spec",
        "_above_k_tokens",
        "",
        "input_cost_per_token_above_200k_tokens",
        "output_cost_per_token_above_99999999999999999999k_tokens",
    ]);
    let text = word.prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_read_is_a_map_of_prices_or_an_error(json in any_json()) {
        let read = read_price_map(json.to_string().as_bytes());
        prop_assert!(read.is_err() || read.is_ok_and(|map| !map.book.0.is_empty()));
    }

    #[test]
    fn bytes_that_are_too_few_for_a_price_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(read_price_map(&bytes).is_err());
    }

    #[test]
    fn a_price_of_any_digits_is_read_as_money_is(digits in 0_u64..1_000_000_000, places in 6_usize..15) {
        let written = format!("{digits}e-{places}");
        let map = format!(r#"{{"m":{{"litellm_provider":"p","input_cost_per_token":{written},"output_cost_per_token":0}}}}"#);
        let map = read_price_map(map.as_bytes()).unwrap();
        let per_million: Usd = format!("{digits}e-{}", places - 6).parse().unwrap();
        prop_assert_eq!(map.book.price("p", "m").unwrap().rates.input_per_million, per_million);
    }
}
