//! CASCADING: no limit may exceed the same limit of any ancestor, whichever of the two is written.

use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

async fn set(gw: &Gateway, id: &str, threshold: u64) -> Reply {
    gw.patch(&group_path(id), json!({"models": [m1(&[tok_min(threshold)])]})).await
}

#[track_caller]
fn exceeds(reply: &Reply, case: &str) {
    refused(reply, 400, case);
    assert_eq!(reply.body["message"], CHILD_EXCEEDS_PARENT, "{case}");
}

async fn threshold(gw: &Gateway, id: &str) -> Value {
    gw.get(&group_path(id)).await.body["models"][0]["rate_limits"][0]["threshold"].clone()
}

#[tokio::test]
async fn case_073_to_075_a_child_is_created_within_its_parent_and_sums_are_not_checked() {
    let gw = Gateway::start().await;
    let org = created(&gw, body("org", &[m1(&[tok_min(100)])], "CASCADING", None)).await;
    let child = |name: &str, threshold| body(name, &[m1(&[tok_min(threshold)])], "CASCADING", Some(&org));
    exceeds(&gw.post(GROUPS, child("a", 101)).await, "73");
    for (case, name, threshold) in [("74", "a", 100), ("75", "b", 70), ("75", "c", 70)] {
        assert_eq!(gw.post(GROUPS, child(name, threshold)).await.status, 200, "{case}");
    }
}

#[tokio::test]
async fn case_076_to_078_an_update_keeps_child_and_parent_in_order() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "CASCADING", &[&[m1(&[tok_min(100)])], &[m1(&[tok_min(70)])]]).await;
    exceeds(&set(&gw, &ids[1], 101).await, "76");
    assert_eq!(threshold(&gw, &ids[1]).await, 70, "76");
    exceeds(&set(&gw, &ids[0], 69).await, "77");
    assert_eq!(threshold(&gw, &ids[0]).await, 100, "77");
    assert_eq!(set(&gw, &ids[0], 70).await.status, 200, "78");
}

#[tokio::test]
async fn case_079_to_080_raise_from_the_top_and_lower_from_the_bottom() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "CASCADING", &[&[m1(&[tok_min(100)])], &[m1(&[tok_min(100)])]]).await;
    exceeds(&set(&gw, &ids[1], 150).await, "79, child first");
    assert_eq!(set(&gw, &ids[0], 150).await.status, 200, "79");
    assert_eq!(set(&gw, &ids[1], 150).await.status, 200, "79");
    exceeds(&set(&gw, &ids[0], 100).await, "80, parent first");
    assert_eq!(set(&gw, &ids[1], 100).await.status, 200, "80");
    assert_eq!(set(&gw, &ids[0], 100).await.status, 200, "80");
}

#[tokio::test]
async fn case_081_to_082_the_rule_reaches_over_levels_that_declare_nothing() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "CASCADING", &[&[m1(&[tok_min(100)])], &[m1(&[])]]).await;
    let grandchild = |threshold| body("g", &[m1(&[tok_min(threshold)])], "CASCADING", Some(&ids[1]));
    exceeds(&gw.post(GROUPS, grandchild(101)).await, "81");
    assert_eq!(gw.post(GROUPS, grandchild(100)).await.status, 200);
    exceeds(&set(&gw, &ids[0], 99).await, "82");
}

#[tokio::test]
async fn case_083_to_084_only_the_same_window_of_the_same_slug_is_compared() {
    let gw = Gateway::start().await;
    let models = [m1(&[tok_min(100), limit("TOKEN", "DAY", 100)])];
    let org = created(&gw, body("org", &models, "CASCADING", None)).await;
    for (name, status, model) in [
        ("type", 200, m1(&[limit("REQUEST", "MINUTE", 500)])),
        ("unit", 200, m1(&[limit("TOKEN", "SECOND", 500)])),
        ("slug", 200, model("acme/m2", &[tok_min(500)])),
        ("84", 400, m1(&[limit("TOKEN", "DAY", 500)])),
    ] {
        let reply = gw.post(GROUPS, body(name, &[model], "CASCADING", Some(&org))).await;
        assert_eq!(reply.status, status, "{name}: {:?}", reply.body);
    }
}

#[tokio::test]
async fn case_085_independent_trees_know_no_such_rule() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[tok_min(100)])], &[m1(&[tok_min(500)])]]).await;
    assert_eq!(set(&gw, &ids[1], 600).await.status, 200, "76");
    assert_eq!(set(&gw, &ids[0], 1).await.status, 200, "77");
}
