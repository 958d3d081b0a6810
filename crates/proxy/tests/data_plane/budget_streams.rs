//! Streams under a budget: charged once, at their end, for what was seen; and in `hard` mode never beyond it.

use http::Method;
use modelsim::{End, UsageReport};
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Script};

use crate::support::*;

const TEN_CENTS: u64 = 100_000_000;

fn streaming() -> Value {
    let mut body = sixty_cents(PRICED);
    body["stream"] = true.into();
    body
}

/// A customer whose calls of the priced slug are admitted in `hard`.
async fn hard(gw: &Gateway) -> Customer {
    let mut hard = model(PRICED, &[]);
    hard["admission"] = "hard".into();
    gw.customer("hard", json!([hard])).await
}

fn writing(tokens: u64) -> Script {
    Script { completion_tokens: tokens, ..Script::default() }
}

#[tokio::test]
async fn bifrost_case_93_a_stream_counts_one_request_and_its_cost_once_at_its_end() {
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let gw = priced().await;
        let customer = buyer(&gw, "cust").await;
        let requests = json!({ "request_max_limit": 9, "request_reset_duration": "1d" });
        let config = gw
            .model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d"), "rate_limit": requests }))
            .await;
        let call = gw.request(Method::POST, path).header("x-api-key", &customer.key);
        call.json(&streaming()).send().await.expect(200);
        assert_eq!(gw.lines_used(config.id), [1, SIXTY_CENTS]);
        let entries = gw.entries().await;
        assert_eq!(
            entries.iter().map(|entry| entry.cost).collect::<Vec<_>>(),
            [Some(domain::Usd(SIXTY_CENTS))]
        );
    }
}

#[tokio::test]
async fn bifrost_case_98_a_stream_left_early_costs_what_was_seen_of_it() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let requests = json!({ "request_max_limit": 9, "request_reset_duration": "1d" });
    let config = gw
        .model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d"), "rate_limit": requests }))
        .await;
    // The role, and four words.
    gw.model.set(Script { word: "a ".into(), ..Script::ending(End::StallAfter(5)) });
    let mut call = gw.chat_request(&customer.key).json(&streaming()).open().await;
    let mut seen = String::new();
    while seen.matches("data:").count() < 5 {
        seen.push_str(std::str::from_utf8(&call.piece().await.unwrap()).unwrap());
    }
    drop(call);
    gw.quiet().await;
    let entry = gw.entries().await.remove(0);
    assert_eq!(entry.outcome, domain::Outcome::ClientGone);
    let output = entry.usage.output;
    assert!((2..=4).contains(&output), "{output}: by its text or by its events");
    assert_eq!(entry.cost, Some(domain::Usd(output * TEN_CENTS)));
    assert_eq!(gw.lines_used(config.id), [1, output * TEN_CENTS]);
}

#[tokio::test]
async fn a_stream_without_usage_costs_what_we_count() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(5.0, "1d") })).await;
    gw.model.set(Script { usage: UsageReport::Missing, ..Script::default() });
    gw.chat_with(&customer.key, streaming()).await.expect(200);
    let entry = gw.entries().await.remove(0);
    assert_eq!(entry.usage.source, domain::UsageSource::Estimated);
    assert!(entry.usage.output >= 6, "{:?}", entry.usage);
    assert_eq!(gw.spent(&config), entry.usage.output * TEN_CENTS);
    assert_eq!(entry.cost, Some(domain::Usd(gw.spent(&config))));
}

#[tokio::test]
async fn a_model_that_writes_more_than_was_held_is_charged_in_full_and_closes_the_budget() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(1.2, "1d") })).await;
    gw.model.set(Script { usage: UsageReport::Lying { prompt: 10, completion: 30 }, ..Script::default() });
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    assert_eq!(gw.spent(&config), 30 * TEN_CENTS, "debt is told as it is");
}

#[tokio::test]
async fn a_whole_answer_in_hard_is_bounded_by_what_the_budget_has_room_for() {
    let gw = priced().await;
    let customer = hard(&gw).await;
    gw.model.set(writing(100_000));
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(10.05, "1d") })).await;
    let mut body = sixty_cents(PRICED);
    body["max_tokens"] = 1_000.into();
    gw.chat_with(&customer.key, body.clone()).await.expect(200);
    let told: Value = serde_json::from_slice(&gw.model.last_request().unwrap().body).unwrap();
    assert_eq!(told["max_tokens"], 100, "five cents are no token");
    assert_eq!(gw.spent(&config), 100 * TEN_CENTS);
    refused(&gw.chat_with(&customer.key, body).await, 402, "budget_exceeded");
}

#[tokio::test]
async fn in_hard_the_tighter_of_a_budget_and_a_token_limit_bounds_the_answer() {
    for (dollars, tokens, told_max) in [(20.0, 130, 100..130), (8.0, 1_000, 80..81)] {
        let gw = priced().await;
        let customer = hard(&gw).await;
        gw.model.set(writing(100_000));
        let limit = json!({ "token_max_limit": tokens, "token_reset_duration": "1h" });
        let config = gw
            .model_config(json!({ "model_name": "*", "budgets": budget(dollars, "1d"), "rate_limit": limit }))
            .await;
        let mut body = sixty_cents(PRICED);
        body["max_tokens"] = 1_000.into();
        gw.chat_with(&customer.key, body).await.expect(200);
        let told: Value = serde_json::from_slice(&gw.model.last_request().unwrap().body).unwrap();
        let told = told["max_tokens"].as_u64().unwrap();
        assert!(told_max.contains(&told), "{told}");
        assert_eq!(gw.lines_used(config.id)[1], told * TEN_CENTS);
    }
}

#[tokio::test]
async fn in_hard_a_stream_that_uses_its_budget_up_is_ended_in_good_order() {
    for (path, end) in
        [("/v1/chat/completions", "data: [DONE]\n\n"), ("/v1/messages", "{\"type\":\"message_stop\"}\n\n")]
    {
        let gw = priced().await;
        let customer = hard(&gw).await;
        gw.model.set(writing(100_000));
        let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(60.0, "1d") })).await;
        let mut body = streaming();
        body["max_tokens"] = 50_000.into();
        let call = gw.request(Method::POST, path).header("x-api-key", &customer.key);
        let reply = call.json(&body).send().await.expect(200);
        assert!(reply.text.ends_with(end), "{}", &reply.text[reply.text.len().saturating_sub(300)..]);
        assert!(
            reply.text.contains(r#""finish_reason":"length""#)
                || reply.text.contains(r#""stop_reason":"max_tokens""#)
        );
        let spent = gw.spent(&config);
        assert!(spent <= 60 * 10 * TEN_CENTS && spent > 25 * 10 * TEN_CENTS, "{spent}");
        let entry = gw.entries().await.remove(0);
        assert_eq!(entry.outcome, domain::Outcome::LimitCut);
        assert_eq!(entry.cost, Some(domain::Usd(spent)));
    }
}

#[tokio::test]
async fn a_call_that_declares_nothing_is_never_told_that_it_cannot_fit_a_budget() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(1.0, "1d") })).await;
    let body = json!({ "model": PRICED, "messages": [{ "role": "user", "content": "Say hello." }] });
    gw.chat_with(&customer.key, body.clone()).await.expect(200);
    assert_eq!(gw.spent(&config), 9 * TEN_CENTS);
    let reply = gw.chat_with(&customer.key, body).await;
    refused(&reply, 402, "budget_exceeded");
    assert_eq!(reply.header("retry-after"), "86400");
}
