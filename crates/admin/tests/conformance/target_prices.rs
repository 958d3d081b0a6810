//! `/v1/gateway/endpoints`: what a target's tokens cost, and by which name its provider is known.

use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

/// An endpoint with these members of its target besides the needed ones.
fn endpoint(slug: &str, more: Value) -> Value {
    let mut target = json!({"provider": "BASETEN", "model_id": "3kZ9xqd"});
    let Value::Object(more) = more else { panic!("not the members of a target: {more}") };
    target.as_object_mut().unwrap().extend(more);
    json!({"slug": slug, "targets": [target]})
}

fn priced(pricing: Value) -> Value {
    let mut more = json!({});
    more["pricing"] = pricing;
    endpoint("acme/x", more)
}

fn path(endpoint: &Reply) -> String {
    format!("{ENDPOINTS}/{}", endpoint.body["id"].as_str().unwrap())
}

#[tokio::test]
async fn prices_are_echoed_as_decimal_strings_and_only_where_they_are_set() {
    let gw = Gateway::start().await;
    for (slug, sent, shown) in [
        (
            "acme/a",
            json!({"input_per_million": 2.5, "output_per_million": 10}),
            json!({"input_per_million": "2.5", "output_per_million": "10"}),
        ),
        (
            "acme/b",
            json!({"input_per_million": "0.1", "output_per_million": "0.200000000",
                "cached_input_per_million": 0.000_000_001, "cache_write_per_million": "8123456789.123456789",
                "tiers": []}),
            json!({"input_per_million": "0.1", "output_per_million": "0.2",
                "cached_input_per_million": "0.000000001", "cache_write_per_million": "8123456789.123456789"}),
        ),
        (
            "acme/c",
            json!({"input_per_million": 0, "output_per_million": 0, "cached_input_per_million": null,
                "tiers": [{"above_input_tokens": 200_000, "input_per_million": 3, "output_per_million": "4.50"}]}),
            json!({"input_per_million": "0", "output_per_million": "0",
                "tiers": [{"above_input_tokens": 200_000, "input_per_million": "3", "output_per_million": "4.5"}]}),
        ),
    ] {
        let made = gw.post(ENDPOINTS, endpoint(slug, json!({"pricing": sent}))).await;
        assert_eq!(made.status, 200, "{}", made.text);
        assert_eq!(made.body["targets"][0]["pricing"], shown, "{slug}");
        assert_eq!(gw.get(&path(&made)).await.body["targets"], made.body["targets"], "{slug}");
    }
    let bare = gw.post(ENDPOINTS, endpoint("acme/d", json!({"pricing": null, "provider_name": null}))).await;
    assert_eq!((bare.status, fields(&bare.body["targets"][0])), (200, vec!["model_id", "provider"]));
}

#[tokio::test]
async fn a_number_beyond_what_others_can_read_is_kept_to_its_last_digit() {
    let gw = Gateway::start().await;
    let body = priced(json!({"input_per_million": 7, "output_per_million": 1})).to_string();
    let body = body.replace(":7", ":8123456789.123456789");
    let made = send(&gw, http::Method::POST, ENDPOINTS, body.as_bytes()).await;
    let rate = &made.body["targets"][0]["pricing"]["input_per_million"];
    assert_eq!((made.status, rate), (200, &json!("8123456789.123456789")), "{}", made.text);
}

#[tokio::test]
async fn a_price_that_is_not_understood_is_refused_by_the_name_of_its_field() {
    let gw = Gateway::start().await;
    let before = gw.get(ENDPOINTS).await.body;
    let tier =
        |above: u64| json!({"above_input_tokens": above, "input_per_million": 1, "output_per_million": 1});
    let with = |member: &str, value: Value| {
        let mut pricing = json!({"input_per_million": 1, "output_per_million": 1});
        pricing[member] = value;
        priced(pricing)
    };
    let nine: Vec<Value> = (1..=9).map(tier).collect();
    for (body, place) in [
        (priced(json!({})), "pricing: missing field `input_per_million`"),
        (priced(json!([1, 1])), "pricing: "),
        (with("input_per_million", json!(-1)), "pricing.input_per_million: "),
        (with("output_per_million", json!("-0.0000000001")), "pricing.output_per_million: "),
        (with("cached_input_per_million", json!("NaN")), "pricing.cached_input_per_million: "),
        (with("cache_write_per_million", json!("1e400")), "pricing.cache_write_per_million: "),
        (with("input_per_million", json!(true)), "pricing.input_per_million: "),
        (with("input", json!(1)), "pricing.input: unknown field"),
        (with("tiers", json!([tier(0)])), "pricing.tiers[0].above_input_tokens is 0"),
        (with("tiers", json!([tier(1), tier(1)])), "pricing.tiers[1].above_input_tokens is that of"),
        (with("tiers", json!(nine)), "pricing.tiers holds 9 tiers"),
        (with("tiers", json!([{"above_input_tokens": 1.5}])), "pricing.tiers[0].above_input_tokens: "),
        (with("tiers", json!([{"above_input_tokens": 1}])), "pricing.tiers[0]: missing field"),
        (with("tiers", json!({})), "pricing.tiers: "),
        (endpoint("acme/x", json!({"provider_name": "Groq"})), "provider_name is not"),
        (endpoint("acme/x", json!({"provider_name": ""})), "provider_name is not"),
        (endpoint("acme/x", json!({"provider_name": 7})), "provider_name: "),
    ] {
        let reply = gw.post(ENDPOINTS, body.clone()).await;
        refused(&reply, 400, place);
        let message = reply.body["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("targets[0].{place}")), "{body}: {message}");
    }
    for number in ["1e400", "-1e-99"] {
        let body = with("input_per_million", json!(7)).to_string().replace(":7", &format!(":{number}"));
        let reply = send(&gw, http::Method::POST, ENDPOINTS, body.as_bytes()).await;
        refused(&reply, 400, number);
        assert!(reply.text.contains("targets[0].pricing.input_per_million: "), "{number}: {}", reply.text);
    }
    assert_eq!(gw.get(ENDPOINTS).await.body, before);
}

#[tokio::test]
async fn a_target_that_is_replaced_keeps_no_price_and_no_name_of_the_one_before() {
    let gw = Gateway::start().await;
    let pricing = json!({"input_per_million": "1", "output_per_million": "2"});
    let mut priced = endpoint("acme/x", json!({"provider_name": "groq"}));
    priced["targets"][0]["pricing"] = pricing.clone();
    let made = gw.post(ENDPOINTS, priced.clone()).await;
    assert_eq!((made.status, &made.body["targets"]), (200, &priced["targets"]), "{}", made.text);
    let renamed = gw.patch(&path(&made), json!({"slug": "acme/y"})).await;
    assert_eq!(
        (renamed.status, &renamed.body["targets"]),
        (200, &priced["targets"]),
        "another name, no other target"
    );
    let bare = endpoint("acme/x", json!({}));
    let replaced = gw.patch(&path(&made), json!({"targets": bare["targets"]})).await;
    assert_eq!((replaced.status, &replaced.body["targets"]), (200, &bare["targets"]));
    let priced_again = gw.patch(&path(&made), json!({"targets": priced["targets"]})).await;
    assert_eq!((priced_again.status, &priced_again.body["targets"]), (200, &priced["targets"]));
}

#[tokio::test]
async fn prices_and_users_are_there_after_a_restart() {
    let mut gw = Gateway::start().await;
    let pricing = json!({"input_per_million": "0.1", "output_per_million": "2",
        "tiers": [{"above_input_tokens": 5, "input_per_million": "3", "output_per_million": "4"}]});
    let wanted = endpoint("acme/x", json!({"pricing": pricing, "provider_name": "groq"}));
    let made = gw.post(ENDPOINTS, wanted).await;
    let group = created(&gw, plain("cust_42")).await;
    let keys = format!("{GROUPS}/{group}/api_keys");
    assert_eq!(gw.post(&keys, json!({"user_id": "u_1"})).await.status, 200);
    let listed = gw.get(&keys).await.body;
    gw.restart().await;
    assert_eq!(gw.get(&path(&made)).await.body, made.body);
    assert_eq!(gw.get(&keys).await.body, listed);
    assert_eq!(listed["items"][0]["user_id"], "u_1");
}
