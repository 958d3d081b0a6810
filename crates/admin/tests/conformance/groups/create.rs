//! `POST /v1/gateway/groups`

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

/// Every body is refused with 400, leaves nothing behind, and its identifier can then be used (case 44).
async fn each_is_refused(cases: &[(&str, Value)]) {
    let gw = Gateway::start().await;
    for (case, body) in cases {
        let reply = gw.post(GROUPS, body.clone()).await;
        refused(&reply, 400, case);
    }
    assert_eq!(gw.get(GROUPS).await.body["items"], json!([]));
    assert_eq!(gw.post(GROUPS, plain("case")).await.status, 200, "case 44");
}

async fn each_is_accepted(cases: &[(&str, Value)]) {
    for (case, body) in cases {
        let gw = Gateway::start().await;
        let reply = gw.post(GROUPS, body.clone()).await;
        assert_eq!(reply.status, 200, "{case}: {:?}", reply.body);
        assert_eq!(reply.body["models"], with_both_lists(&body["models"]), "{case}");
    }
}

/// A model set as it is echoed: omitted limit lists are empty ones.
fn with_both_lists(models: &Value) -> Value {
    let mut models = models.clone();
    for model in models.as_array_mut().unwrap() {
        for list in ["rate_limits", "usage_limits"] {
            if model[list].is_null() {
                model[list] = json!([]);
            }
        }
    }
    models
}

fn rate(limits: Value) -> Value {
    plain_with("/models/0/rate_limits", limits)
}

fn usage(limits: Value) -> Value {
    plain_with("/models/0/usage_limits", limits)
}

fn threshold(value: Value) -> Value {
    let mut limit = tok_min(0);
    limit["threshold"] = value;
    rate(Value::Array(vec![limit]))
}

#[tokio::test]
async fn case_001_to_005_a_created_group_has_exactly_the_published_form() {
    let gw = Gateway::start().await;
    let limits = [tok_min(1_000_000), limit("REQUEST", "MINUTE", 100), limit("TOKEN", "DAY", 10_000_000)];
    let reply = gw.post(GROUPS, body("cust_42", &[m1(&limits)], "INDEPENDENT", None)).await;
    let group = &reply.body;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(fields(group), ["created_at", "effective_models", "hierarchy", "id", "metadata", "models"]);
    assert_eq!(group["metadata"], json!({"name": null, "external_entity_id": "cust_42"}));
    assert_eq!(group["models"], json!([m1(&limits)]));
    assert_eq!(group["hierarchy"], json!({"limit_enforcement": "INDEPENDENT", "parent_group_id": null}));
    let mut with_source = json!([m1(&limits)]);
    for list in ["rate_limits", "usage_limits"] {
        for limit in with_source[0][list].as_array_mut().unwrap() {
            limit["source_group"] = group["id"].clone();
        }
    }
    assert_eq!(group["effective_models"], with_source);
    let created_at = group["created_at"].as_str().unwrap();
    assert_eq!((created_at.len(), &created_at[10..11], &created_at[19..]), (20, "T", "Z"), "{created_at}");
}

#[tokio::test]
async fn case_006_to_007_omitted_limit_lists_are_echoed_as_empty() {
    let no_usage = json!({"slug": "acme/m1", "rate_limits": [tok_min(5)]});
    let bare = json!({"slug": "acme/m1"});
    let null = json!({"slug": "acme/m1", "rate_limits": null, "usage_limits": null});
    for (case, model) in [("6", no_usage), ("7", bare), ("null is omitted", null)] {
        let gw = Gateway::start().await;
        let group = gw.post(GROUPS, plain_with("/models", json!([model]))).await.body;
        for set in ["models", "effective_models"] {
            assert_eq!(group[set][0]["usage_limits"], json!([]), "{case}");
            assert!(group[set][0]["rate_limits"].is_array(), "{case}");
        }
    }
}

#[tokio::test]
async fn case_008_to_010_names_and_identifiers_have_at_most_255_characters() {
    each_is_accepted(&[
        ("8", plain_without("/metadata/name")),
        ("9", plain_with("/metadata/name", json!("é".repeat(255)))),
        ("10, one character", plain_with("/metadata/external_entity_id", json!("x"))),
        ("10, 255 characters", plain_with("/metadata/external_entity_id", json!("é".repeat(255)))),
    ])
    .await;
    each_is_refused(&[
        ("9", plain_with("/metadata/name", json!("é".repeat(256)))),
        ("10, empty", plain_with("/metadata/external_entity_id", json!(""))),
        ("10, 256 characters", plain_with("/metadata/external_entity_id", json!("x".repeat(256)))),
    ])
    .await;
}

#[tokio::test]
async fn case_011_014_015_030_required_fields_are_required() {
    each_is_refused(&[
        ("11, identifier", plain_without("/metadata/external_entity_id")),
        ("11, identifier null", plain_with("/metadata/external_entity_id", Value::Null)),
        ("11, metadata", plain_without("/metadata")),
        ("14, empty", plain_with("/models", json!([]))),
        ("14, missing", plain_without("/models")),
        ("14, null", plain_with("/models", Value::Null)),
        ("15", plain_without("/models/0/slug")),
        ("30", plain_without("/hierarchy")),
        ("31", plain_with("/hierarchy", json!({}))),
        ("31, no parent", plain_without("/hierarchy/parent_group_id")),
        ("31, no mode", plain_without("/hierarchy/limit_enforcement")),
        ("31, mode null", plain_with("/hierarchy/limit_enforcement", Value::Null)),
    ])
    .await;
}

#[tokio::test]
async fn case_012_an_identifier_is_taken_once_and_nothing_is_upserted() {
    let gw = Gateway::start().await;
    let first = gw.post(GROUPS, plain("cust_42")).await.body;
    let mut other = body("cust_42", &[m1(&[tok_min(9)])], "CASCADING", None);
    other["metadata"]["name"] = json!("other");
    refused(&gw.post(GROUPS, other).await, 400, "12");
    assert_eq!(gw.get(&group_path(first["id"].as_str().unwrap())).await.body, first);
}

#[tokio::test]
async fn case_012_of_racing_creates_with_one_identifier_one_wins() {
    let gw = Gateway::start().await;
    let create = || gw.post(GROUPS, plain("cust_42"));
    let (a, b, c, d) = tokio::join!(create(), create(), create(), create());
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400]);
    assert_eq!(gw.get(GROUPS).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_has_at_most_1000_slugs() {
    let gw = Gateway::start().await;
    let models = |count| -> Vec<Value> { (0..count).map(|n| model(&format!("acme/{n}"), &[])).collect() };
    let with = |count| body("case", &models(count), "INDEPENDENT", None);
    refused(&gw.post(GROUPS, with(1001)).await, 400, "1001");
    assert_eq!(gw.post(GROUPS, with(1000)).await.status, 200);
}

#[tokio::test]
async fn case_016_to_018_a_threshold_is_a_whole_number_from_1() {
    each_is_accepted(&[("16", threshold(json!(1))), ("largest", threshold(json!(i64::MAX)))]).await;
    each_is_refused(&[
        ("17", threshold(json!(0))),
        ("18, negative", threshold(json!(-1))),
        ("18, fraction", threshold(json!(1.5))),
        ("18, whole but a float", threshold(json!(1.0))),
        ("18, text", threshold(json!("10"))),
        ("18, null", threshold(Value::Null)),
        ("shorthand", threshold(json!("1k"))),
        ("2^63", threshold(json!(1_u64 << 63))),
        ("beyond 64 bits", threshold(json!(1e30))),
        ("list", threshold(json!([1]))),
    ])
    .await;
}

#[tokio::test]
async fn case_019_to_021_026_types_and_units_are_those_of_their_list() {
    let of = |kind: &str, unit: &str| json!([limit(kind, unit, 5)]);
    each_is_refused(&[
        ("19", rate(of("TOKENS", "MINUTE"))),
        ("19, case", rate(of("token", "MINUTE"))),
        ("19, object", rate(json!([{"type": {"TOKEN": null}, "unit": "MINUTE", "threshold": 5}]))),
        ("20, DAY", rate(of("TOKEN", "DAY"))),
        ("20, HOUR", rate(of("TOKEN", "HOUR"))),
        ("21, MINUTE", usage(of("TOKEN", "MINUTE"))),
        ("21, MONTH", usage(of("TOKEN", "MONTH"))),
        ("26, threshold", rate(json!([{"type": "TOKEN", "unit": "MINUTE"}]))),
        ("26, type", rate(json!([{"unit": "MINUTE", "threshold": 5}]))),
        ("26, unit", rate(json!([{"type": "TOKEN", "threshold": 5}]))),
        ("a list is no object", rate(json!([["TOKEN", "MINUTE", 5]]))),
    ])
    .await;
}

#[tokio::test]
async fn case_022_to_025_a_list_holds_one_limit_of_each_type() {
    each_is_refused(&[
        ("22", rate(json!([tok_min(5), tok_min(6)]))),
        ("23", rate(json!([limit("TOKEN", "SECOND", 5), tok_min(6)]))),
        ("25", usage(json!([limit("TOKEN", "DAY", 5), limit("TOKEN", "DAY", 6)]))),
    ])
    .await;
    each_is_accepted(&[
        ("24", rate(json!([limit("TOKEN", "SECOND", 5), limit("REQUEST", "MINUTE", 6)]))),
        ("25", usage(json!([limit("TOKEN", "DAY", 5), limit("REQUEST", "DAY", 6)]))),
    ])
    .await;
}

#[tokio::test]
async fn case_027_to_029_slugs_differ_and_modes_are_known() {
    let two = [m1(&[tok_min(5)]), model("acme/m2", &[limit("REQUEST", "DAY", 6)])];
    each_is_accepted(&[("27", plain_with("/models", json!(two)))]).await;
    each_is_refused(&[
        ("28", plain_with("/models", json!([m1(&[]), m1(&[tok_min(5)])]))),
        ("29", plain_with("/hierarchy/limit_enforcement", json!("SHARED"))),
        ("slug without a slash", plain_with("/models/0/slug", json!("acme"))),
        ("slug with a space", plain_with("/models/0/slug", json!("acme/m 1"))),
        ("slug null", plain_with("/models/0/slug", Value::Null)),
    ])
    .await;
}

#[tokio::test]
async fn case_032_to_033_a_parent_must_exist() {
    let gw = Gateway::start().await;
    let under = |parent: &str| body("child", &[m1(&[])], "INDEPENDENT", Some(parent));
    refused(&gw.post(GROUPS, under("00000000001")).await, 404, "32");
    refused(&gw.post(GROUPS, under("not an id")).await, 404, "32, no id of ours");
    let gone = created(&gw, plain("gone")).await;
    gw.delete(&group_path(&gone)).await;
    refused(&gw.post(GROUPS, under(&gone)).await, 404, "33");
    assert_eq!(gw.post(GROUPS, plain("child")).await.status, 200, "44");
}

#[tokio::test]
async fn case_035_to_036_a_tree_has_one_mode() {
    let gw = Gateway::start().await;
    for (parent_mode, child_mode) in [("INDEPENDENT", "CASCADING"), ("CASCADING", "INDEPENDENT")] {
        let parent = created(&gw, body(parent_mode, &[m1(&[])], parent_mode, None)).await;
        let mut child = body("child", &[m1(&[])], child_mode, Some(&parent));
        refused(&gw.post(GROUPS, child.clone()).await, 400, "35");
        child["hierarchy"].as_object_mut().unwrap().remove("limit_enforcement");
        refused(&gw.post(GROUPS, child).await, 400, "36");
    }
}

#[tokio::test]
async fn case_037_to_038_a_tree_has_five_levels() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[])][..]; 5]).await;
    let sixth = body("sixth", &[m1(&[])], "INDEPENDENT", ids.last().map(String::as_str));
    refused(&gw.post(GROUPS, sixth).await, 400, "38");
}

#[tokio::test]
async fn case_039_a_body_that_is_not_one_json_object_is_refused() {
    let gw = Gateway::start().await;
    let good = plain("case").to_string();
    let twice = good.replacen("\"models\"", "\"metadata\":{\"external_entity_id\":\"x\"},\"models\"", 1);
    let deep = good.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1);
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("cut off", good.as_bytes()[..good.len() - 1].to_vec()),
        ("more after it", format!("{good}{good}").into_bytes()),
        ("a list", format!("[{good}]").into_bytes()),
        ("null", b"null".to_vec()),
        ("text", b"\"x\"".to_vec()),
        ("a field twice", twice.into_bytes()),
        ("too deep", deep.into_bytes()),
        (
            "not UTF-8",
            good.replacen("case", "\u{1}\u{2}", 1).bytes().map(|b| if b < 3 { 0xff } else { b }).collect(),
        ),
    ];
    for (case, body) in cases {
        refused(&send(&gw, Method::POST, GROUPS, &body).await, 400, case);
    }
    assert_eq!(gw.post(GROUPS, plain("case")).await.status, 200, "44");
}

#[tokio::test]
async fn case_072_fields_we_do_not_know_and_effective_models_have_no_effect() {
    let gw = Gateway::start().await;
    let mut odd = plain("odd");
    odd["effective_models"] = json!([m1(&[tok_min(1)])]);
    odd["metadata"]["colour"] = json!("blue");
    odd["models"][0]["weight"] = json!([1, {"a": null}]);
    let group = gw.post(GROUPS, odd).await.body;
    assert_eq!(group["models"], json!([m1(&[])]));
    assert_eq!(group["effective_models"], json!([m1(&[])]));
    let patch =
        json!({"metadata": {"name": "n"}, "effective_models": [], "created_at": "2020-01-01T00:00:00Z"});
    let path = group_path(group["id"].as_str().unwrap());
    let patched = gw.patch(&path, patch).await.body;
    assert_eq!(patched["effective_models"], group["effective_models"]);
    assert_eq!(patched["created_at"], group["created_at"]);
}

#[tokio::test]
async fn an_entry_may_choose_its_admission_and_a_ceiling_and_null_chooses_neither() {
    each_is_refused(&[
        ("no call at all", plain_with("/models/0/max_concurrent_requests", json!(0))),
        ("half a call", plain_with("/models/0/max_concurrent_requests", json!(1.5))),
        ("unknown", plain_with("/models/0/admission", json!("sometimes"))),
    ])
    .await;
    let gw = Gateway::start().await;
    let null = gw.post(GROUPS, plain_with("/models/0/max_concurrent_requests", Value::Null)).await;
    assert_eq!(fields(&null.body["models"][0]), ["rate_limits", "slug", "usage_limits"]);
    for word in ["estimate", "learned", "hard", "observed"] {
        let mut own = plain(word);
        own["models"][0]["admission"] = json!(word);
        let own = gw.post(GROUPS, own).await;
        assert_eq!(own.body["models"][0]["admission"], word);
        assert_eq!(fields(&own.body["effective_models"][0]), ["rate_limits", "slug", "usage_limits"]);
    }
}

#[tokio::test]
async fn case_031_036_the_place_in_a_tree_may_be_left_out_where_the_setting_says_so() {
    let gw = Gateway::with(|config| config.management.hierarchy_optional = true).await;
    let mut root = plain("root");
    root["hierarchy"] = json!({});
    let independent = json!({"limit_enforcement": "INDEPENDENT", "parent_group_id": null});
    assert_eq!(gw.post(GROUPS, root).await.body["hierarchy"], independent, "31");
    assert_eq!(gw.post(GROUPS, plain_without("/hierarchy")).await.body["hierarchy"], independent, "30");
    let parent = created(&gw, body("parent", &[m1(&[])], "CASCADING", None)).await;
    let mut child = plain("child");
    child["hierarchy"] = json!({"parent_group_id": parent});
    let child = gw.post(GROUPS, child).await;
    assert_eq!(
        child.body["hierarchy"],
        json!({"limit_enforcement": "CASCADING", "parent_group_id": parent}),
        "36"
    );
}

#[tokio::test]
async fn case_017_a_threshold_of_0_blocks_where_the_setting_says_so() {
    let gw = Gateway::with(|config| config.management.accept_zero_threshold = true).await;
    let reply = gw.post(GROUPS, threshold(json!(0))).await;
    assert_eq!((reply.status, &reply.body["models"][0]["rate_limits"][0]["threshold"]), (200, &json!(0)));
    refused(&gw.patch(&group_path(reply.body["id"].as_str().unwrap()), json!({})).await, 400, "50");
    refused(&gw.post(GROUPS, threshold(json!(-1))).await, 400, "18");
}

#[tokio::test]
async fn case_044_a_rejected_create_leaves_its_identifier_free() {
    let gw = Gateway::start().await;
    let mut rejected = plain("cust_42");
    rejected["models"] = json!([]);
    refused(&gw.post(GROUPS, rejected).await, 400, "14");
    refused(&gw.post(GROUPS, body("cust_42", &[m1(&[])], "CASCADING", Some("00000000001"))).await, 404, "32");
    assert_eq!(gw.get(&format!("{GROUPS}?external_entity_id=cust_42")).await.body["items"], json!([]));
    assert_eq!(gw.post(GROUPS, plain("cust_42")).await.status, 200);
}
