//! What lines have used: live on every read, kept by edits, forgotten by resets.
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion; a token costs a dollar.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway};

use crate::support::*;

/// A gateway with a customer of the model `acme/priced`.
async fn with_customer() -> (Gateway, Customer) {
    let gw = Gateway::start().await;
    let target = json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "simulated",
        "pricing": { "input_per_million": "1000000", "output_per_million": "1000000" },
    });
    gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/priced", "targets": [target] })).await.expect(200);
    let customer = gw.customer("cust_42", json!([{ "slug": "acme/priced" }])).await;
    (gw, customer)
}

async fn call(gw: &Gateway, customer: &Customer) {
    gw.chat(&customer.key, "acme/priced").await.expect(200);
    gw.quiet().await;
}

fn whole() -> Value {
    json!({
        "model_name": "acme/priced",
        "budgets": [budget(1_000, "1d")],
        "rate_limit": {
            "token_max_limit": 1_000, "token_reset_duration": "1h",
            "request_max_limit": 10, "request_reset_duration": "1h",
        },
    })
}

/// Dollars, tokens, requests.
fn used(config: &Value) -> [u64; 3] {
    [
        &config["budgets"][0]["current_usage"],
        &config["rate_limit"]["token_current_usage"],
        &config["rate_limit"]["request_current_usage"],
    ]
    .map(|used| used.as_u64().unwrap())
}

#[tokio::test]
async fn bifrost_case_30_what_is_used_shows_on_every_read_at_once() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    assert_eq!(used(&config), [0, 0, 0]);
    call(&gw, &customer).await;
    assert_eq!(used(&read(&gw, &config).await), [19, 19, 1]);
    for query in ["", "?from_memory=true"] {
        let list = gw.get(&format!("{CONFIGS}{query}")).await.expect(200);
        assert_eq!(used(&list.body["model_configs"][0]), [19, 19, 1], "{query}");
    }
    assert_eq!(gw.get(BUDGETS).await.body["budgets"][0]["current_usage"], 19);
    assert_eq!(gw.get(RATE_LIMITS).await.body["rate_limits"][0]["request_current_usage"], 1);
}

#[tokio::test]
async fn bifrost_case_35_to_36_a_budget_that_stays_keeps_what_it_used() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    call(&gw, &customer).await;
    let raised = changed(&gw, &config, json!({ "budgets": [budget(2_000, "24h")] })).await;
    assert_eq!(used(&raised), [19, 19, 1]);
    assert_eq!(raised["budgets"][0]["last_reset"], config["budgets"][0]["last_reset"]);
    let named = json!([{ "id": config["budgets"][0]["id"], "max_limit": 2_000, "reset_duration": "1w" }]);
    assert_eq!(used(&changed(&gw, &config, json!({ "budgets": named })).await), [19, 19, 1]);
    call(&gw, &customer).await;
    assert_eq!(used(&read(&gw, &config).await), [38, 38, 2]);
}

#[tokio::test]
async fn bifrost_case_37_a_new_budget_begins_with_what_the_longest_shorter_one_used() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    call(&gw, &customer).await;
    let rows = json!([budget(1_000, "1d"), budget(9_000, "1M"), budget(500, "1h")]);
    let after = changed(&gw, &config, json!({ "budgets": rows })).await;
    let usage: Vec<_> =
        after["budgets"].as_array().unwrap().iter().map(|row| &row["current_usage"]).collect();
    assert_eq!(usage, [19, 19, 0]);
    call(&gw, &customer).await;
    let after = read(&gw, &config).await;
    let usage: Vec<_> =
        after["budgets"].as_array().unwrap().iter().map(|row| &row["current_usage"]).collect();
    assert_eq!(usage, [38, 38, 19]);
}

#[tokio::test]
async fn bifrost_case_90_turning_the_calendar_on_keeps_what_is_used() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    call(&gw, &customer).await;
    assert_eq!(used(&changed(&gw, &config, json!({ "calendar_aligned": true })).await), [19, 19, 1]);
}

#[tokio::test]
async fn a_period_that_is_over_counts_for_nothing() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    call(&gw, &customer).await;
    gw.clock.advance(Duration::from_secs(3_600));
    let after = read(&gw, &config).await;
    assert_eq!(used(&after), [19, 0, 0]);
    assert_eq!(after["rate_limit"]["token_last_reset"], "2026-05-13T13:00:00.000Z");
    assert_eq!(after["budgets"][0]["last_reset"], BEGIN);
}

#[tokio::test]
async fn a_reset_forgets_what_is_used_and_nothing_else() {
    let (gw, customer) = with_customer().await;
    let config = made(&gw, whole()).await;
    call(&gw, &customer).await;
    gw.clock.advance(Duration::from_secs(60));
    let budget = format!("{BUDGETS}/{}/reset", text(&config["budgets"][0], "id"));
    let reset = gw.post(&budget, json!({})).await.expect(200).body;
    assert_eq!(
        (&reset["budget"]["current_usage"], &reset["budget"]["last_reset"]),
        (&json!(0), &json!(BEGIN))
    );
    assert_eq!(used(&read(&gw, &config).await), [0, 19, 1]);
    let limit = format!("{RATE_LIMITS}/{}/reset", text(&config["rate_limit"], "id"));
    let reset = gw.post(&limit, json!({})).await.expect(200).body;
    assert_eq!(reset["rate_limit"]["token_current_usage"], 0);
    assert_eq!(used(&read(&gw, &config).await), [0, 0, 0]);
    call(&gw, &customer).await;
    assert_eq!(used(&read(&gw, &config).await), [19, 19, 1]);
}

#[tokio::test]
async fn bifrost_case_47_and_52_provider_and_key_show_what_the_config_used() {
    let (gw, customer) = with_customer().await;
    let provider = format!("{PROVIDERS}/openai_compatible");
    let limits = json!({ "budgets": [budget(1_000, "1d")] });
    gw.manage(Method::PUT, &provider).json(&limits).send().await.expect(200);
    let key = prefix(&customer.key);
    let of_key = json!({ "model_name": "*", "scope": "virtual_key", "scope_id": key, "budgets": [budget(1_000, "1d")] });
    made(&gw, of_key).await;
    call(&gw, &customer).await;
    let quota = gw.send_as(&customer.key, Method::GET, QUOTA, Value::Null).await.expect(200).body;
    assert_eq!(quota["budgets"][0]["current_usage"], 19);
    let providers = gw.get(PROVIDERS).await.expect(200).body;
    assert_eq!(providers["providers"][0]["budgets"][0]["current_usage"], 19);
}
