//! `/v1/gateway/ledger/{request_id}` and its corrections.
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};

use crate::support::*;

const MODEL: &str = "acme/priced";

fn path(id: &str) -> String {
    format!("/v1/gateway/ledger/{id}")
}

fn corrections(id: &str) -> String {
    format!("{}/corrections", path(id))
}

/// A customer of a model at a dollar for a prompt token and two for an answer's, and a call of it: it costs 28 dollars.
async fn called(gw: &Gateway) -> (Customer, String) {
    let pricing = json!({"input_per_million": 1_000_000, "output_per_million": 2_000_000});
    gw.endpoint_with(MODEL, json!({"pricing": pricing})).await;
    let customer = gw.customer("cust_42", json!([model(MODEL, &[]), m1(&[])])).await;
    let id = call(gw, &customer.key, MODEL).await;
    (customer, id)
}

/// A call that is in the ledger; its id.
async fn call(gw: &Gateway, key: &str, slug: &str) -> String {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let body = json!({"model": slug, "max_tokens": 9, "messages": messages, "metadata": {"ticket": 7}});
    let reply = gw.chat_with(key, body).await.expect(200);
    gw.quiet().await;
    gw.node().recorded().await;
    reply.header("x-request-id").to_owned()
}

async fn correct(gw: &Gateway, id: &str, body: Value) -> Reply {
    gw.post(&corrections(id), body).await
}

#[tokio::test]
async fn the_line_of_a_call_says_who_called_what_and_what_it_cost_by_which_price() {
    let gw = Gateway::start().await;
    let (customer, id) = called(&gw).await;
    let line = gw.get(&path(&id)).await.expect(200).body;
    let event = gw.get("/v1/gateway/events?after_sequence=0").await.expect(200).body["items"][0].clone();
    let expected = json!({
        "request_id": id, "idempotency_key": event["idempotencyKey"], "sequence": 1,
        "admitted_at": "2026-05-13T12:00:00.000Z", "settled_at": "2026-05-13T12:00:00.000Z",
        "duration_ms": 0, "ttft_ms": 0, "groups": [customer.id], "external_entity_id": "cust_42",
        "api_key_prefix": prefix(&customer.key), "user": null, "model": MODEL, "provider": "OPENAI_COMPATIBLE",
        "upstream_model": "simulated", "route": "/v1/chat/completions", "attempts": 1, "outcome": "completed",
        "upstream_status": 200,
        "usage": {
            "input_tokens": 10, "output_tokens": 9, "cached_input_tokens": 0, "cache_written_tokens": 0,
            "source": "reported",
        },
        "cost_usd": 28, "price": line["price"], "charged_to": [], "metadata": {"ticket": 7}, "corrections": [], "deliveries": [],
    });
    assert_eq!(line, expected);
    assert_eq!(line["price"], json!({"input_per_million": "1000000", "output_per_million": "2000000"}));
    assert_eq!((&event["costUsd"], &event["requestId"]), (&json!("28"), &json!(id)));
}

#[tokio::test]
async fn a_call_that_nobody_was_billed_for_has_a_line_and_no_event() {
    let gw = Gateway::start().await;
    gw.endpoint_with("acme/dead", json!({"base_url": "http://127.0.0.1:1/v1"})).await;
    let customer = gw.customer("cust_42", json!([model("acme/dead", &[])])).await;
    let reply = gw.chat(&customer.key, "acme/dead").await.expect(502);
    gw.quiet().await;
    gw.node().recorded().await;
    let line = gw.get(&path(reply.header("x-request-id"))).await.expect(200).body;
    assert_eq!((&line["sequence"], &line["idempotency_key"]), (&Value::Null, &Value::Null));
    assert_eq!((&line["outcome"], &line["upstream_status"]), (&json!("not_reached"), &Value::Null));
    assert_eq!(gw.get("/v1/gateway/events?after_sequence=0").await.body["items"], json!([]));
}

#[tokio::test]
async fn what_is_not_there_or_is_anothers_is_not_found() {
    let gw = Gateway::start().await;
    let (customer, id) = called(&gw).await;
    for unknown in ["019a0000-0000-7000-8000-000000000000", "nobody", "%00", "%2e%2e"] {
        refused(&gw.get(&path(unknown)).await, 404, unknown);
        refused(&correct(&gw, unknown, json!({"input_tokens": 1, "reason": "x"})).await, 404, unknown);
    }
    let tenant = gw.tenant("beta", &["beta"]).await;
    refused(&gw.send_as(&tenant.key, Method::GET, &path(&id), Value::Null).await, 404, "another workspace");
    refused(&gw.send_as(&customer.key, Method::GET, &path(&id), Value::Null).await, 403, "a customer");
    let there = gw.manage(Method::POST, &corrections(&id)).header("x-tollgate-workspace", &tenant.id);
    let there = there.json(&json!({"input_tokens": 1, "reason": "x"})).send().await;
    refused(&there, 404, "an operator, there");
    let view = gw.management_key(&gw.first_workspace().await, "view").await;
    gw.send_as(&view, Method::GET, &path(&id), Value::Null).await.expect(200);
}

#[tokio::test]
async fn a_correction_is_an_event_that_names_its_call_and_changes_the_hour_of_that() {
    let mut gw = Gateway::start().await;
    let parent = gw.group("parent", json!([m1(&[])]), "CASCADING", None).await;
    let pricing = json!({"input_per_million": 1_000_000, "output_per_million": 2_000_000});
    gw.endpoint_with(MODEL, json!({"pricing": pricing})).await;
    let models = json!([model(MODEL, &[limit("TOKEN", "DAY", 1_000)])]);
    let customer = gw.member("cust_42", models, "CASCADING", Some(&parent)).await;
    let id = call(&gw, &customer.key, MODEL).await;
    gw.clock.advance(Duration::from_secs(7_200));
    let change =
        json!({"output_tokens": -4, "cost_usd": -8.000000001, "reason": "The model server counted twice."});
    let made = correct(&gw, &id, change).await.expect(200).body;
    let expected = json!({
        "id": made["id"], "idempotency_key": made["idempotency_key"], "sequence": 2,
        "at": "2026-05-13T14:00:00.000Z", "input_tokens": 0, "output_tokens": -4, "cost_usd": -8.000000001,
        "reason": "The model server counted twice.",
    });
    assert_eq!(made, expected);
    gw.restart().await;
    let line = gw.get(&path(&id)).await.expect(200).body;
    assert_eq!(
        (&line["corrections"], &line["cost_usd"]),
        (&json!([made]), &json!(28)),
        "the call stays as it was"
    );
    let events = gw.get("/v1/gateway/events?after_sequence=1").await.expect(200).body;
    let expected = json!({
        "idempotencyKey": made["idempotency_key"], "timestamp": "2026-05-13T14:00:00.000Z", "requestId": made["id"],
        "modelSlug": MODEL, "externalEntityId": "cust_42", "externalCustomerId": "cust_42",
        "apiKeyPrefix": prefix(&customer.key),
        "tokens": {"inputTokens": 0, "outputTokens": -4, "cachedInputTokens": 0},
        "sequence": 2, "usageSource": "reported", "costUsd": "-8.000000001", "corrects": id,
    });
    assert_eq!(events["items"], json!([expected]));
    let filtered = format!("/v1/gateway/events?after_sequence=1&api_keys={}", prefix(&customer.key));
    assert_eq!(gw.get(&filtered).await.expect(200).body["items"], events["items"]);
    for (group, subtree) in [(&customer.id, false), (&parent, true)] {
        let query = format!("from=2026-05-13T00:00:00Z&step=hour&subtree={subtree}");
        let history = gw.get(&format!("{GROUPS}/{group}/usage/history?{query}")).await.expect(200).body;
        let expected = json!([{
            "start": "2026-05-13T12:00:00Z", "requests": 1, "input_tokens": 10, "output_tokens": 5,
            "cached_input_tokens": 0, "cost_usd": 19.999999999, "refusals": 0,
        }]);
        assert_eq!(history["items"], expected);
    }
    assert_eq!(gw.used(&customer.id, MODEL, "TOKEN").await, 19, "no counter changes");
}

#[tokio::test]
async fn a_call_with_all_its_corrections_never_comes_to_less_than_nothing() {
    let gw = Gateway::start().await;
    let (_, id) = called(&gw).await;
    let more = |field: &str, by: Value| json!({field: by, "reason": "x"});
    correct(&gw, &id, more("input_tokens", json!(-10))).await.expect(200);
    for (field, by) in [
        ("input_tokens", json!(-1)),
        ("output_tokens", json!(-10)),
        ("output_tokens", json!(i64::MIN)),
        ("output_tokens", json!(i64::MAX)),
        ("output_tokens", json!(1_000_000_000_000_i64)),
        ("cost_usd", json!(1_000_000)),
        ("cost_usd", json!(-28.000000001)),
        ("cost_usd", json!("-9223372036.854775807")),
        ("cost_usd", json!("9223372036.854775807")),
    ] {
        refused(&correct(&gw, &id, more(field, by.clone())).await, 400, &format!("{field} {by}"));
    }
    correct(&gw, &id, more("input_tokens", json!(3))).await.expect(200);
    correct(&gw, &id, json!({"input_tokens": -3, "output_tokens": -9, "cost_usd": "-28", "reason": "x"}))
        .await
        .expect(200);
    let line = gw.get(&path(&id)).await.expect(200).body;
    let sequences: Vec<_> =
        line["corrections"].as_array().unwrap().iter().map(|made| &made["sequence"]).collect();
    assert_eq!(sequences, [2, 3, 4], "what was refused left no gap");
}

#[tokio::test]
async fn a_call_without_a_price_can_be_given_a_cost() {
    let gw = Gateway::start().await;
    let (customer, _) = called(&gw).await;
    let id = call(&gw, &customer.key, "acme/m1").await;
    refused(&correct(&gw, &id, json!({"cost_usd": -1, "reason": "x"})).await, 400, "below nothing");
    let tokens = correct(&gw, &id, json!({"input_tokens": 1, "reason": "x"})).await.expect(200).body;
    assert_eq!(tokens["cost_usd"], Value::Null);
    let cost = correct(&gw, &id, json!({"cost_usd": "0.5", "reason": "x"})).await.expect(200).body;
    assert_eq!(cost["cost_usd"], 0.5);
}

#[tokio::test]
async fn what_is_no_correction_is_refused_and_only_an_operator_makes_one() {
    let gw = Gateway::start().await;
    let (customer, id) = called(&gw).await;
    let long = "x".repeat(513);
    for body in [
        json!({"reason": "nothing"}),
        json!({"input_tokens": 0, "output_tokens": 0, "cost_usd": 0, "reason": "nothing"}),
        json!({"cost_usd": "-0.0000000001", "reason": "less than is counted"}),
        json!({"input_tokens": 1}),
        json!({"input_tokens": 1, "cost_us": -1, "reason": "half of it is written wrongly"}),
        json!({"input_tokens": 1, "reason": ""}),
        json!({"input_tokens": 1, "reason": " \u{3000}"}),
        json!({"input_tokens": 1, "reason": long}),
        json!({"input_tokens": 1, "reason": "a\nb"}),
        json!({"input_tokens": 1, "reason": "a\u{0}b"}),
        json!({"input_tokens": 1.5, "reason": "x"}),
        json!({"input_tokens": "1", "reason": "x"}),
        json!({"cost_usd": "a lot", "reason": "x"}),
        json!({"cost_usd": true, "reason": "x"}),
        json!({"cost_usd": 1e300, "reason": "x"}),
        json!({"cost_usd": "--1", "reason": "x"}),
        json!([1, 2, 3, "x"]),
    ] {
        refused(&correct(&gw, &id, body.clone()).await, 400, &body.to_string());
    }
    let body = json!({"input_tokens": 1, "reason": "é".repeat(512)});
    let first = gw.first_workspace().await;
    for scope in ["view", "manage"] {
        let key = gw.management_key(&first, scope).await;
        refused(&gw.send_as(&key, Method::POST, &corrections(&id), body.clone()).await, 403, scope);
    }
    refused(
        &gw.send_as(&customer.key, Method::POST, &corrections(&id), body.clone()).await,
        403,
        "a customer",
    );
    correct(&gw, &id, body).await.expect(200);
}

#[tokio::test]
async fn what_is_older_than_the_ledger_keeps_is_gone_after_the_next_start_and_its_sums_are_not() {
    let mut gw = Gateway::with(|config| config.ledger.retain_days = 2).await;
    let (customer, id) = called(&gw).await;
    gw.clock.advance(Duration::from_secs(3 * 86_400));
    let kept = call(&gw, &customer.key, MODEL).await;
    gw.restart().await;
    // It is taken out beside whatever else goes on.
    while gw.get(&path(&id)).await.status == 200 {
        tokio::task::yield_now().await;
    }
    refused(&gw.get(&path(&id)).await, 404, "past retention");
    gw.get(&path(&kept)).await.expect(200);
    let events = gw.get("/v1/gateway/events?after_sequence=0").await.expect(200).body;
    assert_eq!((&events["items"][0]["sequence"], &events["items"][1]), (&json!(2), &Value::Null));
    let history = format!("{GROUPS}/{}/usage/history?from=2026-05-13", customer.id);
    let history = gw.get(&history).await.expect(200).body;
    let days: Vec<_> = history["items"].as_array().unwrap().iter().map(|day| &day["requests"]).collect();
    assert_eq!(days, [1, 1]);
}
