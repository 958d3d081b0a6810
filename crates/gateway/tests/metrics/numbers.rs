//! What the numbers say after known calls.

use std::time::Duration;

use http::Method;
use modelsim::{End, Script};
use serde_json::json;
use testkit::Gateway;

use crate::page::Page;

const CHAT: &str = r#"route="/v1/chat/completions""#;

#[tokio::test]
async fn a_call_counts_by_route_and_outcome_with_its_tokens_and_its_line_in_the_ledger() {
    let gw = Gateway::start().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    let mut used = (0, 0);
    for _ in 0..3 {
        let answer = gw.chat(&customer.key, "acme/m1").await.expect(200);
        used.0 += answer.body["usage"]["prompt_tokens"].as_u64().unwrap();
        used.1 += answer.body["usage"]["completion_tokens"].as_u64().unwrap();
    }
    gw.node().recorded().await;
    let page = Page::of(&gw).await;
    assert_eq!(page.value(&format!(r#"tollgate_calls_total{{{CHAT},outcome="completed"}}"#)), 3.0);
    assert_eq!(page.sum("tollgate_calls_total"), 3.0);
    let tokens = |kind| page.value(&format!(r#"tollgate_tokens_total{{kind="{kind}"}}"#));
    assert_eq!((tokens("input"), tokens("output")), (used.0 as f64, used.1 as f64));
    assert_eq!(page.value("tollgate_ledger_entries_total"), 3.0);
    assert_eq!(page.value("tollgate_ledger_pending_entries"), 0.0);
    assert_eq!(page.value("tollgate_ledger_writable"), 1.0);
    assert_eq!(page.value("tollgate_calls_in_flight"), 0.0);
    assert_eq!(page.value("tollgate_request_body_bytes"), 0.0);
    assert_eq!(page.value("tollgate_added_latency_seconds_count"), 3.0);
    assert_eq!(page.value(&format!("tollgate_call_first_byte_seconds_count{{{CHAT}}}")), 3.0);
    assert_eq!(page.value(&format!("tollgate_call_duration_seconds_count{{{CHAT}}}")), 3.0);
}

#[tokio::test]
async fn a_call_under_way_is_in_flight_and_took_as_long_as_the_clock_says_when_it_ends() {
    let gw = Gateway::start().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    gw.model.set(Script::ending(End::StallAfter(1)));
    let messages = json!([{ "role": "user", "content": "Say hello." }]);
    let body = json!({ "model": "acme/m1", "stream": true, "messages": messages });
    let stream = gw.chat_request(&customer.key).json(&body).open().await;
    gw.clock.advance(Duration::from_secs(40));
    let page = Page::of(&gw).await;
    assert_eq!(page.value("tollgate_calls_in_flight"), 1.0);
    assert_eq!(page.value("tollgate_ledger_pending_entries"), 1.0, "its line is promised");
    assert!(page.value("tollgate_connections") >= 2.0, "its own and the scrape's");
    drop(stream);
    gw.quiet().await;
    let page = Page::of(&gw).await;
    assert_eq!(page.value("tollgate_calls_in_flight"), 0.0);
    assert_eq!(page.value(&format!(r#"tollgate_calls_total{{{CHAT},outcome="client_gone"}}"#)), 1.0);
    assert_eq!(page.value(&format!("tollgate_call_duration_seconds_sum{{{CHAT}}}")), 40.0);
    let within =
        |bound| page.value(&format!(r#"tollgate_call_duration_seconds_bucket{{le="{bound}",{CHAT}}}"#));
    assert_eq!((within("30.0"), within("60.0"), within("+Inf")), (0.0, 1.0, 1.0));
    assert_eq!(page.value(&format!("tollgate_call_first_byte_seconds_sum{{{CHAT}}}")), 0.0);
}

#[tokio::test]
async fn a_refusal_counts_by_the_limit_that_binds() {
    let gw = Gateway::start().await;
    let limits = json!([{ "type": "REQUEST", "unit": "MINUTE", "threshold": 2 }]);
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1", "rate_limits": limits }])).await;
    for status in [200, 200, 429, 429, 429] {
        gw.chat(&customer.key, "acme/m1").await.expect(status);
    }
    let page = Page::of(&gw).await;
    assert_eq!(page.value(r#"tollgate_refused_calls_total{type="REQUEST",unit="MINUTE"}"#), 3.0);
    assert_eq!(page.sum("tollgate_refused_calls_total"), 3.0);
    assert_eq!(page.sum("tollgate_turned_away_requests_total"), 0.0, "a refusal is counted once");
    assert_eq!(page.sum("tollgate_calls_total"), 2.0);
}

#[tokio::test]
async fn what_comes_to_no_limit_counts_by_the_code_of_its_answer() {
    let gw = Gateway::start().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }, { "slug": "acme/gone" }])).await;
    gw.chat("nobody", "acme/m1").await.expect(401);
    gw.chat(&customer.key, "acme/m2").await.expect(403);
    gw.chat(&customer.key, "acme/gone").await.expect(404);
    gw.chat_request(&customer.key).body("{").send().await.expect(400);
    gw.request(Method::GET, "/v1/nothing").send().await.expect(404);
    let page = Page::of(&gw).await;
    for code in ["invalid_api_key", "model_not_allowed", "model_not_found", "invalid_json", "unknown_route"] {
        let series = format!(r#"tollgate_turned_away_requests_total{{code="{code}"}}"#);
        assert_eq!(page.value(&series), 1.0, "{code}");
    }
    assert_eq!(page.sum("tollgate_turned_away_requests_total"), 5.0);
    assert_eq!(page.sum("tollgate_calls_total"), 0.0);
}
