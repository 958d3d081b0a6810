//! How errors read below `/api/governance`, whatever they are about.

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

#[tokio::test]
async fn bifrost_case_44_every_error_has_one_form() {
    let gw = Gateway::with(|config| config.management.max_body_mb = 1).await;
    let view = gw.management_key(&gw.first_workspace().await, "view").await;
    let body = json!({ "model_name": "*" });
    refused(&post(&gw, json!({})).await, 400, "a rule");
    refused(&gw.request(Method::GET, CONFIGS).send().await, 401, "nobody");
    refused(&gw.send_as(&view, Method::POST, CONFIGS, body.clone()).await, 403, "a key that may only read");
    for path in [
        "/api/governance",
        "/api/governance/",
        "/api/governance/virtual-keys",
        "/api/governance/model-configs/",
    ] {
        refused(&gw.get(path).await, 404, path);
    }
    for (method, path) in [
        (Method::PATCH, CONFIGS),
        (Method::POST, BUDGETS),
        (Method::DELETE, QUOTA),
        (Method::GET, "/api/governance/providers/x"),
    ] {
        let reply = gw.manage(method, path).send().await;
        refused(&reply, 405, path);
        assert!(!reply.header("allow").is_empty(), "{path}");
    }
    post(&gw, body.clone()).await.expect(200);
    refused(&post(&gw, body.clone()).await, 409, "the same again");
    refused(&post(&gw, json!({ "model_name": "m".repeat(1 << 20) })).await, 413, "a long body");
    let zipped = gw.manage(Method::POST, CONFIGS).header("content-encoding", "gzip").json(&body).send().await;
    refused(&zipped, 415, "an encoded body");
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_in_the_same_form() {
    let gw = Gateway::with(|config| config.management.rate_limit_per_second = 2).await;
    for _ in 0..2 {
        gw.get(CONFIGS).await.expect(200);
    }
    let reply = gw.get(CONFIGS).await;
    refused(&reply, 429, "again within the second");
    assert_eq!(reply.header("retry-after"), "1");
    gw.get(BUDGETS).await.expect(200);
}

#[tokio::test]
async fn other_roots_keep_their_own_form() {
    let gw = Gateway::start().await;
    for path in ["/v1/gateway/groups/nobody", "/v1/workspaces/nobody", "/v1/secrets/nobody/x"] {
        let reply = gw.get(path).await.expect(404);
        assert_eq!(fields(&reply.body), ["code", "message"], "{path}");
    }
}

#[tokio::test]
async fn a_customers_key_is_no_credential_here_and_a_management_key_is_in_both_schemes() {
    let gw = Gateway::start().await;
    let (customer, _) = customer(&gw, "cust_42").await;
    for path in [CONFIGS, BUDGETS, PROVIDERS, "/api/governance/nothing"] {
        let reply = gw.send_as(&customer.key, Method::GET, path, Value::Null).await;
        refused(&reply, 401, path);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        for scheme in ["Api-Key", "bearer"] {
            let request = gw.request(Method::GET, path);
            let reply =
                request.header("authorization", format!("{scheme} {}", testkit::OPERATOR_KEY)).send().await;
            assert!([200, 404].contains(&reply.status), "{scheme} {path}: {}", reply.status);
        }
        for header in ["x-api-key", "api-key", "x-bf-vk"] {
            let reply = gw.request(Method::GET, path).header(header, testkit::OPERATOR_KEY).send().await;
            refused(&reply, 401, header);
        }
    }
}
