//! `GET /v1/gateway/groups/{group_id}/usage`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

async fn usage(gw: &Gateway, group: &str) -> Value {
    let reply = gw.get(&format!("{GROUPS}/{group}/usage")).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!(fields(&reply.body), ["customer_id", "usage"], "197");
    reply.body
}

/// The entries for `acme/m1`.
async fn entries(gw: &Gateway, group: &str) -> Value {
    usage(gw, group).await["usage"]["acme/m1"].clone()
}

fn entry(kind: &str, threshold: u64, used: Option<u64>, reset_at: &Value) -> Value {
    json!({"type": kind, "unit": "DAY", "threshold": threshold, "current_usage": used, "reset_at": reset_at})
}

async fn call(gw: &Gateway, key: &str) {
    assert_eq!(chat(gw, key, "acme/m1").await, 200);
    // The answer's last byte may be here a moment before the call is settled.
    gw.quiet().await;
}

#[tokio::test]
async fn case_191_195_197_slugs_without_usage_limits_are_absent() {
    let gw = Gateway::start().await;
    let group = created(&gw, body("cust_42", &[m1(&[tok_min(1_000)])], "INDEPENDENT", None)).await;
    assert_eq!(usage(&gw, &group).await, json!({"customer_id": "cust_42", "usage": {}}));
}

#[tokio::test]
async fn case_192_to_194_a_number_appears_with_the_first_call() {
    let gw = Gateway::start().await;
    let limits = [limit("TOKEN", "DAY", 10_000), limit("REQUEST", "DAY", 100)];
    let group = created(&gw, body("cust_42", &[m1(&limits)], "INDEPENDENT", None)).await;
    let key = gw.key(&group).await;
    let null = Value::Null;
    let untouched = json!([entry("TOKEN", 10_000, None, &null), entry("REQUEST", 100, None, &null)]);
    assert_eq!(usage(&gw, &group).await["usage"], json!({"acme/m1": untouched}), "192, 194");
    call(&gw, &key).await;
    let after = entries(&gw, &group).await;
    let reset_at = after[0]["reset_at"].clone();
    assert!(reset_at.as_str().unwrap().ends_with("T00:00:00Z"), "193: {reset_at}");
    let used =
        json!([entry("TOKEN", 10_000, Some(19), &reset_at), entry("REQUEST", 100, Some(1), &reset_at)]);
    assert_eq!(after, used, "193, 194");
    gw.clock.advance(Duration::from_secs(86_400));
    let next_day = entries(&gw, &group).await;
    assert_eq!((&next_day[0]["current_usage"], &next_day[1]["current_usage"]), (&json!(0), &json!(0)));
    assert!(next_day[0]["reset_at"].as_str() > reset_at.as_str(), "the next midnight");
}

#[tokio::test]
async fn case_196_an_inherited_limit_is_counted_by_the_caller_alone() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[limit("TOKEN", "DAY", 1_000)])], &[m1(&[])]]).await;
    call(&gw, &gw.key(&ids[1]).await).await;
    let child = entries(&gw, &ids[1]).await;
    assert_eq!(child.as_array().unwrap().len(), 1);
    assert_eq!((&child[0]["threshold"], &child[0]["current_usage"]), (&json!(1_000), &json!(19)));
    let parent = entries(&gw, &ids[0]).await;
    assert_eq!(parent[0]["current_usage"], Value::Null);
}

#[tokio::test]
async fn cascading_the_number_is_that_of_the_counter_the_limit_is_enforced_against() {
    let gw = Gateway::start().await;
    let day = |threshold| m1(&[limit("TOKEN", "DAY", threshold)]);
    let ids = chain(&gw, "CASCADING", &[&[day(1_000)], &[m1(&[])], &[day(500)]]).await;
    let (middle, leaf) = (gw.key(&ids[1]).await, gw.key(&ids[2]).await);
    call(&gw, &leaf).await;
    call(&gw, &middle).await;
    // The middle group declares nothing, so it shows the root's pool.
    for (id, threshold, used) in [(&ids[2], 500, 19), (&ids[1], 1_000, 38), (&ids[0], 1_000, 38)] {
        let entries = entries(&gw, id).await;
        assert_eq!(entries.as_array().unwrap().len(), 1);
        assert_eq!(
            (&entries[0]["threshold"], &entries[0]["current_usage"]),
            (&json!(threshold), &json!(used))
        );
    }
}

#[tokio::test]
async fn case_198_keys_of_a_group_share_one_number() {
    let gw = Gateway::start().await;
    let models = [m1(&[limit("REQUEST", "DAY", 100)])];
    let group = created(&gw, body("cust_42", &models, "INDEPENDENT", None)).await;
    for _ in 0..2 {
        call(&gw, &gw.key(&group).await).await;
    }
    assert_eq!(entries(&gw, &group).await[0]["current_usage"], 2);
}

#[tokio::test]
async fn case_199_a_group_that_is_not_there_has_no_usage() {
    let gw = Gateway::start().await;
    for id in ["00000000001", "cust_42"] {
        refused(&gw.get(&format!("{GROUPS}/{id}/usage")).await, 404, id);
    }
}

#[tokio::test]
async fn the_number_survives_a_restart_and_a_limit_that_comes_later_counts_the_day_so_far() {
    let mut gw = Gateway::start().await;
    let group = created(&gw, body("cust_42", &[m1(&[])], "INDEPENDENT", None)).await;
    call(&gw, &gw.key(&group).await).await;
    gw.restart().await;
    let limited = json!({"models": [m1(&[limit("TOKEN", "DAY", 1_000)])]});
    assert_eq!(gw.patch(&group_path(&group), limited).await.status, 200);
    assert_eq!(entries(&gw, &group).await[0]["current_usage"], 19);
    gw.clock.advance(Duration::from_secs(3 * 86_400));
    assert_eq!(entries(&gw, &group).await[0]["current_usage"], 0, "used once, but not today");
}
