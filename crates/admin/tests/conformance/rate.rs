//! The limit on management calls.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use crate::support::*;

async fn limited(per_second: u32) -> Gateway {
    Gateway::with(|config| config.management.rate_limit_per_second = per_second).await
}

#[track_caller]
fn throttled(reply: &Reply) {
    assert_eq!(reply.status, 429, "{}", reply.text);
    let published = json!({"error": "Rate limit exceeded. Please try again later.", "retry_after": 1});
    assert_eq!((&reply.body, reply.header("retry-after")), (&published, "1"));
}

#[tokio::test]
async fn case_231_the_hundred_and_first_request_of_a_second_is_refused() {
    let gw = limited(100).await;
    for n in 0..100 {
        assert_eq!(gw.get(GROUPS).await.status, 200, "{n}");
    }
    throttled(&gw.get(GROUPS).await);
    throttled(&gw.get(&format!("{GROUPS}?limit=1")).await);
    gw.clock.advance(Duration::from_secs(1));
    assert_eq!(gw.get(GROUPS).await.status, 200);
}

#[tokio::test]
async fn case_232_another_route_and_another_key_go_on() {
    let gw = limited(3).await;
    let (group, other) = (created(&gw, plain("a")).await, created(&gw, plain("b")).await);
    let key = gw.management_key(&gw.first_workspace().await, "manage").await;
    gw.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        gw.get(&group_path(&group)).await.expect(200);
    }
    throttled(&gw.get(&group_path(&group)).await);
    throttled(&gw.get(&group_path(&other)).await);
    gw.get(GROUPS).await.expect(200);
    gw.patch(&group_path(&group), json!({"metadata": {"name": "x"}})).await.expect(200);
    gw.send_as(&key, Method::GET, &group_path(&group), Value::Null).await.expect(200);
}

#[tokio::test]
async fn paths_that_are_not_there_are_limited_together_and_a_refused_body_is_not_read() {
    let gw = limited(2).await;
    gw.clock.advance(Duration::from_secs(1));
    for path in ["/v1/gateway/a", "/v1/gateway/b"] {
        refused(&gw.get(path).await, 404, path);
    }
    throttled(&gw.get("/v1/gateway/c").await);
    for external in ["a", "b"] {
        created(&gw, plain(external)).await;
    }
    throttled(&send(&gw, Method::POST, GROUPS, b"not json").await);
}

#[tokio::test]
async fn methods_that_no_route_takes_are_limited_together() {
    let gw = limited(2).await;
    gw.clock.advance(Duration::from_secs(1));
    for method in ["FIRST", "SECOND"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        refused(&gw.manage(method, GROUPS).send().await, 405, "no such method");
    }
    throttled(&gw.manage(Method::from_bytes(b"THIRD").unwrap(), GROUPS).send().await);
    gw.get(GROUPS).await.expect(200);
}

#[tokio::test]
async fn a_tenant_whose_bodies_never_come_keeps_nobody_from_managing() {
    let gw = Gateway::start().await;
    let (tenant, other) = (gw.tenant("acme", &[]).await, gw.tenant("beta", &[]).await);
    let mut waiting = JoinSet::new();
    for _ in 0..300 {
        let mut stream = begun(&gw, &tenant.key, GROUPS, "{}").await;
        waiting.spawn(async move {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        });
    }
    let refused = waiting.join_next().await.unwrap().unwrap();
    assert!(refused.contains("HTTP/1.1 429") && refused.contains("retry-after: 1"), "{refused}");
    gw.send_as(&other.key, Method::POST, GROUPS, plain("cust_42")).await.expect(200);
    gw.get("/v1/workspaces").await.expect(200);
}

#[tokio::test]
async fn strangers_are_not_counted_against_anybody() {
    let gw = limited(2).await;
    gw.clock.advance(Duration::from_secs(1));
    for _ in 0..5 {
        refused(&gw.manage_as("mgmt_nobody", Method::GET, GROUPS).send().await, 401, "a stranger");
    }
    gw.get(GROUPS).await.expect(200);
}
