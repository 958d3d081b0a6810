//! `/api/governance/providers`

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

/// The provider of every endpoint under test.
const OURS: &str = "openai_compatible";

async fn put_provider(gw: &Gateway, name: &str, body: Value) -> Reply {
    gw.manage(Method::PUT, &format!("{PROVIDERS}/{name}")).json(&body).send().await
}

#[tokio::test]
async fn bifrost_case_47_a_provider_is_a_view_of_a_config() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "request_max_limit": 5, "request_reset_duration": "1m" });
    let body = json!({ "budgets": [budget(1, "1d"), budget(9, "1M")], "rate_limit": rate_limit });
    let reply = put_provider(&gw, OURS, body).await.expect(200);
    assert_eq!(fields(&reply.body), ["message", "provider"]);
    let provider = &reply.body["provider"];
    assert_eq!(fields(provider), ["budget", "budgets", "calendar_aligned", "provider", "rate_limit"]);
    let config = gw.get(CONFIGS).await.body["model_configs"][0].clone();
    assert_eq!(
        (&config["scope"], &config["model_name"], &config["provider"]),
        (&json!("global"), &json!("*"), &json!(OURS))
    );
    for member in ["budgets", "budget", "rate_limit", "calendar_aligned", "provider"] {
        assert_eq!(provider[member], config[member], "{member}");
    }
    assert_eq!(gw.get(PROVIDERS).await.expect(200).body, json!({ "providers": [provider], "count": 1 }));
    let aligned = changed(&gw, &config, json!({ "calendar_aligned": true })).await;
    assert_eq!(
        gw.get(PROVIDERS).await.body["providers"][0]["budgets"],
        aligned["budgets"],
        "and the other way round"
    );
}

#[tokio::test]
async fn bifrost_case_48_a_provider_without_limits_has_no_config() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "request_max_limit": 5, "request_reset_duration": "1m" });
    let body = json!({ "budgets": [budget(1, "1d")], "rate_limit": rate_limit });
    put_provider(&gw, OURS, body.clone()).await.expect(200);
    put_provider(&gw, OURS, json!({ "budgets": [] })).await.expect(200);
    assert_eq!(gw.get(CONFIGS).await.body["count"], 1, "a rate limit is left");
    let bare =
        put_provider(&gw, OURS, json!({ "rate_limit": {} })).await.expect(200).body["provider"].clone();
    assert_eq!(bare, json!({ "provider": OURS, "budgets": [], "calendar_aligned": false }));
    assert_eq!(gw.get(CONFIGS).await.body["count"], 0);
    put_provider(&gw, OURS, json!({})).await.expect(200);
    assert_eq!(gw.get(CONFIGS).await.body["count"], 0, "nothing makes nothing");

    put_provider(&gw, OURS, body).await.expect(200);
    for _ in 0..2 {
        let deleted = gw.delete(&format!("{PROVIDERS}/{OURS}")).await.expect(200);
        assert_eq!(fields(&deleted.body), ["message"]);
    }
    assert_eq!(gw.get(CONFIGS).await.body["count"], 0);
    for unknown in ["openai", "nobody", "%20"] {
        refused(&put_provider(&gw, unknown, json!({ "budgets": [budget(1, "1d")] })).await, 404, unknown);
        gw.delete(&format!("{PROVIDERS}/{unknown}")).await.expect(200);
    }
}

#[tokio::test]
async fn a_provider_is_changed_as_a_config_is() {
    let gw = Gateway::start().await;
    let made = put_provider(&gw, "OpenAI_Compatible", json!({ "budget": budget(1, "1d") })).await.expect(200);
    let made = made.body["provider"].clone();
    let kept =
        put_provider(&gw, OURS, json!({ "budgets": null, "calendar_aligned": true })).await.expect(200);
    assert_eq!(ids(&kept.body["provider"]["budgets"]), ids(&made["budgets"]));
    let back = put_provider(&gw, OURS, kept.body["provider"].clone()).await.expect(200);
    assert_eq!(back.body["provider"], kept.body["provider"], "an answer may be sent back");
    for (body, word) in [
        (json!({ "budget": budget(1, "1d"), "budgets": [budget(1, "1d")] }), "budgets"),
        (json!({ "provider": "openai" }), "provider"),
        (json!({ "budgets": [budget(0, "1d")] }), "max_limit"),
        (json!({ "model_name": "*" }), "`model_name`"),
        (json!({ "rate_limit": { "token_max_limit": 1 } }), "token_reset_duration"),
    ] {
        refused_naming(&put_provider(&gw, OURS, body).await, 400, &[word]);
    }
}

#[tokio::test]
async fn other_configs_of_a_provider_are_not_its_limits() {
    let gw = Gateway::start().await;
    for body in [
        json!({ "model_name": "acme/m1", "provider": OURS, "budgets": [budget(1, "1d")] }),
        json!({ "model_name": "*", "budgets": [budget(1, "1d")] }),
        json!({ "model_name": "*", "provider": OURS, "scope": "user", "scope_id": "ada", "budgets": [budget(1, "1d")] }),
        json!({ "model_name": "*", "provider": OURS }),
    ] {
        made(&gw, body).await;
    }
    assert_eq!(gw.get(PROVIDERS).await.body["providers"], json!([]));
}
