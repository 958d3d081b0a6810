//! `GET /api/governance/budgets`, `GET /api/governance/rate-limits`, and the resets of both

use serde_json::json;
use testkit::Gateway;

use crate::support::*;

#[tokio::test]
async fn every_budget_and_rate_limit_is_listed_as_its_config_shows_it() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    let one =
        json!({ "model_name": "a", "budgets": [budget(1, "1d"), budget(2, "1w")], "rate_limit": rate_limit });
    let one = made(&gw, one).await;
    let rules = json!([
        { "metric": "tokens", "max_limit": 1, "reset_duration": "1m" },
        { "metric": "requests", "max_limit": 2, "reset_duration": "1m" },
    ]);
    let other =
        made(&gw, json!({ "model_name": "b", "budgets": [budget(3, "1Y")], "rate_limits": rules })).await;
    let listed = gw.get(BUDGETS).await.expect(200).body;
    let expected = json!([one["budgets"][0], one["budgets"][1], other["budgets"][0]]);
    assert_eq!(listed, json!({ "budgets": expected, "count": 3 }));
    let listed = gw.get(RATE_LIMITS).await.expect(200).body;
    let expected = json!([one["rate_limit"], other["rate_limits"][0], other["rate_limits"][1]]);
    assert_eq!(listed, json!({ "rate_limits": expected, "count": 3 }));
}

#[tokio::test]
async fn a_reset_answers_what_was_reset() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    let config =
        made(&gw, json!({ "model_name": "*", "budgets": [budget(1, "1d")], "rate_limit": rate_limit })).await;
    let (budget, limit) = (&config["budgets"][0], &config["rate_limit"]);
    let reset = gw.post(&format!("{BUDGETS}/{}/reset", text(budget, "id")), json!({})).await.expect(200);
    assert_eq!((fields(&reset.body), &reset.body["budget"]), (vec!["budget", "message"], budget));
    let reset = gw.post(&format!("{RATE_LIMITS}/{}/reset", text(limit, "id")), json!({})).await.expect(200);
    assert_eq!((fields(&reset.body), &reset.body["rate_limit"]), (vec!["message", "rate_limit"], limit));
    assert_eq!(read(&gw, &config).await, config);
}

#[tokio::test]
async fn what_there_is_not_cannot_be_reset() {
    let gw = Gateway::start().await;
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    let config =
        made(&gw, json!({ "model_name": "*", "budgets": [budget(1, "1d")], "rate_limit": rate_limit })).await;
    let (budget, limit) = (text(&config["budgets"][0], "id"), text(&config["rate_limit"], "id"));
    for (root, other) in [(BUDGETS, limit), (RATE_LIMITS, budget)] {
        for id in [NOBODY, "nobody", other, text(&config, "id")] {
            refused(&gw.post(&format!("{root}/{id}/reset"), json!({})).await, 404, id);
        }
    }
}
