//! `max_concurrent_requests`: how it is written, shown and inherited.

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

/// A model entry with this ceiling.
fn with_ceiling(calls: u64) -> Value {
    let mut model = m1(&[]);
    model["max_concurrent_requests"] = json!(calls);
    model
}

#[tokio::test]
async fn a_ceiling_is_shown_where_it_is_set_and_nowhere_else() {
    let gw = Gateway::start().await;
    let made =
        gw.post(GROUPS, body("set", &[with_ceiling(4), model("acme/m2", &[])], "CASCADING", None)).await;
    let id = made.expect(200).body["id"].clone();
    let group = gw.get(&group_path(id.as_str().unwrap())).await.body;
    assert_eq!(group["models"], json!([with_ceiling(4), model("acme/m2", &[])]));
    let effective = &group["effective_models"][0];
    assert_eq!(effective["concurrency_limits"], json!([{"threshold": 4, "source_group": id}]));
    assert_eq!(fields(&group["effective_models"][1]), ["rate_limits", "slug", "usage_limits"]);
}

#[tokio::test]
async fn in_independent_the_closest_ceiling_binds_and_in_cascading_all_do() {
    let gw = Gateway::start().await;
    for (mode, expected) in [("INDEPENDENT", 1), ("CASCADING", 2)] {
        let name = |level: &str| format!("{mode} {level}");
        let root = created(&gw, body(&name("root"), &[with_ceiling(8)], mode, None)).await;
        let middle = created(&gw, body(&name("middle"), &[with_ceiling(4)], mode, Some(&root))).await;
        let leaf = created(&gw, body(&name("leaf"), &[m1(&[])], mode, Some(&middle))).await;
        let effective = gw.get(&group_path(&leaf)).await.body["effective_models"][0].clone();
        let all =
            [json!({"threshold": 4, "source_group": middle}), json!({"threshold": 8, "source_group": root})];
        assert_eq!(effective["concurrency_limits"], json!(all[..expected]), "{mode}");
    }
}

#[tokio::test]
async fn in_cascading_no_ceiling_is_above_that_of_an_ancestor() {
    let gw = Gateway::start().await;
    let root = created(&gw, body("root", &[with_ceiling(4)], "CASCADING", None)).await;
    refused(
        &gw.post(GROUPS, body("above", &[with_ceiling(5)], "CASCADING", Some(&root))).await,
        400,
        "ancestor",
    );
    let child = created(&gw, body("equal", &[with_ceiling(4)], "CASCADING", Some(&root))).await;
    let set =
        async |group: &str, models: Value| gw.patch(&group_path(group), json!({ "models": models })).await;
    refused(&set(&root, json!([with_ceiling(3)])).await, 400, "ancestor");
    refused(&set(&child, json!([with_ceiling(5)])).await, 400, "ancestor");
    set(&child, json!([with_ceiling(2)])).await.expect(200);
    set(&root, json!([with_ceiling(3)])).await.expect(200);
    set(&root, json!([m1(&[])])).await.expect(200);
    set(&child, json!([with_ceiling(50)])).await.expect(200);
    refused(&set(&root, json!([with_ceiling(49)])).await, 400, "ancestor");
}

#[tokio::test]
async fn in_independent_a_ceiling_may_be_above_that_of_an_ancestor() {
    let gw = Gateway::start().await;
    let root = created(&gw, body("root", &[with_ceiling(4)], "INDEPENDENT", None)).await;
    created(&gw, body("above", &[with_ceiling(5)], "INDEPENDENT", Some(&root))).await;
}
