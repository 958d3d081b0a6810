//! `GET /api/governance/model-configs`

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

/// Three configs, with different names, scopes and providers; the names in order of creation.
async fn three(gw: &Gateway) -> [&'static str; 3] {
    made(gw, json!({ "model_name": "GPT-4o", "provider": "openai" })).await;
    made(gw, json!({ "model_name": "claude", "provider": "anthropic", "scope": "user", "scope_id": "ada" }))
        .await;
    made(gw, json!({ "model_name": "gpt-4o-mini", "scope": "user", "scope_id": "bob" })).await;
    ["GPT-4o", "claude", "gpt-4o-mini"]
}

async fn list(gw: &Gateway, query: &str) -> Reply {
    gw.get(&format!("{CONFIGS}?{query}")).await
}

fn names(body: &Value) -> Vec<&str> {
    body["model_configs"].as_array().unwrap().iter().map(|config| text(config, "model_name")).collect()
}

/// How many there are here and in all, the limit and the offset.
fn numbers(body: &Value) -> [u64; 4] {
    ["count", "total_count", "limit", "offset"].map(|name| body[name].as_u64().unwrap())
}

#[tokio::test]
async fn bifrost_case_25_without_a_query_every_config_is_listed_in_order_of_creation() {
    let gw = Gateway::start().await;
    for n in 0..30 {
        made(&gw, json!({ "model_name": format!("m{n:02}") })).await;
    }
    let body = gw.get(CONFIGS).await.expect(200).body;
    assert_eq!(fields(&body), ["count", "limit", "model_configs", "offset", "total_count"]);
    assert_eq!(numbers(&body), [30, 30, 30, 0]);
    let expected: Vec<String> = (0..30).map(|n| format!("m{n:02}")).collect();
    assert_eq!(names(&body), expected);
    let first = list(&gw, "offset=0").await.body;
    assert_eq!(numbers(&first), [25, 30, 25, 0], "any parameter makes it a page");
    let foreign = list(&gw, "unknown=1").await.body;
    assert_eq!(numbers(&foreign), [30, 30, 30, 0], "but for those that we do not know");
}

#[tokio::test]
async fn bifrost_case_26_a_page_says_how_many_there_are_in_all() {
    let gw = Gateway::start().await;
    let all = three(&gw).await;
    let page = list(&gw, "limit=1").await.expect(200).body;
    assert_eq!((numbers(&page), names(&page)), ([1, 3, 1, 0], vec![all[0]]));
    let second = list(&gw, "limit=1&offset=1").await.body;
    assert_eq!((numbers(&second), names(&second)), ([1, 3, 1, 1], vec![all[1]]));
    let rest = list(&gw, "offset=1").await.body;
    assert_eq!((numbers(&rest), names(&rest)), ([2, 3, 25, 1], all[1..].to_vec()));
    let past = list(&gw, "limit=1&offset=3").await.expect(200).body;
    assert_eq!((numbers(&past), &past["model_configs"]), ([0, 3, 1, 3], &json!([])));
}

#[tokio::test]
async fn bifrost_case_27_a_limit_has_bounds_and_is_a_number() {
    let gw = Gateway::start().await;
    three(&gw).await;
    for (query, limit) in [("limit=0", 25), ("limit=1000", 100), ("limit=100", 100), ("limit=&search=g", 25)]
    {
        assert_eq!(list(&gw, query).await.expect(200).body["limit"], limit, "{query}");
    }
    for bad in ["limit=-1", "limit=x", "limit=1.5", "limit=9223372036854775808", "limit=%2B1"] {
        refused_naming(&list(&gw, bad).await, 400, &["limit"]);
    }
    for bad in ["offset=-1", "offset=x", "offset=9223372036854775808"] {
        refused_naming(&list(&gw, bad).await, 400, &["offset"]);
    }
    refused_naming(&list(&gw, "limit=1&limit=2").await, 400, &["limit"]);
}

#[tokio::test]
async fn bifrost_case_28_to_29_filters_narrow_and_combine() {
    let gw = Gateway::start().await;
    let [big, claude, mini] = three(&gw).await;
    for (query, expected) in [
        ("search=gpt", vec![big, mini]),
        ("search=4O", vec![big, mini]),
        ("search=%20", vec![]),
        ("scope=user", vec![claude, mini]),
        ("scope=global", vec![big]),
        ("scope=User", vec![]),
        ("provider=openai", vec![big]),
        ("provider=OpenAI", vec![big]),
        ("provider=open", vec![]),
        ("scope_id=bob", vec![mini]),
        ("scope=user&search=gpt", vec![mini]),
        ("scope=user&provider=anthropic&search=a&scope_id=ada", vec![claude]),
        ("scope=global&scope_id=ada", vec![]),
        ("search=&scope=&provider=&scope_id=", vec![big, claude, mini]),
    ] {
        let body = list(&gw, query).await.expect(200).body;
        assert_eq!(names(&body), expected, "{query}");
        assert_eq!(body["total_count"], expected.len(), "{query}");
    }
    let page = list(&gw, "search=gpt&limit=1&offset=1").await.body;
    assert_eq!((numbers(&page), names(&page)), ([1, 2, 1, 1], vec![mini]));
}

#[tokio::test]
async fn bifrost_case_30_from_memory_a_page_may_be_of_any_length() {
    let gw = Gateway::start().await;
    for n in 0..102 {
        made(&gw, json!({ "model_name": format!("m{n}") })).await;
    }
    for (query, expected) in [
        ("from_memory=true", [102, 102, 102, 0]),
        ("from_memory=true&limit=x", [102, 102, 102, 0]),
        ("from_memory=true&limit=-1&offset=-5", [102, 102, 102, 0]),
        ("from_memory=true&limit=101", [101, 102, 101, 0]),
        ("from_memory=true&limit=0", [25, 102, 25, 0]),
        ("from_memory=true&limit=x&offset=100", [2, 102, 25, 100]),
        ("from_memory=true&offset=5000", [0, 102, 25, 5000]),
        ("from_memory=TRUE&limit=101", [100, 102, 100, 0]),
    ] {
        let body = list(&gw, query).await.expect(200).body;
        assert_eq!(numbers(&body), expected, "{query}");
        assert!(body["model_configs"].is_array(), "{query}");
    }
    refused(&list(&gw, "from_memory=false&limit=x").await, 400, "not from memory");
}

#[tokio::test]
async fn bifrost_case_31_an_empty_list_is_a_list() {
    let gw = Gateway::start().await;
    for query in ["", "limit=5", "search=x", "from_memory=true"] {
        let body = list(&gw, query).await.expect(200).body;
        assert_eq!(
            (&body["model_configs"], &body["count"], &body["total_count"]),
            (&json!([]), &json!(0), &json!(0))
        );
    }
    for (path, rows) in [(BUDGETS, "budgets"), (RATE_LIMITS, "rate_limits"), (PROVIDERS, "providers")] {
        assert_eq!(gw.get(path).await.expect(200).body, json!({ rows: [], "count": 0 }));
    }
}

#[tokio::test]
async fn bifrost_case_32_a_config_that_there_is_not_is_not_found() {
    let gw = Gateway::start().await;
    for id in [NOBODY, "nobody", "0", "%2e", "%ff"] {
        let path = format!("{CONFIGS}/{id}");
        refused(&gw.get(&path).await, 404, id);
        refused(&gw.delete(&path).await, 404, id);
        refused(&gw.manage(Method::PUT, &path).json(&json!({})).send().await, 404, id);
    }
}

#[tokio::test]
async fn a_config_keeps_its_place_when_it_is_edited() {
    let gw = Gateway::start().await;
    let all = three(&gw).await;
    let first = gw.get(CONFIGS).await.body["model_configs"][0].clone();
    changed(&gw, &first, json!({ "calendar_aligned": true })).await;
    assert_eq!(names(&gw.get(CONFIGS).await.body), all);
}
