//! `DELETE /api/governance/model-configs/{id}`

use serde_json::json;
use testkit::Gateway;

use crate::support::*;

#[tokio::test]
async fn bifrost_case_43_a_config_goes_once_and_takes_its_lines_along() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    let body = json!({ "model_name": "*", "budgets": [budget(1, "1d")], "rate_limit": rate_limit });
    let config = made(&gw, body.clone()).await;
    let kept = made(&gw, json!({ "model_name": "kept", "budgets": [budget(2, "1d")] })).await;
    let deleted = gw.delete(&path_of(&config)).await.expect(200);
    assert_eq!(fields(&deleted.body), ["message"]);
    refused(&gw.delete(&path_of(&config)).await, 404, "twice");
    refused(&gw.get(&path_of(&config)).await, 404, "read");
    assert_eq!(ids(&gw.get(BUDGETS).await.body["budgets"]), ids(&kept["budgets"]));
    assert_eq!(gw.get(RATE_LIMITS).await.body["count"], 0);
    let again = made(&gw, body).await;
    assert_ne!(again["id"], config["id"], "what it was about is free again");
    assert_ne!(ids(&again["budgets"]), ids(&config["budgets"]));
}

#[tokio::test]
async fn configs_outlive_a_restart() {
    let mut gw = Gateway::start().await;
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    let body = json!({ "model_name": "*", "budgets": [budget(0.3, "monthly")], "rate_limit": rate_limit });
    let config = made(&gw, body).await;
    let deleted = made(&gw, json!({ "model_name": "deleted" })).await;
    gw.delete(&path_of(&deleted)).await.expect(200);
    gw.restart().await;
    assert_eq!(gw.get(CONFIGS).await.expect(200).body["model_configs"], json!([config]));
}
