//! Prices: what calls cost, by which price, and what becomes of calls that have none.

use domain::{PriceSource, Usd};
use http::Method;
use modelsim::{End, UsageReport};
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply, Script};

use crate::support::*;

const SLUG: &str = "acme/x";

/// A gateway where `acme/x` has this price, its id, and a customer of it.
async fn at_price(pricing: Value) -> (Gateway, String, Customer) {
    let gw = Gateway::start().await;
    let fields = if pricing.is_null() { json!({}) } else { json!({ "pricing": pricing }) };
    let endpoint = gw.endpoint_with(SLUG, fields).await;
    let customer = gw.customer("cust", models(SLUG, &[])).await;
    (gw, endpoint, customer)
}

/// What the ledger says that the call cost.
async fn cost(gw: &Gateway, reply: Reply) -> Option<u64> {
    let reply = reply.expect(200);
    gw.entry(reply.header("x-request-id")).await.unwrap().cost.map(|cost| cost.0)
}

async fn message(gw: &Gateway, customer: &Customer) -> Reply {
    let request = gw.request(Method::POST, "/v1/messages").header("x-api-key", &customer.key);
    request.json(&chat(SLUG)).send().await
}

#[tokio::test]
async fn a_call_costs_its_tokens_at_the_rates_of_their_kinds_and_of_the_tier_that_it_reaches() {
    let (gw, _, customer) = at_price(json!({
        "input_per_million": 3, "output_per_million": "15", "cached_input_per_million": 0.3,
        "cache_write_per_million": 3.75,
        "tiers": [{ "above_input_tokens": 1_000, "input_per_million": 6, "output_per_million": 22.5 }],
    }))
    .await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d") })).await;
    let script = |prompt, read, write| Script {
        prompt_tokens: prompt,
        cache_read_tokens: read,
        cache_write_tokens: write,
        ..Script::default()
    };
    let mut sum = 0;
    for (script, nanos) in [
        (script(100, 0, 0), 100 * 3_000 + 9 * 15_000),
        (script(100, 60, 30), 10 * 3_000 + 60 * 300 + 30 * 3_750 + 9 * 15_000),
        (script(1_000, 0, 0), 1_000 * 3_000 + 9 * 15_000),
        // Those of the tier that it leaves out cost what its other prompt tokens do.
        (script(1_001, 500, 0), 1_001 * 6_000 + 9 * 22_500),
    ] {
        gw.model.set(script);
        assert_eq!(cost(&gw, message(&gw, &customer).await).await, Some(nanos));
        sum += nanos;
    }
    assert_eq!(gw.spent(&config), sum);
}

#[tokio::test]
async fn a_cost_is_rounded_up_to_a_nano_dollar_once_for_each_call() {
    let (gw, _, customer) =
        at_price(json!({ "input_per_million": "0.000000001", "output_per_million": "0.000000001" })).await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d") })).await;
    for calls in 1..=3 {
        assert_eq!(cost(&gw, gw.chat(&customer.key, SLUG).await).await, Some(1));
        assert_eq!(gw.spent(&config), calls);
    }
    gw.model.set(Script { usage: UsageReport::Lying { prompt: 0, completion: 0 }, ..Script::default() });
    assert_eq!(cost(&gw, gw.chat(&customer.key, SLUG).await).await, Some(0));
}

#[tokio::test]
async fn a_call_is_held_at_the_dearest_rate_that_its_prompt_may_cost() {
    let pricing = |write: u64| json!({ "input_per_million": 1, "output_per_million": 0, "cache_write_per_million": write });
    // A prompt of ten to thirty tokens, by whoever counts: at most 0.00003 USD, or else at least 0.001 USD.
    for (write, status) in [(1, 200), (100, 402)] {
        let (gw, _, customer) = at_price(pricing(write)).await;
        gw.model_config(json!({ "model_name": "*", "budgets": budget(0.0005, "1d") })).await;
        assert_eq!(gw.chat(&customer.key, SLUG).await.status, status);
    }
}

#[tokio::test]
async fn a_call_keeps_the_price_that_it_was_admitted_at() {
    let (gw, endpoint, customer) =
        at_price(json!({ "input_per_million": 0, "output_per_million": 1_000 })).await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d") })).await;
    gw.model.set(Script::ending(End::StallAfter(3)));
    let mut call = gw.chat_request(&customer.key).json(&streamed(SLUG)).open().await;
    call.piece().await.unwrap();
    let id = call.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut target = at(&gw.model.base_url());
    target["pricing"] = json!({ "input_per_million": 0, "output_per_million": 2_000 });
    gw.patch(&format!("/v1/gateway/endpoints/{endpoint}"), json!({ "targets": [target] })).await.expect(200);
    drop(call);
    gw.quiet().await;
    let before = gw.entry(&id).await.unwrap();
    assert_eq!(before.price.unwrap().rates.output_per_million, Usd(1_000_000_000_000));
    assert_eq!(before.cost, Some(Usd(before.usage.output * 1_000_000)));
    assert!(before.usage.output > 0);
    gw.model.set(Script::default());
    assert_eq!(cost(&gw, gw.chat(&customer.key, SLUG).await).await, Some(9 * 2_000_000));
    assert_eq!(gw.spent(&config), (before.usage.output + 18) * 1_000_000);
}

#[tokio::test]
async fn bifrost_case_99_a_call_under_a_budget_whose_route_has_no_price_is_refused_before_anything_goes_upstream()
 {
    let (gw, _, customer) = at_price(Value::Null).await;
    assert_eq!(cost(&gw, gw.chat(&customer.key, SLUG).await).await, None, "no budget applies");
    let requests = json!({ "request_max_limit": 9, "request_reset_duration": "1d" });
    let config = gw
        .model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d"), "rate_limit": requests }))
        .await;
    let seen = gw.model.seen().len();
    let reply = gw.chat(&customer.key, SLUG).await;
    refused(&reply, 403, "model_unpriced");
    assert_eq!(reply.body["error"]["type"], "permission_error");
    assert!(reply.body["error"]["message"].as_str().unwrap().contains(SLUG));
    let anthropic = message(&gw, &customer).await.expect(403);
    assert_eq!(anthropic.body["error"]["type"], "permission_error");
    assert_eq!(gw.model.seen().len(), seen);
    assert_eq!(gw.lines_used(config.id), [0, 0]);
    let decision = format!("/v1/gateway/decisions/{}", reply.header("x-request-id"));
    assert_eq!(gw.get(&decision).await.expect(200).body["code"], "model_unpriced");
}

#[tokio::test]
async fn counting_tokens_is_free_and_needs_no_price() {
    for pricing in [Value::Null, json!({ "input_per_million": 1_000, "output_per_million": 1_000 })] {
        let (gw, _, customer) = at_price(pricing).await;
        let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(0.000_1, "1d") })).await;
        let request =
            gw.request(Method::POST, "/v1/messages/count_tokens").header("x-api-key", &customer.key);
        let body = json!({ "model": SLUG, "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(cost(&gw, request.json(&body).send().await).await, Some(0));
        assert_eq!(gw.spent(&config), 0);
    }
}

#[tokio::test]
async fn the_most_specific_price_holds_target_then_file_then_import() {
    let (gw, endpoint, customer) = at_price(Value::Null).await;
    let cents = |per_token: u64| json!({ "input_per_million": 0, "output_per_million": per_token * 10_000 });
    let paid = async || cost(&gw, gw.chat(&customer.key, SLUG).await).await.map(|cost| cost / 9 / 10_000_000);
    assert_eq!(paid().await, None);
    gw.prices(PriceSource::Imported, &[("openai_compatible", "simulated", cents(1))]).await;
    assert_eq!(paid().await, Some(1));
    let others = [("openai", "simulated", cents(7)), ("openai_compatible", SLUG, cents(8))];
    gw.prices(PriceSource::File, &others).await;
    assert_eq!(paid().await, Some(1));
    gw.prices(PriceSource::File, &[("openai_compatible", "simulated", cents(2))]).await;
    assert_eq!(paid().await, Some(2));
    let mut target = at(&gw.model.base_url());
    target["target_model"] = "simulated".into();
    target["pricing"] = cents(3);
    let path = format!("/v1/gateway/endpoints/{endpoint}");
    gw.patch(&path, json!({ "targets": [target] })).await.expect(200);
    assert_eq!(paid().await, Some(3));
    (target["pricing"], target["provider_name"]) = (Value::Null, "groq".into());
    gw.patch(&path, json!({ "targets": [target] })).await.expect(200);
    assert_eq!(paid().await, None);
    gw.prices(PriceSource::Imported, &[("groq", "simulated", cents(4))]).await;
    assert_eq!(paid().await, Some(4));
}

#[tokio::test]
async fn a_price_that_is_edited_holds_for_the_next_call_under_a_budget() {
    let (gw, _, customer) = at_price(Value::Null).await;
    gw.model_config(json!({ "model_name": "*", "budgets": budget(1.0, "1d") })).await;
    refused(&gw.chat(&customer.key, SLUG).await, 403, "model_unpriced");
    let price = |per_million: u64| json!({ "input_per_million": 0, "output_per_million": per_million });
    gw.prices(PriceSource::File, &[("openai_compatible", "simulated", price(10_000))]).await;
    assert_eq!(cost(&gw, gw.chat(&customer.key, SLUG).await).await, Some(90_000_000));
    gw.prices(PriceSource::File, &[("openai_compatible", "simulated", price(1_000_000))]).await;
    refused(&gw.chat(&customer.key, SLUG).await, 402, "budget_exceeded");
    gw.prices(PriceSource::File, &[]).await;
    refused(&gw.chat(&customer.key, SLUG).await, 403, "model_unpriced");
}

#[tokio::test]
async fn an_entry_keeps_price_cost_user_and_the_lines_that_it_was_charged_to() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let limit = json!({ "request_max_limit": 9, "request_reset_duration": "1h",
        "token_max_limit": 900, "token_reset_duration": "1h" });
    let global = gw
        .model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d"), "rate_limit": limit }))
        .await;
    let own = gw
        .model_config(json!({ "model_name": "*", "scope": "group", "scope_id": customer.id, "budgets": budget(5.0, "1d") }))
        .await;
    gw.model_config(json!({ "model_name": "other", "budgets": budget(5.0, "1d") })).await;
    let mut body = sixty_cents(PRICED);
    body["user"] = "ada".into();
    let reply = gw.chat_with(&customer.key, body).await.expect(200);
    let id = reply.header("x-request-id").to_owned();
    for _ in 0..2 {
        let entry = gw.entry(&id).await.unwrap();
        assert_eq!((entry.cost, entry.user.as_deref()), (Some(Usd(SIXTY_CENTS)), Some("ada")));
        assert_eq!(entry.price.unwrap().rates.output_per_million.to_string(), "100000");
        let mut lines: Vec<_> = own.lines().chain(global.lines()).map(|line| (line.id, line.meter)).collect();
        let mut charged = entry.lines;
        lines.sort_unstable_by_key(|line| line.0.to_string());
        charged.sort_unstable_by_key(|line| line.0.to_string());
        assert_eq!(charged, lines);
        gw.restart().await;
    }
}
