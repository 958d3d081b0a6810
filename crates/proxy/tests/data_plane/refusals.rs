//! What the gateway says about limits: rate-limit headers on every call, and what a refusal explains.

use std::time::Duration;

use modelsim::End;
use serde_json::{Value, json};
use testkit::{Gateway, Reply, Script};

use crate::support::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// The `retry-after-ms` of a refusal, checked against `Retry-After` and the body.
#[track_caller]
fn wait_ms(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 429, "{}", reply.text);
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    let millis: u64 = reply.header("retry-after-ms").parse().unwrap();
    assert_eq!(seconds, millis.div_ceil(1_000));
    assert_eq!(reply.body["error"]["limit"]["retry_after_s"], seconds);
    millis
}

#[track_caller]
fn no_rate_headers(reply: &Reply) {
    let about_limits = |name: &&http::HeaderName| name.as_str().contains("ratelimit");
    assert_eq!(reply.headers.keys().filter(about_limits).count(), 0, "{:?}", reply.headers);
}

#[tokio::test]
async fn case_190_a_refusal_says_what_happened_and_which_limit_it_was() {
    for (kind, unit, threshold, used, code, word, window) in [
        ("REQUEST", "SECOND", 1, 1, "rate_limit_exceeded", "request_limited", "1s"),
        ("REQUEST", "MINUTE", 1, 1, "rate_limit_exceeded", "request_limited", "60s"),
        ("REQUEST", "DAY", 1, 1, "usage_limit_exceeded", "request_limited", "1d"),
        ("TOKEN", "SECOND", 30, 19, "rate_limit_exceeded", "token_limited", "1s"),
        ("TOKEN", "MINUTE", 30, 19, "rate_limit_exceeded", "token_limited", "60s"),
        ("TOKEN", "DAY", 30, 19, "usage_limit_exceeded", "token_limited", "1d"),
    ] {
        let gw = Gateway::start().await;
        let customer = gw.customer("cust", models(M1, &[(kind, unit, threshold)])).await;
        gw.chat(&customer.key, M1).await.expect(200);
        let reply = gw.chat(&customer.key, M1).await;
        refused(&reply, 429, code);
        assert_eq!(reply.body["type"], word);
        assert_eq!(reply.body["error"]["type"], "rate_limit_error");
        let wait_s = wait_ms(&reply).div_ceil(1_000);
        let limit = json!({
            "type": kind, "unit": unit, "window": window, "threshold": threshold, "scope": "group",
            "source_group": customer.id, "used": used, "retry_after_s": wait_s,
        });
        assert_eq!(reply.body["error"]["limit"], limit);
        let message = reply.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(&threshold.to_string()) && message.contains(M1), "{message}");
    }
}

#[tokio::test]
async fn an_ancestors_limit_is_named_but_its_use_is_not() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "MINUTE", 5), ("TOKEN", "MINUTE", 60)];
    for (name, at, scope) in [("INDEPENDENT", 5, "group"), ("CASCADING", 3, "ancestor")] {
        let root = gw.group(&format!("root-{name}"), models(M1, &limits), name, None).await;
        let own = gw.member(&format!("own-{name}"), models(M1, &[]), name, Some(&root)).await;
        let sibling = gw.member(&format!("sibling-{name}"), models(M1, &[]), name, Some(&root)).await;
        let cheap = json!({ "model": M1, "max_tokens": 1, "messages": [] });
        gw.model.set(Script { prompt_tokens: 4, ..Script::default() });
        for _ in 0..2 {
            gw.chat_with(&sibling.key, cheap.clone()).await.expect(200);
        }
        for _ in 0..at {
            gw.chat_with(&own.key, cheap.clone()).await.expect(200);
        }
        let reply = gw.chat_with(&own.key, cheap).await;
        refused(&reply, 429, "rate_limit_exceeded");
        let note = &reply.body["error"]["limit"];
        assert_eq!((&note["scope"], &note["source_group"]), (&json!(scope), &json!(root)));
        assert_eq!(note["threshold"], 5);
        if scope == "group" {
            assert_eq!(note["used"], 5);
        } else {
            assert!(note.get("used").is_none(), "{note}");
            no_rate_headers(&reply);
        }
    }
}

#[tokio::test]
async fn where_ancestors_are_revealed_refusals_and_headers_tell_of_all_limits() {
    let gw = Gateway::with(|config| config.limits.reveal_ancestors = true).await;
    let four = [
        ("REQUEST", "MINUTE", 3),
        ("TOKEN", "MINUTE", 1_000),
        ("REQUEST", "DAY", 999),
        ("TOKEN", "DAY", 999),
    ];
    let root = gw.group("root", models(M1, &[("REQUEST", "MINUTE", 3)]), "CASCADING", None).await;
    let parent = gw.group("parent", models(M1, &four), "CASCADING", Some(&root)).await;
    let own = gw.member("own", models(M1, &four), "CASCADING", Some(&parent)).await;
    let sibling = gw.member("sibling", models(M1, &[]), "CASCADING", Some(&parent)).await;
    gw.chat(&sibling.key, M1).await.expect(200);
    let admitted = gw.chat(&own.key, M1).await.expect(200);
    assert_eq!(admitted.header("x-ratelimit-limit-requests"), "3", "those above have the least left");
    assert_eq!(remaining(&admitted.headers, "requests"), 1);
    let policies: Vec<&str> = admitted.header("ratelimit-policy").split(", ").collect();
    assert_eq!(policies.len(), 9);
    assert_eq!(policies[0].split(';').next(), Some("\"requests-minute\""));
    assert_eq!(policies[8], format!("\"requests-minute-{root}\";q=3;w=60"));
    let standing = admitted.header("ratelimit");
    assert!(standing.contains("\"requests-day\";r=998;"), "{standing}");
    assert!(standing.contains(&format!("\"requests-day-{parent}\";r=997;")), "{standing}");
    gw.chat(&sibling.key, M1).await.expect(200);
    let refused = gw.chat(&own.key, M1).await.expect(429);
    let note = &refused.body["error"]["limit"];
    assert_eq!((&note["scope"], &note["used"]), (&json!("ancestor"), &json!(3)));
    assert_eq!(remaining(&refused.headers, "requests"), 0);
    let other = gw.chat(&sibling.key, M1).await.expect(429);
    assert_eq!(remaining(&other.headers, "requests"), 0, "who has no limits of its own sees them too");
}

#[tokio::test]
async fn admitted_and_refused_calls_tell_how_the_callers_own_limits_stand() {
    let gw = Gateway::start().await;
    let limits =
        [("REQUEST", "MINUTE", 2), ("TOKEN", "MINUTE", 1_000), ("TOKEN", "DAY", 500), ("REQUEST", "DAY", 9)];
    let key = gw.customer("cust", models(M1, &limits)).await.key;
    let first = gw.chat(&key, M1).await.expect(200);
    let hold = 500 - remaining(&first.headers, "tokens");
    assert!((19..30).contains(&hold), "{hold}");
    gw.clock.advance(Duration::from_secs(10));
    let second = gw.chat_with(&key, streamed(M1)).await.expect(200);
    let third = gw.chat(&key, M1).await.expect(429);
    let [minute, day] = [1_000, 500].map(|threshold| [hold, 19 + hold, 38].map(|used| threshold - used));
    for (at, reply, requests, reset) in
        [(0, &first, 1, "1m0s"), (1, &second, 0, "1m0s"), (2, &third, 0, "1m0s")]
    {
        assert_eq!(reply.header("x-ratelimit-limit-requests"), "2");
        assert_eq!(remaining(&reply.headers, "requests"), requests);
        assert_eq!(reply.header("x-ratelimit-reset-requests"), reset);
        // The day's limit has less left than the minute's.
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), "500");
        assert_eq!(remaining(&reply.headers, "tokens"), day[at]);
        let until_midnight = if at == 0 { "12h0m0s" } else { "11h59m50s" };
        assert_eq!(reply.header("x-ratelimit-reset-tokens"), until_midnight);
        let policy = members(reply, "ratelimit-policy");
        let quotas = [
            "\"requests-day\";q=9;w=86400",
            "\"requests-minute\";q=2;w=60",
            "\"tokens-day\";q=500;w=86400",
            "\"tokens-minute\";q=1000;w=60",
        ];
        assert_eq!(policy, quotas);
        let seconds = if at == 0 { 43_200 } else { 43_190 };
        let standing = [
            format!("\"requests-day\";r={};t={seconds}", 9 - [1, 2, 2][at]),
            format!("\"requests-minute\";r={requests};t=60"),
            format!("\"tokens-day\";r={};t={seconds}", day[at]),
            format!("\"tokens-minute\";r={};t=60", minute[at]),
        ];
        assert_eq!(members(reply, "ratelimit"), standing);
    }
}

/// The members of a structured-field list, sorted.
fn members<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    let mut members: Vec<&str> = reply.header(name).split(", ").collect();
    members.sort_unstable();
    members
}

#[tokio::test]
async fn without_limits_of_its_own_a_caller_is_told_nothing() {
    let gw = Gateway::start().await;
    let free = gw.customer("free", models(M1, &[])).await;
    no_rate_headers(&gw.chat(&free.key, M1).await.expect(200));
    let root = gw.group("root", models(M1, &[("REQUEST", "MINUTE", 9)]), "CASCADING", None).await;
    let child = gw.member("child", models(M1, &[]), "CASCADING", Some(&root)).await;
    no_rate_headers(&gw.chat(&child.key, M1).await.expect(200));
}

#[tokio::test]
async fn retry_after_is_sufficient_and_tight() {
    for limits in [
        &[("REQUEST", "SECOND", 3)][..],
        &[("REQUEST", "MINUTE", 3)],
        &[("REQUEST", "SECOND", 1), ("TOKEN", "MINUTE", 30)],
        &[("TOKEN", "SECOND", 70)],
        &[("TOKEN", "MINUTE", 70)],
        &[("TOKEN", "MINUTE", 70), ("REQUEST", "MINUTE", 2), ("REQUEST", "DAY", 100)],
        &[("REQUEST", "DAY", 3)],
        &[("TOKEN", "DAY", 70)],
    ] {
        let gw = Gateway::start().await;
        let key = gw.customer("cust", models(M1, limits)).await.key;
        let mut refusal = gw.chat(&key, M1).await;
        // Calls at odd moments, so that none lies on the edge of a slot.
        for step in [7, 131, 23, 311] {
            if refusal.status == 200 {
                gw.clock.advance(step * MILLISECOND);
                refusal = gw.chat(&key, M1).await;
            }
        }
        let wait = wait_ms(&refusal);
        gw.clock.advance(Duration::from_millis(wait) - MILLISECOND);
        assert_eq!(wait_ms(&gw.chat(&key, M1).await), 1, "{limits:?}: not a millisecond earlier");
        gw.clock.advance(MILLISECOND);
        gw.chat(&key, M1).await.expect(200);
    }
}

#[tokio::test]
async fn of_several_limits_the_one_that_takes_longest_is_named() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "SECOND", 1), ("TOKEN", "MINUTE", 30), ("REQUEST", "DAY", 1)];
    let key = gw.customer("cust", models(M1, &limits)).await.key;
    gw.chat(&key, M1).await.expect(200);
    let reply = gw.chat(&key, M1).await;
    assert_eq!(reply.body["error"]["limit"]["unit"], "DAY");
    assert_eq!(wait_ms(&reply), 12 * 3_600_000);
}

#[tokio::test]
async fn clients_are_told_not_to_wait_for_hours() {
    let gw = Gateway::start().await;
    let day = gw.customer("day", models(M1, &[("REQUEST", "DAY", 1)])).await;
    let minute = gw.customer("minute", models(M1, &[("REQUEST", "MINUTE", 1)])).await;
    for (key, should_retry) in [(&day.key, "false"), (&minute.key, "")] {
        gw.chat(key, M1).await.expect(200);
        let reply = gw.chat(key, M1).await.expect(429);
        assert_eq!(reply.header("x-should-retry"), should_retry);
        assert!(wait_ms(&reply) > 0);
    }
    gw.clock.advance_to(23, 58, 30);
    assert_eq!(gw.chat(&day.key, M1).await.expect(429).header("x-should-retry"), "", "90 s can be waited");
}

#[tokio::test]
async fn a_call_that_can_never_fit_is_told_so() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", 50), ("REQUEST", "DAY", 9)])).await;
    let long = json!([{ "role": "user", "content": "word ".repeat(100) }]);
    for body in [
        json!({ "model": M1, "max_tokens": 60, "messages": [] }),
        json!({ "model": M1, "max_tokens": 1, "messages": long }),
        json!({ "model": M1, "messages": long }),
    ] {
        let reply = gw.chat_with(&customer.key, body).await;
        refused(&reply, 429, "request_exceeds_limit");
        assert_eq!(reply.header("x-should-retry"), "false");
        for absent in ["retry-after", "retry-after-ms"] {
            assert_eq!(reply.header(absent), "");
        }
        let note = &reply.body["error"]["limit"];
        assert_eq!((&note["type"], &note["threshold"]), (&json!("TOKEN"), &json!(50)));
        assert!(note.get("retry_after_s").is_none());
        assert_eq!(reply.body["type"], "token_limited");
    }
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, Value::Null);
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn what_is_only_guessed_can_always_fit() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", 50)])).await.key;
    let body = json!({ "model": M1, "messages": [{ "role": "user", "content": "Say hello." }] });
    let reply = gw.chat_with(&key, body.clone()).await.expect(200);
    assert_eq!(remaining(&reply.headers, "tokens"), 0, "all of the minute is held");
    refused(&gw.chat_with(&key, body).await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn observed_calls_are_never_too_large() {
    let gw = Gateway::with(|config| config.limits.admission = domain::Admission::Observed).await;
    let key = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", 5)])).await.key;
    let body = json!({ "model": M1, "max_tokens": 9_000, "messages": [] });
    assert_eq!(gw.chat_with(&key, body.clone()).await.status, 200);
    refused(&gw.chat_with(&key, body).await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn where_only_calls_in_flight_are_in_the_way_clients_are_told_to_come_back_soon() {
    for unit in ["MINUTE", "DAY"] {
        let gw = Gateway::start().await;
        gw.model.set(Script::ending(End::StallAfter(1)));
        let key = gw.customer("cust", models(M1, &[("TOKEN", unit, 30)])).await.key;
        let mut in_flight = gw.chat_request(&key).json(&streamed(M1)).open().await;
        assert!(in_flight.piece().await.is_some());
        let reply = gw.chat(&key, M1).await;
        assert_eq!((wait_ms(&reply), reply.header("x-should-retry")), (1_000, "true"), "{unit}");
        drop(in_flight);
        gw.quiet().await;
        gw.model.set(Script::default());
        gw.clock.advance(Duration::from_secs(60));
        let next = gw.chat(&key, M1).await;
        // Of a day's tokens, those of the prompt are used up for good.
        assert_eq!(next.status, if unit == "MINUTE" { 200 } else { 429 }, "{}", next.text);
    }
}
