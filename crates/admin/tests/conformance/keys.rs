//! `/v1/gateway/groups/{group_id}/api_keys`

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

async fn with_group() -> (Gateway, String, String) {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    let path = format!("{GROUPS}/{group}/api_keys");
    (gw, group, path)
}

#[tokio::test]
async fn case_105_to_107_a_key_is_minted_and_shown_once() {
    let (gw, _, path) = with_group().await;
    let named = gw.post(&path, json!({"name": "prod-key-1"})).await;
    assert_eq!((named.status, fields(&named.body)), (200, vec!["api_key", "name", "prefix"]), "105");
    assert_eq!(named.body["name"], "prod-key-1", "105");
    let (api_key, shown) = (named.body["api_key"].as_str().unwrap(), named.body["prefix"].as_str().unwrap());
    assert_eq!(prefix(api_key), shown, "105");
    assert!(shown.starts_with("sky_") && shown.len() == 16, "{shown}");
    assert!(api_key.len() >= 16 + 1 + 32);
    let unnamed = gw.post(&path, json!({})).await;
    assert_eq!((unnamed.status, &unnamed.body["name"]), (200, &Value::Null), "106");
    let bare = send(&gw, Method::POST, &path, b"").await;
    assert_eq!((bare.status, &bare.body["name"]), (200, &Value::Null), "106, no body");
    for field in ["prefix", "api_key"] {
        assert_ne!(unnamed.body[field], bare.body[field], "107");
    }
}

#[tokio::test]
async fn a_key_name_has_at_most_255_characters_and_bad_bodies_mint_nothing() {
    let (gw, _, path) = with_group().await;
    for (case, body) in [
        ("long", json!({"name": "é".repeat(256)})),
        ("number", json!({"name": 5})),
        ("list", json!(["name"])),
    ] {
        refused(&gw.post(&path, body).await, 400, case);
    }
    assert_eq!(gw.get(&path).await.body["items"], json!([]));
    assert_eq!(gw.post(&path, json!({"name": "é".repeat(255), "user_id": null})).await.status, 200);
}

#[tokio::test]
async fn a_key_is_bound_to_a_user_and_says_so_wherever_it_is_read() {
    let (gw, _, path) = with_group().await;
    let minted = gw.post(&path, json!({"name": "prod", "user_id": "u 😀/1"})).await;
    assert_eq!((minted.status, fields(&minted.body)), (200, vec!["api_key", "name", "prefix", "user_id"]));
    assert_eq!(minted.body["user_id"], "u 😀/1");
    let bound = json!({"prefix": minted.body["prefix"], "name": "prod", "user_id": "u 😀/1"});
    let free = gw.post(&path, json!({"user_id": null})).await;
    assert_eq!((free.status, fields(&free.body)), (200, vec!["api_key", "name", "prefix"]), "as published");
    let free = json!({"prefix": free.body["prefix"], "name": null});
    assert_eq!(gw.get(&path).await.body["items"], json!([bound, free]));
    for key in [bound, free] {
        let read = gw.get(&format!("{path}/{}", key["prefix"].as_str().unwrap())).await;
        assert_eq!((read.status, read.body), (200, key));
    }
}

#[tokio::test]
async fn a_user_has_a_name_of_1_to_256_bytes_that_a_line_can_show() {
    let (gw, _, path) = with_group().await;
    for (case, user) in [
        ("empty", json!("")),
        ("long", json!("x".repeat(257))),
        ("long in bytes", json!("é".repeat(129))),
        ("line end", json!("a\nb")),
        ("control character", json!("a\u{85}b")),
        ("number", json!(7)),
        ("list", json!(["u_1"])),
    ] {
        let reply = gw.post(&path, json!({"user_id": user})).await;
        refused(&reply, 400, case);
        assert!(reply.body["message"].as_str().unwrap().starts_with("user_id: "), "{case}: {}", reply.text);
    }
    assert_eq!(gw.get(&path).await.body["items"], json!([]));
    for user in ["x".repeat(256), "é".repeat(128), " ".to_owned()] {
        let minted = gw.post(&path, json!({"user_id": user})).await;
        assert_eq!((minted.status, &minted.body["user_id"]), (200, &json!(user)));
    }
}

#[tokio::test]
async fn case_108_a_group_that_is_not_there_has_no_keys() {
    let (gw, group, path) = with_group().await;
    gw.delete(&group_path(&group)).await;
    for path in [path, format!("{GROUPS}/00000000001/api_keys")] {
        refused(&gw.post(&path, json!({})).await, 404, "108");
        refused(&gw.get(&path).await, 404, "108, list");
        refused(&gw.get(&format!("{path}/sky_000000000000")).await, 404, "108, get");
        refused(&gw.delete(&format!("{path}/sky_000000000000")).await, 404, "108, revoke");
    }
}

#[tokio::test]
async fn case_109_to_110_keys_are_read_by_prefix_and_name_only() {
    let (gw, _, path) = with_group().await;
    let mut keys = Vec::new();
    for name in ["a", "b", "c"] {
        let minted = gw.post(&path, json!({"name": name})).await.body;
        keys.push(json!({"prefix": minted["prefix"], "name": name}));
    }
    let one = gw.get(&format!("{path}/{}", keys[0]["prefix"].as_str().unwrap())).await;
    assert_eq!((one.status, &one.body), (200, &keys[0]), "109");
    let first = gw.get(&format!("{path}?limit=2")).await.body;
    assert_eq!((&first["items"], &first["pagination"]["has_more"]), (&json!(keys[..2]), &json!(true)), "110");
    let cursor = first["pagination"]["cursor"].as_str().unwrap();
    let second = gw.get(&format!("{path}?limit=2&cursor={cursor}")).await.body;
    let last = json!({"items": keys[2..], "pagination": {"has_more": false, "cursor": null}});
    assert_eq!(second, last, "110");
    refused(&gw.get(&format!("{GROUPS}?cursor={cursor}")).await, 400, "a cursor of another list");
}

#[tokio::test]
async fn case_111_a_key_is_found_in_its_own_group_only() {
    let (gw, group, path) = with_group().await;
    let sibling = created(&gw, plain("sibling")).await;
    let key = gw.key(&sibling).await;
    refused(&gw.get(&format!("{path}/sky_000000000000")).await, 404, "111");
    refused(&gw.get(&format!("{path}/{}", prefix(&key))).await, 404, "111, sibling");
    refused(&gw.delete(&format!("{path}/{}", prefix(&key))).await, 404, "111, sibling");
    assert_ne!(group, sibling);
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
}

#[tokio::test]
async fn case_112_to_114_a_revoked_key_is_gone_at_once_and_its_siblings_stay() {
    let (gw, group, path) = with_group().await;
    let (key, other) = (gw.key(&group).await, gw.key(&group).await);
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    let one = format!("{path}/{}", prefix(&key));
    let revoked = gw.delete(&one).await;
    assert_eq!((revoked.status, revoked.body), (200, json!({"prefix": prefix(&key)})), "112");
    refused(&gw.delete(&one).await, 404, "113");
    refused(&gw.get(&one).await, 404, "113");
    assert_eq!(chat(&gw, &key, "acme/m1").await, 401, "114");
    assert_eq!(chat(&gw, &other, "acme/m1").await, 200, "114");
    assert_eq!(gw.get(&path).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn case_115_models_and_limits_of_a_mint_have_no_effect() {
    let (gw, _, path) = with_group().await;
    let body = json!({"models": ["acme/m2"], "rate_limits": [tok_min(1)]});
    let minted = gw.post(&path, body).await;
    assert_eq!(fields(&minted.body), ["api_key", "name", "prefix"]);
    let key = minted.body["api_key"].as_str().unwrap();
    assert_eq!(chat(&gw, key, "acme/m1").await, 200);
    assert_eq!(chat(&gw, key, "acme/m2").await, 403);
}

#[tokio::test]
async fn case_116_no_secret_is_stored_in_the_clear() {
    let (mut gw, group, _) = with_group().await;
    let key = gw.key(&group).await;
    gw.post("/v1/secrets", json!({"name": "UPSTREAM", "value": "sk-a-very-secret-value"})).await.expect(200);
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    gw.stop().await;
    let secrets = [key.split_once('.').unwrap().1, "sk-a-very-secret-value", testkit::OPERATOR_KEY];
    let mut read = 0;
    for file in std::fs::read_dir(gw.dir()).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { continue };
        let holds = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!secrets.into_iter().any(holds), "{}", file.display());
        read += bytes.len();
    }
    assert!(read > 0, "the directory holds the configuration");
}
