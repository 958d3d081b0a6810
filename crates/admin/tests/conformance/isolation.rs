//! Two workspaces on one gateway: neither sees, names, calls or counts against anything of the other.

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Tenant};

use crate::support::*;

/// The first workspace with a customer, and a second one with the same names in it.
struct Neighbours {
    gw: Gateway,
    ours: Customer,
    tenant: Tenant,
    theirs: Customer,
    endpoint: String,
}

impl Neighbours {
    async fn start() -> Self {
        let gw = Gateway::start().await;
        let ours = gw.customer("cust_42", json!([m1(&daily())])).await;
        gw.post("/v1/secrets", json!({"name": "UPSTREAM", "value": "sk-ours"})).await.expect(200);
        gw.post("/v1/secrets", json!({"name": "OURS", "value": "sk-ours"})).await.expect(200);
        let tenant = gw.tenant("beta", &["beta"]).await;
        let list = gw.get(ENDPOINTS).await.body;
        let endpoint = list["items"][0]["id"].as_str().unwrap().to_owned();
        let theirs = Customer { id: String::new(), key: String::new() };
        let mut neighbours = Self { gw, ours, tenant, theirs, endpoint };
        let models = [m1(&daily()), model("beta/m1", &daily())];
        let made = neighbours.ask(Method::POST, GROUPS, body("cust_42", &models, "INDEPENDENT", None)).await;
        assert_eq!(made.status, 200, "13: {}", made.text);
        neighbours.theirs.id = made.body["id"].as_str().unwrap().to_owned();
        let minted = neighbours.ask(Method::POST, &keys(&neighbours.theirs.id), json!({})).await;
        neighbours.theirs.key = minted.body["api_key"].as_str().unwrap().to_owned();
        // Served from this machine, which only an operator may say.
        let target = json!({"provider": "OPENAI_COMPATIBLE", "base_url": neighbours.gw.model.base_url(), "target_model": "m"});
        let request = neighbours
            .gw
            .manage(Method::POST, ENDPOINTS)
            .header("x-tollgate-workspace", &neighbours.tenant.id);
        request.json(&json!({"slug": "beta/m1", "targets": [target]})).send().await.expect(200);
        neighbours
    }

    /// As the second workspace.
    async fn ask(&self, method: Method, path: &str, body: Value) -> testkit::Reply {
        self.gw.send_as(&self.tenant.key, method, path, body).await
    }
}

fn daily() -> Vec<Value> {
    vec![limit("TOKEN", "DAY", 1_000_000)]
}

fn keys(group: &str) -> String {
    format!("{GROUPS}/{group}/api_keys")
}

#[tokio::test]
async fn case_013_an_identifier_is_unique_in_its_workspace_only() {
    let two = Neighbours::start().await;
    assert_ne!(two.ours.id, two.theirs.id);
    let found = two.ask(Method::GET, &format!("{GROUPS}?external_entity_id=cust_42"), Value::Null).await;
    assert_eq!(found.body["items"][0]["id"], two.theirs.id.as_str());
    refused(&two.ask(Method::POST, GROUPS, plain("cust_42")).await, 400, "its own");
}

#[tokio::test]
async fn case_034_a_parent_of_another_workspace_is_not_there() {
    let two = Neighbours::start().await;
    let child = body("child", &[m1(&[])], "INDEPENDENT", Some(&two.ours.id));
    refused(&two.ask(Method::POST, GROUPS, child).await, 404, "34");
}

#[tokio::test]
async fn case_057_088_108_150_199_what_another_workspace_has_is_forbidden_by_its_path() {
    let two = Neighbours::start().await;
    let (group, endpoint) = (group_path(&two.ours.id), format!("{ENDPOINTS}/{}", two.endpoint));
    let key = format!("{}/{}", keys(&two.ours.id), prefix(&two.ours.key));
    for (case, method, path, body) in [
        ("57", Method::PATCH, group.clone(), json!({"metadata": {"name": "x"}})),
        ("88", Method::GET, group.clone(), Value::Null),
        ("88, delete", Method::DELETE, group.clone(), Value::Null),
        ("108", Method::POST, keys(&two.ours.id), json!({})),
        ("108, list", Method::GET, keys(&two.ours.id), Value::Null),
        ("108, get", Method::GET, key.clone(), Value::Null),
        ("108, revoke", Method::DELETE, key, Value::Null),
        ("150", Method::GET, endpoint.clone(), Value::Null),
        ("150, update", Method::PATCH, endpoint.clone(), json!({"region": "EU"})),
        ("150, delete", Method::DELETE, endpoint.clone(), Value::Null),
        ("150, test", Method::POST, format!("{endpoint}/test"), json!({})),
        ("199", Method::GET, format!("{group}/usage"), Value::Null),
    ] {
        refused(&two.ask(method, &path, body).await, 403, case);
    }
    let deleted = created(&two.gw, plain("gone")).await;
    two.gw.delete(&group_path(&deleted)).await.expect(200);
    refused(&two.ask(Method::GET, &group_path(&deleted), Value::Null).await, 404, "what is gone is nobody's");
    assert_eq!(chat(&two.gw, &two.ours.key, "acme/m1").await, 200, "nothing was changed");
    let theirs = format!("{}/{}", keys(&two.theirs.id), prefix(&two.ours.key));
    refused(&two.ask(Method::GET, &theirs, Value::Null).await, 404, "our key under their group");
}

#[tokio::test]
async fn lists_hold_what_is_ones_own() {
    let two = Neighbours::start().await;
    let list =
        async |path: &str| two.ask(Method::GET, path, Value::Null).await.expect(200).body["items"].clone();
    let column = |items: &Value, field: &str| -> Vec<Value> {
        items.as_array().unwrap().iter().map(|item| item[field].clone()).collect()
    };
    assert_eq!(column(&list(GROUPS).await, "id"), [json!(two.theirs.id)]);
    assert_eq!(column(&list(ENDPOINTS).await, "slug"), [json!("beta/m1")]);
    assert_eq!(list("/v1/secrets").await, json!([]));
    assert_eq!(column(&list(&keys(&two.theirs.id)).await, "prefix"), [json!(prefix(&two.theirs.key))]);
    let ours = two.gw.get(GROUPS).await.body["items"].clone();
    assert_eq!(column(&ours, "id"), [json!(two.ours.id)], "and the other way round");
    let page = two.gw.get(&format!("{ENDPOINTS}?limit=1")).await.body;
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let rest =
        two.ask(Method::GET, &format!("{ENDPOINTS}?cursor={cursor}"), Value::Null).await.expect(200).body;
    assert!(!rest.to_string().contains("acme/"), "a cursor of another opens nothing: {rest}");
}

#[tokio::test]
async fn secrets_of_another_workspace_can_be_neither_used_nor_replaced_nor_seen() {
    let two = Neighbours::start().await;
    let target = json!({"provider": "OPENAI", "secret_id": "UPSTREAM", "target_model": "gpt"});
    let endpoint = json!({"slug": "beta/gpt", "targets": [target]});
    refused(&two.ask(Method::POST, ENDPOINTS, endpoint.clone()).await, 400, "ours");
    refused(&two.ask(Method::DELETE, "/v1/secrets/OURS", Value::Null).await, 404, "ours");
    let put = json!({"name": "UPSTREAM", "value": "sk-theirs"});
    two.ask(Method::POST, "/v1/secrets", put).await.expect(200);
    two.ask(Method::POST, ENDPOINTS, endpoint).await.expect(200);
    refused(&two.ask(Method::DELETE, "/v1/secrets/UPSTREAM", Value::Null).await, 400, "in use by theirs");
    two.gw.delete("/v1/secrets/UPSTREAM").await.expect(200);
    let left = two.ask(Method::GET, "/v1/secrets", Value::Null).await.body["items"].clone();
    assert_eq!(left[0]["name"], "UPSTREAM", "theirs is another one");
}

#[tokio::test]
async fn calls_reach_and_count_for_ones_own_workspace_only() {
    let two = Neighbours::start().await;
    assert_eq!(chat(&two.gw, &two.theirs.key, "acme/m1").await, 404, "granted, but served by another");
    assert_eq!(chat(&two.gw, &two.theirs.key, "beta/m1").await, 200);
    assert_eq!(chat(&two.gw, &two.ours.key, "acme/m1").await, 200);
    assert_eq!(two.gw.used(&two.ours.id, "acme/m1", "TOKEN").await, 19);
    let usage = two.ask(Method::GET, &format!("{}/usage", group_path(&two.theirs.id)), Value::Null).await;
    let usage = &usage.expect(200).body["usage"];
    assert_eq!(usage["beta/m1"][0]["current_usage"], 19);
    assert_eq!(usage["acme/m1"][0]["current_usage"], Value::Null);
}
