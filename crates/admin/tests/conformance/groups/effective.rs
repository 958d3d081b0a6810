//! `effective_models`: which limits bind a group, and who declares them.

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

async fn set(gw: &Gateway, id: &str, limits: &[Value]) {
    let reply = gw.patch(&group_path(id), json!({"models": [m1(limits)]})).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
}

#[tokio::test]
async fn case_060_to_064_independent_the_closest_declaration_counts() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[tok_min(100_000_000)])], &[m1(&[])]]).await;
    let (parent, child) = (&ids[0], &ids[1]);
    let bound = || async { effective(&gw, child, "acme/m1").await };
    assert_eq!(bound().await, [format!("TOKEN/MINUTE 100000000 {parent}")], "60");
    assert_eq!(gw.get(&group_path(child)).await.body["models"], json!([m1(&[])]), "64");
    set(&gw, parent, &[tok_min(150_000_000)]).await;
    assert_eq!(bound().await, [format!("TOKEN/MINUTE 150000000 {parent}")], "61");
    set(&gw, child, &[tok_min(200_000_000)]).await;
    assert_eq!(bound().await, [format!("TOKEN/MINUTE 200000000 {child}")], "62");
    set(&gw, child, &[tok_min(7)]).await;
    assert_eq!(bound().await, [format!("TOKEN/MINUTE 7 {child}")], "63");
}

#[tokio::test]
async fn case_065_to_066_a_grandchild_inherits_from_the_nearest() {
    let gw = Gateway::start().await;
    let levels: [&[Value]; 3] = [&[m1(&[tok_min(60)])], &[m1(&[tok_min(50)])], &[m1(&[tok_min(10)])]];
    let ids = chain(&gw, "INDEPENDENT", &levels).await;
    set(&gw, &ids[2], &[]).await;
    assert_eq!(effective(&gw, &ids[2], "acme/m1").await, [format!("TOKEN/MINUTE 50 {}", ids[1])], "65, 66");
    set(&gw, &ids[1], &[]).await;
    assert_eq!(effective(&gw, &ids[2], "acme/m1").await, [format!("TOKEN/MINUTE 60 {}", ids[0])], "66");
}

#[tokio::test]
async fn case_067_to_069_each_window_of_each_slug_is_inherited_by_itself() {
    let gw = Gateway::start().await;
    let declared = [tok_min(1000), limit("REQUEST", "MINUTE", 100), limit("TOKEN", "DAY", 10_000)];
    let ids =
        chain(&gw, "INDEPENDENT", &[&[m1(&declared)], &[m1(&[tok_min(700)]), model("acme/m2", &[])]]).await;
    let (parent, child) = (&ids[0], &ids[1]);
    let inherited = [
        format!("REQUEST/MINUTE 100 {parent}"),
        format!("TOKEN/DAY 10000 {parent}"),
        format!("TOKEN/MINUTE 700 {child}"),
    ];
    assert_eq!(effective(&gw, child, "acme/m1").await, inherited, "67");
    assert_eq!(effective(&gw, child, "acme/m2").await, [""; 0], "69");
    set(&gw, child, &[limit("TOKEN", "SECOND", 50)]).await;
    let both = effective(&gw, child, "acme/m1").await;
    assert!(both.contains(&format!("TOKEN/MINUTE 1000 {parent}")), "68: {both:?}");
    assert!(both.contains(&format!("TOKEN/SECOND 50 {child}")), "68: {both:?}");
}

#[tokio::test]
async fn case_070_to_071_cascading_every_ceiling_is_listed() {
    let gw = Gateway::start().await;
    let levels: [&[Value]; 2] = [&[m1(&[tok_min(100_000_000)])], &[m1(&[tok_min(70_000_000)])]];
    let ids = chain(&gw, "CASCADING", &levels).await;
    let (org, finance) = (&ids[0], &ids[1]);
    let bound = effective(&gw, finance, "acme/m1").await;
    assert!(bound.contains(&format!("TOKEN/MINUTE 70000000 {finance}")), "70: {bound:?}");
    assert!(bound.contains(&format!("TOKEN/MINUTE 100000000 {org}")), "70: {bound:?}");
    set(&gw, finance, &[]).await;
    let bound = effective(&gw, finance, "acme/m1").await;
    assert_eq!(bound, [format!("TOKEN/MINUTE 100000000 {org}")], "71");
}
