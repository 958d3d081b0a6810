//! `PATCH /v1/gateway/groups/{group_id}`

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

async fn group_with_limits(gw: &Gateway) -> (String, Value) {
    let limits = [tok_min(1_000_000), limit("REQUEST", "MINUTE", 100), limit("TOKEN", "DAY", 10_000_000)];
    let group = gw.post(GROUPS, body("cust_42", &[m1(&limits)], "INDEPENDENT", None)).await.body;
    (group_path(group["id"].as_str().unwrap()), group)
}

#[tokio::test]
async fn case_045_a_name_changes_and_nothing_else() {
    let gw = Gateway::start().await;
    let (path, mut group) = group_with_limits(&gw).await;
    let patched = gw.patch(&path, json!({"metadata": {"name": "x"}})).await;
    group["metadata"]["name"] = json!("x");
    assert_eq!((patched.status, &patched.body), (200, &group));
    assert_eq!(gw.get(&path).await.body, group);
    let cleared = gw.patch(&path, json!({"metadata": {"name": null}})).await;
    assert_eq!((cleared.status, &cleared.body["metadata"]["name"]), (200, &Value::Null));
}

#[tokio::test]
async fn case_046_to_047_a_patch_replaces_the_whole_set_of_models_and_limits() {
    let gw = Gateway::start().await;
    let (path, _) = group_with_limits(&gw).await;
    let only = json!({"slug": "acme/m1", "rate_limits": [tok_min(1_500_000)]});
    let group = gw.patch(&path, json!({"models": [only]})).await.body;
    assert_eq!(group["models"], json!([m1(&[tok_min(1_500_000)])]), "46");
    let group = gw.patch(&path, json!({"models": [{"slug": "acme/m2"}]})).await.body;
    assert_eq!(group["models"], json!([model("acme/m2", &[])]), "47");
}

#[tokio::test]
async fn case_048_to_049_an_empty_set_takes_all_access_away() {
    let gw = Gateway::start().await;
    let (path, group) = group_with_limits(&gw).await;
    let key = gw.key(group["id"].as_str().unwrap()).await;
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    let cleared = gw.patch(&path, json!({"models": []})).await;
    assert_eq!(cleared.status, 200, "48");
    assert_eq!((&cleared.body["models"], &cleared.body["effective_models"]), (&json!([]), &json!([])), "48");
    assert_eq!(chat(&gw, &key, "acme/m1").await, 403, "49");
}

#[tokio::test]
async fn case_050_to_055_a_patch_that_breaks_a_rule_changes_nothing() {
    let gw = Gateway::start().await;
    let (path, group) = group_with_limits(&gw).await;
    let other = created(&gw, plain("other")).await;
    let limits = |list: &str, limits: Value| json!({"metadata": {"name": "x"}, "models": [{"slug": "acme/m1", list: limits}]});
    let cases = [
        ("50", json!({})),
        ("A9", json!({"metadata": {}})),
        ("51", json!({"models": null})),
        ("51, all null", json!({"models": null, "metadata": null, "hierarchy": null})),
        ("52", json!({"metadata": {"name": "x", "external_entity_id": "cust_43"}})),
        ("52, same but no change", json!({"metadata": {"external_entity_id": "cust_42"}})),
        ("53, mode", json!({"metadata": {"name": "x"}, "hierarchy": {"limit_enforcement": "CASCADING"}})),
        ("53, parent", json!({"metadata": {"name": "x"}, "hierarchy": {"parent_group_id": other}})),
        ("54", json!({"metadata": {"name": "x".repeat(256)}})),
        ("54, type", json!({"metadata": {"name": 5}})),
        ("55, threshold 0", limits("rate_limits", json!([tok_min(0)]))),
        ("55, type", limits("rate_limits", json!([limit("token", "MINUTE", 5)]))),
        ("55, unit", limits("rate_limits", json!([limit("TOKEN", "DAY", 5)]))),
        ("55, unit", limits("usage_limits", json!([tok_min(5)]))),
        ("55, twice", limits("rate_limits", json!([tok_min(5), tok_min(6)]))),
        ("55, twice", limits("rate_limits", json!([tok_min(5), limit("TOKEN", "SECOND", 6)]))),
        ("55, incomplete", limits("rate_limits", json!([{"type": "TOKEN", "unit": "MINUTE"}]))),
        ("28", json!({"models": [m1(&[]), m1(&[])]})),
    ];
    for (case, patch) in cases {
        refused(&gw.patch(&path, patch).await, 400, case);
        assert_eq!(gw.get(&path).await.body, group, "{case}");
    }
    refused(&send(&gw, Method::PATCH, &path, b"").await, 400, "50, no body");
}

#[tokio::test]
async fn case_052_to_053_what_cannot_change_may_be_repeated() {
    let gw = Gateway::start().await;
    let (path, group) = group_with_limits(&gw).await;
    let same = json!({
        "metadata": {"name": "x", "external_entity_id": "cust_42"},
        "hierarchy": group["hierarchy"],
    });
    assert_eq!(gw.patch(&path, same).await.status, 200);
}

#[tokio::test]
async fn case_056_a_group_that_is_not_there_is_not_found_whatever_the_body() {
    let gw = Gateway::start().await;
    let gone = group_path(&created(&gw, plain("gone")).await);
    gw.delete(&gone).await;
    for path in [gone, group_path("00000000001"), group_path("cust_42"), group_path("%ff")] {
        for body in [json!({"metadata": {"name": "x"}}), json!({})] {
            refused(&gw.patch(&path, body).await, 404, &path);
        }
    }
}

#[tokio::test]
async fn case_058_to_059_an_update_is_seen_at_once_by_those_who_inherit() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[tok_min(100)])], &[m1(&[])]]).await;
    let patch = json!({"metadata": {"name": "both"}, "models": [m1(&[tok_min(150)])]});
    let parent = gw.patch(&group_path(&ids[0]), patch).await.body;
    assert_eq!(parent["metadata"]["name"], "both", "59");
    assert_eq!(parent["models"], json!([m1(&[tok_min(150)])]), "59");
    assert_eq!(effective(&gw, &ids[1], "acme/m1").await, [format!("TOKEN/MINUTE 150 {}", ids[0])], "58");
}
