//! Who may read the numbers.

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, OPERATOR_KEY};

#[tokio::test]
async fn on_the_callers_listener_numbers_are_for_management_keys_that_may_read() {
    let gw = Gateway::start().await;
    let home = gw.first_workspace().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    let scrape = async |key: &str| gw.send_as(key, Method::GET, "/metrics", Value::Null).await;
    for scope in ["view", "manage"] {
        scrape(&gw.management_key(&home, scope).await).await.expect(200);
    }
    scrape(OPERATOR_KEY).await.expect(200);
    scrape(&gw.management_key(&home, "none").await).await.expect(403);
    scrape(&customer.key).await.expect(403);
    let stranger = scrape("nobody").await.expect(401);
    assert_eq!(stranger.body["code"], "UNAUTHORIZED");
    gw.request(Method::GET, "/metrics").send().await.expect(401);
}

#[tokio::test]
async fn a_key_of_a_workspace_that_is_put_out_reads_no_numbers() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("tenant", &["tenant"]).await;
    gw.send_as(&tenant.key, Method::GET, "/metrics", Value::Null).await.expect(200);
    gw.patch(&format!("/v1/workspaces/{}", tenant.id), json!({ "onboarded": false })).await.expect(200);
    gw.send_as(&tenant.key, Method::GET, "/metrics", Value::Null).await.expect(403);
}

#[tokio::test]
async fn where_management_has_its_own_listener_numbers_are_read_there_alone_and_without_a_key() {
    let gw = Gateway::with(|config| config.server.admin_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    let there = gw.request_of_management(Method::GET, "/metrics").send().await.expect(200);
    assert!(there.text.contains("tollgate_ready 1\n"), "{}", there.text);
    let here = gw.request(Method::GET, "/metrics").send().await.expect(404);
    assert_eq!(here.body["error"]["code"], "unknown_route");
}

#[tokio::test]
async fn scrapes_do_not_count_against_the_rate_of_their_key() {
    // The clock of the test stands still: all of it is one second.
    let gw = Gateway::with(|config| config.management.rate_limit_per_second = 4).await;
    for _ in 0..20 {
        gw.get("/metrics").await.expect(200);
    }
}

#[tokio::test]
async fn numbers_are_only_read() {
    let gw = Gateway::start().await;
    let head = gw.manage(Method::HEAD, "/metrics").send().await.expect(200);
    assert_eq!(head.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let refused = gw.post("/metrics", json!({})).await.expect(405);
    assert_eq!(refused.header("allow"), "GET,HEAD");
    gw.get("/metrics/more").await.expect(404);
}
