//! `GET /api/governance/virtual-keys/quota`

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, OPERATOR_KEY, Reply};

use crate::support::*;

async fn quota(gw: &Gateway, key: &str) -> Reply {
    gw.send_as(key, Method::GET, QUOTA, Value::Null).await
}

#[tokio::test]
async fn bifrost_case_52_the_key_itself_is_the_credential() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    let body = quota(&gw, &customer.key).await.expect(200).body;
    assert_eq!(
        body,
        json!({ "virtual_key_name": prefix, "is_active": true, "budgets": [], "model_configs": [], "limits": [] })
    );
    for (header, value) in [
        ("authorization", format!("Api-Key {}", customer.key)),
        ("authorization", format!("bearer {}", customer.key)),
        ("x-api-key", customer.key.clone()),
        ("api-key", customer.key.clone()),
        ("x-goog-api-key", customer.key.clone()),
        ("x-bf-vk", customer.key.clone()),
    ] {
        let reply = gw.request(Method::GET, QUOTA).header(header, value).send().await;
        assert_eq!(reply.expect(200).body, body, "{header}");
    }
    let unknown = format!("{}x", customer.key);
    for (header, value) in [
        ("accept", "*/*"),
        ("authorization", &*format!("Bearer {unknown}")),
        ("authorization", &*format!("Basic {}", customer.key)),
        ("authorization", "Bearer"),
        ("authorization", &*format!("Bearer {OPERATOR_KEY}")),
        ("x-bf-vk", OPERATOR_KEY),
        ("x-api-key", &*unknown),
        ("x-api-key", ""),
    ] {
        let reply = gw.request(Method::GET, QUOTA).header(header, value).send().await;
        refused(&reply, 401, header);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", customer.id)).await.expect(200);
    refused(&quota(&gw, &customer.key).await, 401, "revoked");
}

#[tokio::test]
async fn a_key_sees_its_own_configs_and_no_others() {
    let gw = Gateway::start().await;
    let (ours, prefix) = customer(&gw, "cust_42").await;
    let (theirs, other) = customer(&gw, "cust_43").await;
    let rate_limit = json!({ "request_max_limit": 5, "request_reset_duration": "1m" });
    let of = |key: &str, model: &str| json!({ "model_name": model, "scope": "virtual_key", "scope_id": key, "budgets": [budget(0.3, "1d")] });
    let mut all = of(&prefix, "*");
    all["rate_limit"] = rate_limit;
    let all = made(&gw, all).await;
    let one = made(&gw, of(&prefix, "acme/m1")).await;
    let mut by_provider = of(&prefix, "*");
    by_provider["provider"] = json!("openai");
    let by_provider = made(&gw, by_provider).await;
    made(&gw, of(&other, "*")).await;
    made(&gw, json!({ "model_name": "*", "budgets": [budget(1, "1d")] })).await;
    made(
        &gw,
        json!({ "model_name": "*", "scope": "group", "scope_id": ours.id, "budgets": [budget(1, "1d")] }),
    )
    .await;

    let body = quota(&gw, &ours.key).await.expect(200).body;
    for member in ["budgets", "budget", "rate_limit"] {
        assert_eq!(body[member], all[member], "{member}");
    }
    let rest = json!([
        { "model_name": "acme/m1", "budgets": one["budgets"], "budget": one["budget"] },
        { "model_name": "*", "provider": "openai", "budgets": by_provider["budgets"], "budget": by_provider["budget"] },
    ]);
    assert_eq!(body["model_configs"], rest);
    assert_eq!(quota(&gw, &theirs.key).await.body["model_configs"], json!([]));
}

#[tokio::test]
async fn a_key_is_called_by_its_name() {
    let gw = Gateway::start().await;
    let (customer, _) = customer(&gw, "cust_42").await;
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let named = gw.post(&keys, json!({ "name": "prod" })).await.expect(200).body;
    assert_eq!(quota(&gw, text(&named, "api_key")).await.body["virtual_key_name"], "prod");
}

#[tokio::test]
async fn a_key_sees_the_limits_of_its_own_group_and_none_above() {
    let gw = Gateway::start().await;
    let limit = |threshold: u64| json!({ "type": "TOKEN", "unit": "MINUTE", "threshold": threshold });
    let models = |threshold: u64| json!([{ "slug": "acme/m1", "rate_limits": [limit(threshold)] }]);
    let root = gw.group("root", models(1_000), "CASCADING", None).await;
    let child = gw.member("child", models(100), "CASCADING", Some(&root)).await;
    let limits = quota(&gw, &child.key).await.expect(200).body["limits"].clone();
    let all = gw.get(&format!("/v1/gateway/groups/{}/limits", child.id)).await.body["limits"].clone();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(limits, json!([all[0]]));
    assert_eq!((&limits[0]["threshold"], &limits[0]["scope"]), (&json!(100), &json!("group")));
    gw.chat(&child.key, "acme/m1").await.expect(200);
    assert_eq!(quota(&gw, &child.key).await.body["limits"][0]["used"], 19, "live");
}

#[tokio::test]
async fn a_key_of_a_workspace_that_is_not_onboarded_learns_nothing() {
    let gw = Gateway::start().await;
    let (customer, _) = customer(&gw, "cust_42").await;
    let home = gw.first_workspace().await;
    gw.patch(&format!("/v1/workspaces/{home}"), json!({ "onboarded": false })).await.expect(200);
    refused(&quota(&gw, &customer.key).await, 403, "not onboarded");
    refused(&quota(&gw, "sky_nobody.nothing").await, 401, "nobody");
}

#[tokio::test]
async fn a_key_asks_no_oftener_than_others_may() {
    let gw = Gateway::with(|config| config.management.rate_limit_per_second = 2).await;
    let (ours, _) = customer(&gw, "cust_42").await;
    gw.clock.advance(std::time::Duration::from_secs(1));
    let (theirs, _) = customer(&gw, "cust_43").await;
    for expected in [200, 200, 429] {
        assert_eq!(quota(&gw, &ours.key).await.status, expected);
    }
    quota(&gw, &theirs.key).await.expect(200);
}
