//! `GET /v1/models`: what a key may call, answered by the gateway itself.

use http::Method;
use serde_json::json;
use testkit::{Gateway, Reply};

use crate::support::*;

async fn get(gw: &Gateway, key: &str, path: &str) -> Reply {
    gw.request(Method::GET, path).header("authorization", format!("Bearer {key}")).send().await
}

#[tokio::test]
async fn the_list_holds_the_granted_slugs_that_have_an_endpoint() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", json!([model(M2, &[]), model("acme/none", &[])])).await.key;
    let reply = get(&gw, &key, "/v1/models").await.expect(200);
    assert_eq!(reply.body["object"], "list");
    let data = reply.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 1, "{}", reply.text);
    assert_eq!((&data[0]["id"], &data[0]["object"]), (&json!(M2), &json!("model")));
    assert_eq!(data[0]["owned_by"], "acme");
    assert_eq!(data[0]["created"], 1_778_673_600);
}

#[tokio::test]
async fn one_model_is_found_with_its_slash_raw_or_escaped() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    for path in ["/v1/models/acme/m1", "/v1/models/acme%2Fm1", "/v1/models/acme%2fm1"] {
        assert_eq!(get(&gw, &key, path).await.expect(200).body["id"], M1, "{path}");
    }
}

#[tokio::test]
async fn a_model_that_cannot_be_called_is_not_there() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", json!([model(M1, &[]), model("acme/none", &[])])).await.key;
    for slug in ["acme/m2", "acme/none", "acme/m9", "acme", "acme/m1/x", "%00", "acme%252Fm1"] {
        refused(&get(&gw, &key, &format!("/v1/models/{slug}")).await, 404, "model_not_found");
    }
}

#[tokio::test]
async fn models_are_shown_to_nobody_without_a_key_and_cost_nothing() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("REQUEST", "DAY", 1)])).await;
    refused(&gw.request(Method::GET, "/v1/models").send().await, 401, "invalid_api_key");
    for _ in 0..3 {
        get(&gw, &customer.key, "/v1/models").await.expect(200);
    }
    assert!(gw.used(&customer.id, M1, "REQUEST").await.is_null());
}
