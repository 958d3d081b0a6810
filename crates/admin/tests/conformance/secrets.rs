//! `/v1/secrets`

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

const SECRETS: &str = "/v1/secrets";

#[tokio::test]
async fn a_secret_is_put_listed_replaced_and_deleted_and_never_shown() {
    let gw = Gateway::start().await;
    let put = gw.post(SECRETS, json!({"name": "UPSTREAM", "value": "sk-very-secret"})).await;
    assert_eq!((put.status, fields(&put.body)), (200, vec!["created_at", "name"]));
    let again = gw.post(SECRETS, json!({"name": "UPSTREAM", "value": "sk-other"})).await;
    assert_eq!(again.status, 200);
    let list = gw.get(SECRETS).await.body;
    assert_eq!(list["items"], json!([again.body]));
    assert!(!list.to_string().contains("sk-"));
    let deleted = gw.delete(&format!("{SECRETS}/UPSTREAM")).await;
    assert_eq!((deleted.status, deleted.body), (200, json!({"name": "UPSTREAM"})));
    refused(&gw.delete(&format!("{SECRETS}/UPSTREAM")).await, 404, "twice");
}

#[tokio::test]
async fn a_secret_in_use_stays() {
    let gw = Gateway::start().await;
    gw.post(SECRETS, json!({"name": "UPSTREAM", "value": "sk"})).await;
    let target = json!({"provider": "OPENAI", "secret_id": "UPSTREAM", "target_model": "gpt"});
    let endpoint = gw.post(ENDPOINTS, json!({"slug": "acme/gpt", "targets": [target]})).await;
    assert_eq!(endpoint.status, 200, "{:?}", endpoint.body);
    refused(&gw.delete(&format!("{SECRETS}/UPSTREAM")).await, 400, "in use");
    gw.delete(&format!("{ENDPOINTS}/{}", endpoint.body["id"].as_str().unwrap())).await;
    assert_eq!(gw.delete(&format!("{SECRETS}/UPSTREAM")).await.status, 200);
}

#[tokio::test]
async fn bad_secrets_are_refused_without_repeating_them() {
    let gw = Gateway::start().await;
    for (case, body) in [
        ("no value", json!({"name": "a"})),
        ("empty value", json!({"name": "a", "value": ""})),
        ("header break", json!({"name": "a", "value": "424242\r\nx: y"})),
        ("number", json!({"name": "a", "value": 424242})),
        ("long", json!({"name": "a", "value": "424242".repeat(10_000)})),
        ("no name", json!({"value": "424242"})),
        ("bad name", json!({"name": "a/b", "value": "424242"})),
        ("environment", json!({"name": "env.A", "value": "424242"})),
        ("long name", json!({"name": "a".repeat(256), "value": "424242"})),
    ] {
        let reply = gw.post(SECRETS, body).await;
        refused(&reply, 400, case);
        assert!(!reply.body.to_string().contains("424242"), "{case}");
    }
    assert_eq!(gw.get(SECRETS).await.body["items"], json!([]));
}

#[tokio::test]
async fn secrets_are_listed_by_name_in_pages() {
    let gw = Gateway::start().await;
    for name in ["b", "c", "a"] {
        gw.post(SECRETS, json!({"name": name, "value": "v"})).await;
    }
    let names = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|secret| secret["name"].clone()).collect()
    };
    let first = gw.get(&format!("{SECRETS}?limit=2")).await.body;
    let cursor = first["pagination"]["cursor"].as_str().unwrap();
    let second = gw.get(&format!("{SECRETS}?limit=2&cursor={cursor}")).await.body;
    assert_eq!((names(&first), names(&second)), (vec![json!("a"), json!("b")], vec![json!("c")]));
    assert_eq!(second["pagination"], json!({"has_more": false, "cursor": null}));
}
