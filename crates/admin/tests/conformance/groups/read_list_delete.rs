//! `GET` and `DELETE` of groups, and their list.

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

async fn some(gw: &Gateway, count: usize) -> Vec<Value> {
    let mut groups = Vec::new();
    for n in 0..count {
        groups.push(gw.post(GROUPS, plain(&format!("cust_{n}"))).await.body);
    }
    groups
}

async fn list(gw: &Gateway, query: &str) -> Value {
    let reply = gw.get(&format!("{GROUPS}{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {:?}", reply.body);
    assert_eq!(fields(&reply.body), ["items", "pagination"]);
    assert_eq!(fields(&reply.body["pagination"]), ["cursor", "has_more"]);
    reply.body
}

#[tokio::test]
async fn case_086_to_087_a_group_is_read_by_its_own_id_only() {
    let gw = Gateway::start().await;
    let group = gw.post(GROUPS, plain("cust_42")).await.body;
    let read = gw.get(&group_path(group["id"].as_str().unwrap())).await;
    assert_eq!((read.status, read.body), (200, group), "86");
    refused(&gw.get(&group_path("cust_42")).await, 404, "87");
}

#[tokio::test]
async fn case_089_to_090_pages_hold_every_group_once_in_order_of_creation() {
    let gw = Gateway::start().await;
    let groups = some(&gw, 3).await;
    let first = list(&gw, "?limit=2").await;
    assert_eq!(first["items"], json!(groups[..2]));
    assert_eq!(first["pagination"]["has_more"], true);
    let cursor = first["pagination"]["cursor"].as_str().unwrap();
    let second = list(&gw, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(second["items"], json!(groups[2..]));
    assert_eq!(second["pagination"], json!({"has_more": false, "cursor": null}));
}

#[tokio::test]
async fn case_091_a_page_has_100_items_where_nothing_is_said() {
    let gw = Gateway::start().await;
    some(&gw, 101).await;
    let page = list(&gw, "").await;
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["pagination"]["has_more"]),
        (100, &json!(true))
    );
    let page = list(&gw, "?limit=1000").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 101, "92");
}

#[tokio::test]
async fn case_092_096_a_bad_limit_or_cursor_is_refused() {
    let gw = Gateway::start().await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=abc",
        "limit=",
        "limit=-1",
        "limit=1&limit=1",
        "cursor=garbage",
        "cursor=",
        "cursor=%ff",
        "cursor=aVd2Yk54T2d2V0dFWE13R1l4R2k5UVE=",
        "external_entity_id=a&external_entity_id=b",
    ] {
        refused(&gw.get(&format!("{GROUPS}?{query}")).await, 400, query);
    }
}

#[tokio::test]
async fn case_093_to_095_the_filter_is_exact() {
    let gw = Gateway::start().await;
    let group = gw.post(GROUPS, plain("cust_42")).await.body;
    some(&gw, 2).await;
    let only = |items: Value| json!({"items": items, "pagination": {"has_more": false, "cursor": null}});
    assert_eq!(list(&gw, "?external_entity_id=cust_42").await, only(json!([group])), "93");
    for (case, query) in [
        ("94", "?external_entity_id=nobody"),
        ("95, part", "?external_entity_id=cust_4"),
        ("95, case", "?external_entity_id=CUST_42"),
        ("empty", "?external_entity_id="),
    ] {
        assert_eq!(list(&gw, query).await, only(json!([])), "{case}");
    }
    assert_eq!(list(&gw, "?external_entity_id=cust_42&limit=1&unknown=1").await, only(json!([group])));
}

#[tokio::test]
async fn case_097_to_099_a_deleted_group_is_gone() {
    let gw = Gateway::start().await;
    let groups = some(&gw, 2).await;
    let path = group_path(groups[0]["id"].as_str().unwrap());
    let deleted = gw.delete(&path).await;
    assert_eq!(deleted.status, 200, "98");
    assert_eq!(fields(&deleted.body), ["deleted_at", "id", "metadata"], "98");
    assert_eq!((&deleted.body["id"], &deleted.body["metadata"]), (&groups[0]["id"], &groups[0]["metadata"]));
    assert!(deleted.body["deleted_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list(&gw, "").await["items"], json!(groups[1..]), "97");
    refused(&gw.delete(&path).await, 404, "99");
    refused(&gw.get(&path).await, 404, "99");
}

#[tokio::test]
async fn case_100_to_104_a_deletion_takes_the_subtree_its_keys_and_nothing_else() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "CASCADING", &[&[m1(&[])][..]; 3]).await;
    let sibling = created(&gw, body("sibling", &[m1(&[])], "CASCADING", Some(&ids[0]))).await;
    let (key, sibling_key) = (gw.key(&ids[2]).await, gw.key(&sibling).await);
    gw.delete(&group_path(&ids[1])).await;
    refused(&gw.get(&group_path(&ids[2])).await, 404, "100");
    assert_eq!(chat(&gw, &key, "acme/m1").await, 401, "101");
    assert_eq!(chat(&gw, &sibling_key, "acme/m1").await, 200, "104");
    for (case, external, old) in [("102", "level_1", &ids[1]), ("103", "level_2", &ids[2])] {
        assert_ne!(created(&gw, plain(external)).await, *old, "{case}");
    }
}
