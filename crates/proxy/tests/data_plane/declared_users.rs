//! A user that a call only names is a label that anybody may name: what was used under it is not told.

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

/// A gateway where `ada` may use so many tokens and one request an hour, one of which another customer has made.
async fn used_by_another() -> Gateway {
    let gw = Gateway::start().await;
    let limit = json!({
        "token_max_limit": 1_000_000, "token_reset_duration": "1h",
        "request_max_limit": 1, "request_reset_duration": "1h",
    });
    gw.model_config(json!({ "model_name": "*", "scope": "user", "scope_id": "ada", "rate_limit": limit }))
        .await;
    let other = gw.customer("other", models(M1, &[])).await;
    gw.chat_with(&other.key, for_ada()).await.expect(200);
    gw
}

fn for_ada() -> Value {
    let mut body = chat(M1);
    body["user"] = "ada".into();
    body
}

#[tokio::test]
async fn who_names_a_user_is_refused_by_its_limit_without_being_told_what_others_used() {
    let gw = used_by_another().await;
    let customer = counted(&gw).await;
    let reply = gw.chat_with(&customer.key, for_ada()).await;
    refused(&reply, 429, "rate_limit_exceeded");
    assert_eq!(reply.body["error"]["limit"]["used"], Value::Null);
    assert!(!reply.header("ratelimit").contains("period"), "{}", reply.header("ratelimit"));
}

#[tokio::test]
async fn the_key_that_a_user_is_bound_to_is_told_what_the_user_used_beside_one_that_is_not() {
    let gw = used_by_another().await;
    let customer = counted(&gw).await;
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let bound = gw.post(&keys, json!({ "user_id": "ada" })).await.expect(200);
    let bound = bound.body["api_key"].as_str().unwrap();
    for _ in 0..2 {
        let own = gw.chat_with(bound, chat(M1)).await;
        assert_eq!(own.body["error"]["limit"]["used"], 1);
        assert!(own.header("ratelimit").contains("requests-period"), "{}", own.header("ratelimit"));
        let named = gw.chat_with(&customer.key, for_ada()).await;
        assert_eq!(named.body["error"]["limit"]["used"], Value::Null);
    }
}
