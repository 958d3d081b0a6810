//! `/v1/workspaces`: workspaces, their prefixes and their management keys.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Signer};

use crate::support::*;

const WORKSPACES: &str = "/v1/workspaces";

fn path(workspace: &str) -> String {
    format!("{WORKSPACES}/{workspace}")
}

fn keys_of(workspace: &str) -> String {
    format!("{WORKSPACES}/{workspace}/management_keys")
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// An endpoint that is never called.
fn serving(slug: &str) -> Value {
    let target = json!({"provider": "OPENAI_COMPATIBLE", "target_model": "m", "base_url": "https://models.example/v1"});
    json!({"slug": slug, "targets": [target]})
}

#[tokio::test]
async fn a_workspace_is_made_with_its_first_key_read_listed_and_changed() {
    let gw = Gateway::start().await;
    let public_key = Signer::new(0).public_key();
    let made = gw.post(WORKSPACES, json!({"name": "Acme"})).await.expect(200).body;
    let shown =
        ["created_at", "ed25519_public_key", "id", "management_key", "name", "onboarded", "org_prefixes"];
    assert_eq!(fields(&made), shown);
    assert_eq!((&made["onboarded"], &made["org_prefixes"]), (&json!(true), &json!([])));
    assert_eq!(
        (&made["ed25519_public_key"], &made["created_at"]),
        (&Value::Null, &json!("2026-05-13T12:00:00Z"))
    );
    let key = made["management_key"].as_str().unwrap();
    assert!(key.starts_with("mgmt_") && prefix(key).len() == 17 && key.len() == 17 + 1 + 32, "{key}");
    let (id, mut expected) = (made["id"].as_str().unwrap(), made.clone());
    expected.as_object_mut().unwrap().remove("management_key");
    assert_eq!(gw.get(&path(id)).await.expect(200).body, expected);
    let change = json!({
        "name": "Acme Inc", "onboarded": false, "org_prefixes": ["acme.dev", "acme-2"], "ed25519_public_key": public_key,
    });
    for (field, value) in change.as_object().unwrap() {
        expected[field] = value.clone();
        assert_eq!(gw.patch(&path(id), json!({ field: value })).await.expect(200).body, expected, "{field}");
    }
    expected["ed25519_public_key"] = Value::Null;
    assert_eq!(gw.patch(&path(id), json!({"ed25519_public_key": null})).await.expect(200).body, expected);
    let list = gw.get(WORKSPACES).await.expect(200).body;
    assert_eq!(list["items"][1], expected);
    let first = &list["items"][0];
    assert_eq!((&first["name"], &first["org_prefixes"]), (&json!("default"), &json!(["*"])));
    let page = gw.get(&format!("{WORKSPACES}?limit=1")).await.body;
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    assert_eq!(texts(&gw.get(&format!("{WORKSPACES}?cursor={cursor}")).await.body, "id"), [id]);
    refused(&gw.get(&path("00000000001")).await, 404, "nobody");
    refused(&gw.patch(&path("00000000001"), json!({"name": "x"})).await, 404, "nobody");
}

#[tokio::test]
async fn bad_workspaces_are_refused_and_leave_nothing_behind() {
    let gw = Gateway::start().await;
    let id = gw.tenant("acme", &["acme.dev"]).await.id;
    let before = gw.get(WORKSPACES).await.body;
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(256))),
        ("name", json!(5)),
        ("onboarded", json!("yes")),
        ("org_prefixes", json!("acme.dev")),
        ("org_prefixes", json!(["a/b"])),
        ("org_prefixes", json!([""])),
        ("org_prefixes", json!(["*"])),
        ("org_prefixes", json!(["x", "*"])),
        ("org_prefixes", json!(["x", "x"])),
        ("ed25519_public_key", json!("")),
        ("ed25519_public_key", json!("AAAA")),
        ("ed25519_public_key", json!("not base64")),
    ] {
        let case = format!("{field}: {value}");
        refused(&gw.patch(&path(&id), json!({ field: value })).await, 400, &case);
        let mut body = json!({"name": "other"});
        body[field] = value;
        refused(&gw.post(WORKSPACES, body).await, 400, &case);
    }
    refused(&gw.post(WORKSPACES, json!({})).await, 400, "no name");
    for nothing in [json!({}), json!({"name": null}), json!({"id": "x"})] {
        refused(&gw.patch(&path(&id), nothing).await, 400, "nothing to change");
    }
    assert_eq!(gw.get(WORKSPACES).await.body, before);
}

#[tokio::test]
async fn a_field_that_stands_twice_is_refused() {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    let first = path(&gw.first_workspace().await);
    for (method, path, body) in [
        (Method::POST, WORKSPACES, r#"{"name":"a","name":"b"}"#),
        (Method::PATCH, first.as_str(), r#"{"onboarded":false,"onboarded":true}"#),
        (Method::PATCH, first.as_str(), r#"{"ed25519_public_key":null,"ed25519_public_key":null}"#),
        (Method::POST, &format!("{first}/management_keys"), r#"{"scope":"view","scope":"operator"}"#),
        (Method::PATCH, &group_path(&group), r#"{"models":[],"models":[]}"#),
        (Method::PATCH, &group_path(&group), r#"{"metadata":{"name":"a","name":"b"}}"#),
        (Method::POST, &format!("{}/api_keys", group_path(&group)), r#"{"name":"a","name":"a"}"#),
        (Method::POST, "/v1/secrets", r#"{"name":"a","value":"x","value":"y"}"#),
        (Method::POST, ENDPOINTS, r#"{"slug":"acme/x","slug":"acme/x","targets":[]}"#),
    ] {
        refused(&send(&gw, method, path, body.as_bytes()).await, 400, body);
    }
}

#[tokio::test]
async fn case_136_an_endpoint_needs_a_prefix_that_its_workspace_owns() {
    let gw = Gateway::start().await;
    let (beta, none) = (gw.tenant("beta", &["beta"]).await, gw.tenant("none", &[]).await);
    let post = async |key: &str, slug: &str| gw.send_as(key, Method::POST, ENDPOINTS, serving(slug)).await;
    let made = post(&beta.key, "beta/m1").await.expect(200).body;
    refused(&post(&beta.key, "acme/m3").await, 400, "136, the first workspace's");
    refused(&post(&none.key, "beta/m2").await, 400, "136, another's");
    refused(&post(testkit::OPERATOR_KEY, "beta/m2").await, 400, "136, no longer of the first workspace");
    let rename = json!({"slug": "acme/m3"});
    let one = format!("{ENDPOINTS}/{}", made["id"].as_str().unwrap());
    refused(&gw.send_as(&beta.key, Method::PATCH, &one, rename).await, 400, "136, rename");
    gw.send_as(&beta.key, Method::PATCH, &one, json!({"slug": "beta/m2"})).await.expect(200);
    for taken in [json!(["acme"]), json!(["beta", "acme"])] {
        let reply = gw.patch(&path(&none.id), json!({"org_prefixes": taken})).await;
        refused(&reply, 400, "in use, or owned");
    }
    let left = gw.patch(&path(&beta.id), json!({"org_prefixes": []})).await;
    refused(&left, 400, "its endpoint would be left behind");
    gw.send_as(&beta.key, Method::DELETE, &one, Value::Null).await.expect(200);
    gw.patch(&path(&beta.id), json!({"org_prefixes": []})).await.expect(200);
    gw.patch(&path(&none.id), json!({"org_prefixes": ["beta"]})).await.expect(200);
    post(&none.key, "beta/m2").await.expect(200);
}

#[tokio::test]
async fn case_137_nobody_learns_what_others_serve_from_a_slug_that_is_taken() {
    let gw = Gateway::start().await;
    let beta = gw.tenant("beta", &["beta"]).await;
    let post = async |slug: &str| gw.send_as(&beta.key, Method::POST, ENDPOINTS, serving(slug)).await;
    let (taken, free) = (post("acme/m1").await, post("acme/m9").await);
    refused(&taken, 400, "137");
    assert_eq!(taken.body, free.body, "137");
    post("beta/m1").await.expect(200);
    refused(&post("beta/m1").await, 400, "137, its own");
}

#[tokio::test]
async fn management_keys_are_minted_listed_used_and_deleted() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("beta", &[]).await;
    let keys = keys_of(&tenant.id);
    let minted = gw.send_as(&tenant.key, Method::POST, &keys, json!({"name": "ci", "scope": "view"})).await;
    let minted = minted.expect(200).body;
    assert_eq!(fields(&minted), ["created_at", "id", "key", "name", "prefix", "scope"]);
    let key = minted["key"].as_str().unwrap();
    assert_eq!(
        (&minted["prefix"], &minted["name"], &minted["scope"]),
        (&json!(prefix(key)), &json!("ci"), &json!("view"))
    );
    let list = gw.send_as(&tenant.key, Method::GET, &keys, Value::Null).await.expect(200).body;
    assert_eq!(fields(&list["items"][1]), ["created_at", "id", "last_used_at", "name", "prefix", "scope"]);
    assert_eq!(texts(&list, "scope"), ["manage", "view"]);
    assert_eq!(list["items"][1]["last_used_at"], Value::Null, "never used");
    gw.clock.advance(Duration::from_secs(5));
    gw.send_as(key, Method::GET, GROUPS, Value::Null).await.expect(200);
    let page = gw.get(&format!("{keys}?limit=1")).await.expect(200).body;
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let rest = gw.get(&format!("{keys}?limit=1&cursor={cursor}")).await.expect(200).body;
    assert_eq!(rest["items"][0]["last_used_at"], "2026-05-13T12:00:05Z");
    assert!(!rest.to_string().contains(key));
    let one = format!("{keys}/{}", minted["id"].as_str().unwrap());
    assert_eq!(
        gw.send_as(&tenant.key, Method::DELETE, &one, Value::Null).await.expect(200).body,
        json!({"id": minted["id"]})
    );
    refused(&gw.send_as(&tenant.key, Method::DELETE, &one, Value::Null).await, 404, "twice");
    refused(&gw.send_as(key, Method::GET, GROUPS, Value::Null).await, 401, "deleted");
    for (case, body) in [
        ("no scope", json!({"name": "x"})),
        ("unknown scope", json!({"scope": "root"})),
        ("upper case", json!({"scope": "VIEW"})),
        ("long name", json!({"scope": "view", "name": "é".repeat(256)})),
    ] {
        refused(&gw.post(&keys, body).await, 400, case);
    }
    refused(&gw.get(&keys_of("00000000001")).await, 404, "no workspace");
    refused(&gw.post(&keys_of("00000000001"), json!({"scope": "view"})).await, 404, "no workspace");
}

#[tokio::test]
async fn a_keeper_reaches_neither_above_itself_nor_into_another_workspace() {
    let gw = Gateway::start().await;
    let first = gw.first_workspace().await;
    let (beta, manage) = (gw.tenant("beta", &[]).await, gw.management_key(&first, "manage").await);
    let mint = async |key: &str, workspace: &str, scope: &str| {
        gw.send_as(key, Method::POST, &keys_of(workspace), json!({ "scope": scope })).await
    };
    for scope in ["none", "view", "manage"] {
        mint(&manage, &first, scope).await.expect(200);
    }
    refused(&mint(&manage, &first, "operator").await, 403, "above itself");
    let keys = gw.send_as(&manage, Method::GET, &keys_of(&first), Value::Null).await.expect(200).body;
    let operators = &keys["items"][0];
    assert_eq!(operators["scope"], "operator");
    let one = format!("{}/{}", keys_of(&first), operators["id"].as_str().unwrap());
    refused(&gw.send_as(&manage, Method::DELETE, &one, Value::Null).await, 403, "above itself");
    let theirs = gw.get(&keys_of(&beta.id)).await.body["items"][0]["id"].clone();
    for workspace in [beta.id.as_str(), "00000000001"] {
        refused(&mint(&manage, workspace, "view").await, 403, workspace);
        refused(&gw.send_as(&manage, Method::GET, &keys_of(workspace), Value::Null).await, 403, workspace);
        let one = format!("{}/{}", keys_of(workspace), theirs.as_str().unwrap());
        refused(&gw.send_as(&manage, Method::DELETE, &one, Value::Null).await, 403, workspace);
    }
    let one = format!("{}/{}", keys_of(&first), theirs.as_str().unwrap());
    refused(&gw.send_as(&manage, Method::DELETE, &one, Value::Null).await, 404, "not in this workspace");
    gw.send_as(&beta.key, Method::GET, GROUPS, Value::Null).await.expect(200);
}

#[tokio::test]
async fn the_last_operators_key_stays() {
    let gw = Gateway::start().await;
    let first = gw.first_workspace().await;
    let beta = gw.tenant("beta", &[]).await;
    let last = format!("{}/{}", keys_of(&first), texts(&gw.get(&keys_of(&first)).await.body, "id")[0]);
    refused(&gw.delete(&last).await, 400, "the only one");
    let second = gw.management_key(&beta.id, "operator").await;
    gw.delete(&last).await.expect(200);
    refused(&gw.get(GROUPS).await, 401, "deleted by itself");
    let last = gw.send_as(&second, Method::GET, &keys_of(&beta.id), Value::Null).await.expect(200).body;
    let last = format!("{}/{}", keys_of(&beta.id), texts(&last, "id")[1]);
    refused(&gw.send_as(&second, Method::DELETE, &last, Value::Null).await, 400, "in whatever workspace");
}

#[tokio::test]
async fn workspaces_keys_and_last_uses_survive_a_restart() {
    let mut gw = Gateway::start().await;
    let beta = gw.tenant("beta", &["beta"]).await;
    gw.send_as(&beta.key, Method::GET, GROUPS, Value::Null).await.expect(200);
    let before = [gw.get(WORKSPACES).await.body, gw.get(&keys_of(&beta.id)).await.body];
    gw.restart().await;
    assert_eq!([gw.get(WORKSPACES).await.body, gw.get(&keys_of(&beta.id)).await.body], before);
    assert_eq!(before[1]["items"][0]["last_used_at"], "2026-05-13T12:00:00Z");
    gw.send_as(&beta.key, Method::GET, GROUPS, Value::Null).await.expect(200);
}
