//! `/v1/prices`

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

const PRICES: &str = "/v1/prices";

fn priced(provider: &str, input: f64) -> Value {
    json!({"litellm_provider": provider, "input_cost_per_token": input, "output_cost_per_token": 1e-5})
}

async fn import(gw: &Gateway, map: &Value) -> Reply {
    send(gw, Method::PUT, PRICES, map.to_string().as_bytes()).await
}

/// Every price, as `provider model`.
fn names(list: &Value) -> Vec<String> {
    let name = |price: &Value| {
        format!("{} {}", price["provider"].as_str().unwrap(), price["model"].as_str().unwrap())
    };
    list["items"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn an_imported_map_is_listed_by_provider_and_model_and_replaces_the_one_before() {
    let gw = Gateway::start().await;
    let map = json!({
        "openai/gpt-4o": priced("openai", 2.5e-6),
        "claude": priced("anthropic", 3e-6),
        "a-model": priced("openai", 1e-6),
        "no-price": {"litellm_provider": "openai"},
    });
    let imported = import(&gw, &map).await.expect(200);
    assert_eq!(imported.body, json!({"imported": 3, "skipped": 1, "source": "imported"}));
    let list = gw.get(PRICES).await.expect(200).body;
    assert_eq!(names(&list), ["anthropic claude", "openai a-model", "openai gpt-4o"]);
    let gpt = json!({
        "provider": "openai", "model": "gpt-4o", "source": "imported",
        "input_per_million": "2.5", "output_per_million": "10",
    });
    assert_eq!(list["items"][2], gpt, "nothing that was not said");
    import(&gw, &json!({"m": priced("p", 1e-6)})).await.expect(200);
    assert_eq!(names(&gw.get(PRICES).await.body), ["p m"]);
}

#[tokio::test]
async fn what_a_price_has_besides_is_shown_where_it_was_said() {
    let gw = Gateway::start().await;
    let mut entry = priced("p", 1e-6);
    entry["cache_read_input_token_cost"] = json!(1e-7);
    entry["cache_creation_input_token_cost"] = json!(2e-6);
    entry["input_cost_per_token_above_200k_tokens"] = json!(4e-6);
    import(&gw, &json!({"m": entry})).await.expect(200);
    let price = gw.get(PRICES).await.body["items"][0].clone();
    assert_eq!(
        (&price["cached_input_per_million"], &price["cache_write_per_million"]),
        (&json!("0.1"), &json!("2"))
    );
    let tier = json!({
        "above_input_tokens": 200_000, "input_per_million": "4", "output_per_million": "10",
        "cached_input_per_million": "0.1", "cache_write_per_million": "2",
    });
    assert_eq!(price["tiers"], json!([tier]));
}

#[tokio::test]
async fn a_map_that_is_wrong_is_refused_whole_and_what_was_imported_stays() {
    let gw = Gateway::start().await;
    import(&gw, &json!({"kept": priced("p", 1e-6)})).await.expect(200);
    for (map, expected) in [
        (json!({"fine": priced("p", 1e-6), "gpt-bad": priced("p", -1e-6)}), "gpt-bad"),
        (json!({"gpt-bad": 5}), "gpt-bad"),
        (json!({}), "litellm_provider"),
        (json!([]), "no price map"),
    ] {
        let reply = import(&gw, &map).await;
        refused(&reply, 400, expected);
        assert!(reply.body["message"].as_str().unwrap().contains(expected), "{}", reply.text);
    }
    refused(&send(&gw, Method::PUT, PRICES, b"not json").await, 400, "no JSON");
    assert_eq!(names(&gw.get(PRICES).await.body), ["p kept"]);
}

#[tokio::test]
async fn imported_prices_are_deleted_all_at_once() {
    let gw = Gateway::start().await;
    import(&gw, &json!({"a": priced("p", 1e-6), "b": priced("p", 1e-6)})).await.expect(200);
    let deleted = gw.delete(PRICES).await.expect(200);
    assert_eq!(deleted.body, json!({"deleted": 2, "source": "imported"}));
    assert_eq!(gw.get(PRICES).await.body["items"], json!([]));
    assert_eq!(gw.delete(PRICES).await.expect(200).body["deleted"], 0, "twice does no harm");
}

#[tokio::test]
async fn prices_are_listed_in_pages_and_by_provider_and_model() {
    let gw = Gateway::start().await;
    let map = json!({
        "p/x": priced("p", 1e-6), "q/x": priced("q", 1e-6), "p/y": priced("p", 1e-6), "é/x": priced("é", 1e-6),
    });
    import(&gw, &map).await.expect(200);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gw.get(&format!("{PRICES}?limit=1{cursor}")).await.expect(200).body;
        seen.extend(names(&page));
        let Some(next) = page["pagination"]["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["p x", "p y", "q x", "é x"]);
    for (query, expected) in [
        ("provider=p", vec!["p x", "p y"]),
        ("model=x", vec!["p x", "q x", "é x"]),
        ("provider=q&model=x", vec!["q x"]),
        ("provider=%C3%A9", vec!["é x"]),
        ("provider=nobody", vec![]),
    ] {
        assert_eq!(names(&gw.get(&format!("{PRICES}?{query}")).await.expect(200).body), expected, "{query}");
    }
    for query in ["cursor=garbage", "cursor=cHg", "limit=0", "provider=p&provider=q"] {
        refused(&gw.get(&format!("{PRICES}?{query}")).await, 400, query);
    }
}

#[tokio::test]
async fn prices_are_the_same_in_every_workspace_and_outlive_a_restart() {
    let mut gw = Gateway::start().await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    let view = gw.management_key(&tenant.id, "view").await;
    import(&gw, &json!({"m": priced("p", 1e-6)})).await.expect(200);
    let before = gw.send_as(&view, Method::GET, PRICES, Value::Null).await.expect(200).body;
    assert_eq!(names(&before), ["p m"]);
    refused(&gw.send_as(&tenant.key, Method::DELETE, PRICES, Value::Null).await, 403, "not theirs");
    gw.restart().await;
    assert_eq!(gw.get(PRICES).await.body, before);
}
