//! End users: who says for whom a call is made, and the limits that it then has to fit.

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway};

use crate::support::*;

/// A gateway where `ada` may call once an hour, and a customer.
async fn limited() -> (Gateway, Customer) {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    user_limit(&gw, "ada").await;
    (gw, customer)
}

async fn user_limit(gw: &Gateway, user: &str) {
    let limit = json!({ "request_max_limit": 1, "request_reset_duration": "1h" });
    gw.model_config(json!({ "model_name": "*", "scope": "user", "scope_id": user, "rate_limit": limit }))
        .await;
}

fn naming(field: &str, user: &str) -> Value {
    let mut body = chat(M1);
    body[field] = user.into();
    body
}

#[tokio::test]
async fn a_call_says_for_whom_it_is_by_header_or_body_and_the_limits_of_that_user_hold() {
    let (gw, customer) = limited().await;
    gw.chat_with(&customer.key, naming("user", "ada")).await.expect(200);
    let by_user = gw.chat_with(&customer.key, naming("user", "ada")).await;
    let by_safety = gw.chat_with(&customer.key, naming("safety_identifier", "ada")).await;
    let header = |user: &str| gw.chat_request(&customer.key).header("x-user-id", user);
    let by_header = header(" ada ").json(&chat(M1)).send().await;
    for reply in [by_user, by_safety, by_header] {
        refused(&reply, 429, "rate_limit_exceeded");
    }
    gw.chat_with(&customer.key, naming("user", "eve")).await.expect(200);
    gw.chat(&customer.key, M1).await.expect(200);
    let both = header("eve").json(&naming("user", "ada")).send().await.expect(200);
    let entry = gw.entry(both.header("x-request-id")).await.unwrap();
    assert_eq!(entry.user.as_deref(), Some("eve"), "the header goes first");
    let empty = header("").json(&naming("user", "ada")).send().await;
    refused(&empty, 429, "rate_limit_exceeded");
    let long = header(&"a".repeat(domain::USER_LEN_MAX + 1)).json(&chat(M1)).send().await.expect(200);
    assert_eq!(gw.entry(long.header("x-request-id")).await.unwrap().user, None);
}

#[tokio::test]
async fn an_anthropic_call_says_it_in_its_metadata() {
    let (gw, customer) = limited().await;
    let mut body = chat(M1);
    body["metadata"] = json!({ "user_id": "ada" });
    let send =
        || gw.request(Method::POST, "/v1/messages").header("x-api-key", &customer.key).json(&body).send();
    let first = send().await.expect(200);
    assert_eq!(gw.entry(first.header("x-request-id")).await.unwrap().user.as_deref(), Some("ada"));
    send().await.expect(429);
}

#[tokio::test]
async fn the_user_that_a_key_is_bound_to_goes_before_what_a_call_says() {
    let (gw, customer) = limited().await;
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let bound = gw.post(&keys, json!({ "user_id": "ada" })).await.expect(200);
    let bound = bound.body["api_key"].as_str().unwrap();
    let call = || gw.chat_request(bound).header("x-user-id", "eve").json(&naming("user", "eve")).send();
    let first = call().await.expect(200);
    assert_eq!(gw.entry(first.header("x-request-id")).await.unwrap().user.as_deref(), Some("ada"));
    refused(&call().await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn a_user_has_one_pool_over_all_customers_and_models() {
    let (gw, customer) = limited().await;
    let other = gw.customer("other", models(M2, &[])).await;
    gw.chat_with(&customer.key, naming("user", "ada")).await.expect(200);
    let mut body = naming("user", "ada");
    body["model"] = M2.into();
    let reply = gw.chat_with(&other.key, body).await;
    refused(&reply, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn the_first_config_of_a_user_holds_for_paths_that_were_compiled_before_it() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for _ in 0..3 {
        gw.chat_with(&customer.key, naming("user", "ada")).await.expect(200);
    }
    user_limit(&gw, "ada").await;
    gw.chat_with(&customer.key, naming("user", "ada")).await.expect(200);
    refused(&gw.chat_with(&customer.key, naming("user", "ada")).await, 429, "rate_limit_exceeded");
    gw.chat_with(&customer.key, naming("user", "eve")).await.expect(200);
    user_limit(&gw, "eve").await;
    gw.chat_with(&customer.key, naming("user", "eve")).await.expect(200);
    refused(&gw.chat_with(&customer.key, naming("user", "eve")).await, 429, "rate_limit_exceeded");
}
