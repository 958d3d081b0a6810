//! A gateway over its life: ready, stopping, started again; and what a limit knows of the time before it was declared.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Script};

const DAY: &str = "DAY";

fn daily(kind: &str, threshold: u64) -> Value {
    json!([{ "slug": "acme/m1", "usage_limits": [{ "type": kind, "unit": DAY, "threshold": threshold }] }])
}

#[tokio::test]
async fn case_236_everything_configured_and_the_daily_counters_survive_a_restart() {
    let mut gw = Gateway::start().await;
    let org = gw.member("org", daily("REQUEST", 3), "CASCADING", None).await;
    let team = gw.member("team", json!([{ "slug": "acme/m1" }]), "CASCADING", Some(&org.id)).await;
    gw.chat(&team.key, "acme/m1").await.expect(200);
    gw.chat(&org.key, "acme/m1").await.expect(200);
    let lists = ["/v1/gateway/groups", "/v1/gateway/endpoints", "/v1/secrets"];
    let mut before = Vec::new();
    for list in lists {
        before.push(gw.get(list).await.expect(200).body);
    }
    gw.restart().await;
    for (list, before) in lists.iter().zip(before) {
        assert_eq!(gw.get(list).await.expect(200).body, before);
    }
    assert_eq!(gw.used(&org.id, "acme/m1", "REQUEST").await, 2);
    gw.chat(&team.key, "acme/m1").await.expect(200);
    gw.chat(&team.key, "acme/m1").await.expect(429);
    gw.chat(&org.key, "acme/m1").await.expect(429);
}

#[tokio::test]
async fn revoked_keys_and_deleted_groups_stay_so_after_a_restart() {
    let mut gw = Gateway::start().await;
    let kept = gw.customer("kept", json!([{ "slug": "acme/m1" }])).await;
    let gone = gw.customer("gone", json!([{ "slug": "acme/m1" }])).await;
    let prefix = kept.key.split('.').next().unwrap();
    let second = gw.key(&kept.id).await;
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", kept.id)).await.expect(200);
    gw.delete(&format!("/v1/gateway/groups/{}", gone.id)).await.expect(200);
    gw.restart().await;
    gw.chat(&kept.key, "acme/m1").await.expect(401);
    gw.chat(&gone.key, "acme/m1").await.expect(401);
    gw.chat(&second, "acme/m1").await.expect(200);
}

#[tokio::test]
async fn a_daily_limit_opens_with_what_was_used_before_it_was_declared() {
    let gw = Gateway::start().await;
    let org = gw.member("org", json!([{ "slug": "acme/m1" }]), "CASCADING", None).await;
    let team = gw.member("team", json!([{ "slug": "acme/m1" }]), "CASCADING", Some(&org.id)).await;
    for key in [&org.key, &team.key] {
        gw.chat(key, "acme/m1").await.expect(200);
    }
    let path = format!("/v1/gateway/groups/{}", org.id);
    gw.patch(&path, json!({ "models": daily("TOKEN", 57) })).await.expect(200);
    assert_eq!(gw.used(&org.id, "acme/m1", "TOKEN").await, 38, "its own call and its child's");
    gw.chat(&team.key, "acme/m1").await.expect(429);
    let short = json!({
        "model": "acme/m1", "max_tokens": 1, "messages": [{ "role": "user", "content": "Hi" }],
    });
    gw.chat_with(&team.key, short).await.expect(200);
}

#[tokio::test]
async fn a_daily_limit_that_was_away_knows_what_was_used_meanwhile() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", daily("REQUEST", 3)).await;
    let path = format!("/v1/gateway/groups/{}", customer.id);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.patch(&path, json!({ "models": [{ "slug": "acme/m1" }] })).await.expect(200);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.patch(&path, json!({ "models": daily("REQUEST", 3) })).await.expect(200);
    assert_eq!(gw.used(&customer.id, "acme/m1", "REQUEST").await, 2);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.chat(&customer.key, "acme/m1").await.expect(429);
}

#[tokio::test]
async fn editing_a_threshold_forgets_nothing() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", daily("REQUEST", 1)).await;
    let path = format!("/v1/gateway/groups/{}", customer.id);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.chat(&customer.key, "acme/m1").await.expect(429);
    gw.patch(&path, json!({ "models": daily("REQUEST", 2) })).await.expect(200);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.chat(&customer.key, "acme/m1").await.expect(429);
    assert_eq!(gw.used(&customer.id, "acme/m1", "REQUEST").await, 2);
}

#[tokio::test]
async fn nothing_that_was_said_in_a_call_is_kept() {
    let mut gw = Gateway::start().await;
    let customer = gw.customer("cust", json!([{ "slug": "acme/m1" }])).await;
    let said = "a-sentence-that-must-not-be-kept";
    let body = json!({ "model": "acme/m1", "messages": [{ "role": "user", "content": said }] });
    gw.chat_with(&customer.key, body).await.expect(200);
    gw.stop().await;
    let secret = customer.key.split('.').next_back().unwrap();
    for file in std::fs::read_dir(gw.dir()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(said) && !holds(secret) && !holds("word word"), "{}", path.display());
    }
}

#[tokio::test]
async fn a_running_gateway_says_that_it_is_live_and_ready() {
    let gw = Gateway::start().await;
    for path in ["/healthz/live", "/healthz/ready"] {
        gw.request(Method::GET, path).send().await.expect(200);
    }
    gw.request(Method::GET, "/healthz/other").send().await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_flight_comes_to_its_end_while_the_gateway_stops_and_is_counted() {
    let mut gw = Gateway::start().await;
    let customer = gw.customer("cust", daily("TOKEN", 1_000)).await;
    gw.model.set(Script { between_chunks: Duration::from_millis(20), ..Script::default() });
    let body = json!({
        "model": "acme/m1", "stream": true, "messages": [{ "role": "user", "content": "Say hello." }],
    });
    let stream = gw.chat_request(&customer.key).json(&body).open().await;
    let (text, ()) = tokio::join!(stream.rest(), gw.stop());
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    gw.restart().await;
    assert_eq!(gw.used(&customer.id, "acme/m1", "TOKEN").await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlasts_the_grace_is_cut_and_charged_for_what_was_seen() {
    let mut gw = Gateway::with(|config| config.server.shutdown_grace = Duration::from_millis(50)).await;
    let customer = gw.customer("cust", daily("TOKEN", 1_000)).await;
    gw.model.set(Script { end: testkit::End::StallAfter(4), ..Script::default() });
    let body = json!({
        "model": "acme/m1", "stream": true, "messages": [{ "role": "user", "content": "Say hello." }],
    });
    let mut stream = gw.chat_request(&customer.key).json(&body).open().await;
    stream.piece().await.unwrap();
    gw.stop().await;
    gw.restart().await;
    let used = gw.used(&customer.id, "acme/m1", "TOKEN").await.as_u64().unwrap();
    assert!((1..100).contains(&used), "prompt and words seen, not the whole hold: {used}");
}
