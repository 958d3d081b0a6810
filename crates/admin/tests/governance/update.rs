//! `PUT /api/governance/model-configs/{id}`

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

const LATER: &str = "2026-05-13T12:00:01.000Z";

/// A gateway a second after a config was made.
async fn with(config: Value) -> (Gateway, Value) {
    let gw = Gateway::start().await;
    let mut body = json!({ "model_name": "gpt-4o" });
    body.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let config = made(&gw, body).await;
    gw.clock.advance(Duration::from_secs(1));
    (gw, config)
}

fn pair(tokens: u64, requests: u64) -> Value {
    json!({
        "token_max_limit": tokens, "token_reset_duration": "1h",
        "request_max_limit": requests, "request_reset_duration": "1d",
    })
}

fn rule(metric: &str, max: u64, reset: &str) -> Value {
    json!({ "metric": metric, "max_limit": max, "reset_duration": reset })
}

#[tokio::test]
async fn bifrost_case_33_nothing_sent_changes_nothing_but_the_time_of_it() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d")], "rate_limit": pair(5, 6) })).await;
    let nulls = json!({
        "model_name": null, "provider": null, "scope": null, "scope_id": null, "budgets": null, "budget": null,
        "rate_limit": null, "rate_limits": null, "calendar_aligned": null, "id": null,
    });
    for nothing in [json!({}), nulls] {
        let mut after = changed(&gw, &config, nothing).await;
        assert_eq!(after["updated_at"], LATER);
        after["updated_at"] = config["updated_at"].clone();
        assert_eq!(after, config);
    }
}

#[tokio::test]
async fn an_answer_may_be_sent_back_as_it_came() {
    let rules = json!({ "rate_limits": [rule("tokens", 5, "1m"), rule("requests", 6, "1h")] });
    for limits in [json!({}), json!({ "rate_limit": pair(5, 6) }), rules] {
        let mut body = limits;
        body["budgets"] = json!([budget(1, "1d"), budget(0.3, "1M")]);
        body["calendar_aligned"] = json!(true);
        let (gw, config) = with(body).await;
        let mut after = changed(&gw, &config, config.clone()).await;
        after["updated_at"] = config["updated_at"].clone();
        assert_eq!(after, config, "only the config itself was written");
    }
}

#[tokio::test]
async fn bifrost_case_34_an_empty_list_removes_all_budgets_and_null_none() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d"), budget(2, "1w")] })).await;
    assert_eq!(changed(&gw, &config, json!({ "budgets": null })).await["budgets"], config["budgets"]);
    let emptied = changed(&gw, &config, json!({ "budgets": [] })).await;
    assert_eq!((&emptied["budgets"], emptied.get("budget")), (&json!([]), None));
    assert_eq!(gw.get(BUDGETS).await.body["count"], 0);
}

#[tokio::test]
async fn bifrost_case_35_a_budget_of_the_same_length_is_the_same_budget() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d"), budget(2, "1w")] })).await;
    let after = changed(&gw, &config, json!({ "budgets": [budget(9, "7d"), budget(5, "24h")] })).await;
    let [day, week] = [0, 1].map(|nth| &config["budgets"][nth]);
    assert_eq!(ids(&after["budgets"]), [text(week, "id"), text(day, "id")]);
    assert_eq!(budgets(&after), [(9.0, "7d".to_owned()), (5.0, "24h".to_owned())]);
    for (before, after) in [(week, &after["budgets"][0]), (day, &after["budgets"][1])] {
        assert_eq!(after["last_reset"], before["last_reset"]);
        assert_eq!(after["created_at"], before["created_at"]);
        assert_eq!(after["updated_at"], LATER);
    }
}

#[tokio::test]
async fn bifrost_case_36_a_budget_that_is_named_is_the_same_budget() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d"), budget(2, "1w")] })).await;
    let [day, week] = [0, 1].map(|nth| text(&config["budgets"][nth], "id").to_owned());
    // Their lengths change hands: ids go before lengths.
    let swapped = json!([
        { "id": day, "max_limit": 1, "reset_duration": "1w" },
        { "id": week, "max_limit": 2, "reset_duration": "1d" },
    ]);
    let after = changed(&gw, &config, json!({ "budgets": swapped })).await;
    assert_eq!(ids(&after["budgets"]), [day.clone(), week]);
    assert_eq!(budgets(&after), [(1.0, "1w".to_owned()), (2.0, "1d".to_owned())]);
    let twice = json!([
        { "id": day, "max_limit": 1, "reset_duration": "1h" },
        { "id": day, "max_limit": 2, "reset_duration": "2h" },
    ]);
    refused_naming(&put(&gw, &config, json!({ "budgets": twice })).await, 400, &["budgets", "id"]);
}

#[tokio::test]
async fn bifrost_case_37_a_budget_of_another_length_is_another_budget() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d")] })).await;
    let after = changed(&gw, &config, json!({ "budgets": [budget(1, "1d"), budget(30, "1M")] })).await;
    assert_eq!(after["budgets"][0], config["budgets"][0], "what is the same was not even touched");
    assert_ne!(after["budgets"][1]["id"], config["budgets"][0]["id"]);
    assert_eq!(after["budgets"][1]["created_at"], LATER);
}

#[tokio::test]
async fn bifrost_case_38_a_budget_of_nobody_is_refused() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d")] })).await;
    let other = made(&gw, json!({ "model_name": "other", "budgets": [budget(1, "1d")] })).await;
    for id in [NOBODY, text(&other["budgets"][0], "id"), text(&config, "id"), "nobody"] {
        let foreign = json!([{ "id": id, "max_limit": 1, "reset_duration": "1d" }]);
        refused_naming(&put(&gw, &config, json!({ "budgets": foreign })).await, 400, &["budgets", "id"]);
    }
    assert_eq!(read(&gw, &config).await, config);
}

#[tokio::test]
async fn bifrost_case_39_a_rate_limit_without_limits_is_removed_and_null_is_not() {
    for removed in [
        json!({ "rate_limit": {} }),
        json!({ "rate_limit": { "token_max_limit": null, "request_max_limit": null } }),
        json!({ "rate_limit": { "token_max_limit": null, "token_reset_duration": "1h" } }),
        json!({ "rate_limits": [] }),
    ] {
        let (gw, config) = with(json!({ "rate_limit": pair(5, 6) })).await;
        let kept = changed(&gw, &config, json!({ "rate_limit": null })).await;
        assert_eq!(kept["rate_limit"], config["rate_limit"]);
        let after = changed(&gw, &config, removed).await;
        assert_eq!(
            (after.get("rate_limit"), after.get("rate_limit_id"), after.get("rate_limits")),
            (None, None, None)
        );
        assert_eq!(gw.get(RATE_LIMITS).await.body["count"], 0);
    }
}

#[tokio::test]
async fn bifrost_case_40_a_side_that_is_left_out_is_cleared() {
    let (gw, config) = with(json!({ "rate_limit": pair(5, 6) })).await;
    let requests = json!({ "request_max_limit": 7, "request_reset_duration": "1d" });
    let after = changed(&gw, &config, json!({ "rate_limit": requests })).await;
    let limit = &after["rate_limit"];
    assert_eq!((limit.get("token_max_limit"), limit.get("token_reset_duration")), (None, None));
    assert_eq!((&limit["request_max_limit"], &limit["id"]), (&json!(7), &config["rate_limit"]["id"]));
    assert_eq!(limit["token_current_usage"], 0);
    let foreign = json!({ "id": NOBODY, "request_max_limit": 7, "request_reset_duration": "1d" });
    refused_naming(&put(&gw, &config, json!({ "rate_limit": foreign })).await, 400, &["rate_limit", "id"]);
}

#[tokio::test]
async fn rules_of_one_metric_and_length_stay_themselves() {
    let rules = json!([rule("tokens", 5, "1m"), rule("requests", 6, "1m")]);
    let (gw, config) = with(json!({ "rate_limits": rules })).await;
    let before = ids(&config["rate_limits"]);
    let rules = json!([rule("requests", 9, "60s"), rule("requests", 9, "1h"), rule("tokens", 5, "1m")]);
    let after = changed(&gw, &config, json!({ "rate_limits": rules })).await;
    let now = ids(&after["rate_limits"]);
    assert_eq!([&now[0], &now[2]], [&before[1], &before[0]]);
    assert!(!before.contains(&now[1]));
    assert_eq!(after["rate_limits"][0]["request_max_limit"], 9);
    let pair = changed(&gw, &config, json!({ "rate_limit": pair(5, 6) })).await;
    assert_eq!(pair.get("rate_limits"), None, "one form takes the place of the other");
    assert!(!now.contains(&text(&pair, "rate_limit_id").to_owned()));
}

#[tokio::test]
async fn bifrost_case_41_the_scope_is_what_it_is() {
    let gw = Gateway::start().await;
    let user = made(&gw, json!({ "model_name": "*", "scope": "user", "scope_id": "ada" })).await;
    changed(&gw, &user, json!({ "scope": "user", "scope_id": "ada" })).await;
    for (member, value) in
        [("scope", "global"), ("scope", "galaxy"), ("scope_id", "bob"), ("scope_id", ""), ("id", NOBODY)]
    {
        let reply = put(&gw, &user, json!({ member: value })).await;
        refused_naming(&reply, 400, &[member, "cannot change"]);
    }
    let global = made(&gw, json!({ "model_name": "*" })).await;
    changed(&gw, &global, json!({ "scope": "global", "scope_id": "dropped" })).await;
    assert_eq!(read(&gw, &global).await.get("scope_id"), None);
}

#[tokio::test]
async fn bifrost_case_42_what_another_config_is_about_is_taken() {
    let (gw, config) = with(json!({ "provider": "openai" })).await;
    made(&gw, json!({ "model_name": "gpt-4o", "provider": "vertex" })).await;
    made(&gw, json!({ "model_name": "other", "provider": "openai" })).await;
    for taken in [json!({ "provider": "Vertex" }), json!({ "model_name": "other" })] {
        refused_naming(&put(&gw, &config, taken).await, 409, &["global"]);
    }
    for bad in [json!({ "provider": "" }), json!({ "model_name": " " })] {
        refused(&put(&gw, &config, bad.clone()).await, 400, &bad.to_string());
    }
    let after = changed(&gw, &config, json!({ "model_name": " third ", "provider": "Azure" })).await;
    assert_eq!((&after["model_name"], &after["provider"]), (&json!("third"), &json!("azure")));
    made(&gw, json!({ "model_name": "gpt-4o", "provider": "openai" })).await;
}

#[tokio::test]
async fn of_two_updates_to_one_identity_at_once_one_wins() {
    let gw = Gateway::start().await;
    let one = made(&gw, json!({ "model_name": "one" })).await;
    let other = made(&gw, json!({ "model_name": "other" })).await;
    let same = || json!({ "model_name": "same" });
    let (one, other) = tokio::join!(put(&gw, &one, same()), put(&gw, &other, same()));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn a_budget_in_the_older_way_is_the_only_one() {
    let (gw, config) = with(json!({})).await;
    let one = changed(&gw, &config, json!({ "budget": budget(1, "1d") })).await;
    let raised = changed(&gw, &config, json!({ "budget": budget(2, "1d") })).await;
    assert_eq!(
        (ids(&raised["budgets"]), budgets(&raised)),
        (ids(&one["budgets"]), vec![(2.0, "1d".to_owned())])
    );
    changed(&gw, &config, json!({ "budgets": [budget(2, "1d"), budget(3, "1h")] })).await;
    let reply = put(&gw, &config, json!({ "budget": budget(1, "1d") })).await;
    refused_naming(&reply, 400, &["budgets"]);
    assert_eq!(budgets(&read(&gw, &config).await).len(), 2, "none was dropped unseen");
}

#[tokio::test]
async fn both_ways_of_writing_a_budget_have_to_agree() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d"), budget(2, "1w")] })).await;
    let row = |nth: usize, max: u64| {
        let mut row = config["budgets"][nth].clone();
        row["max_limit"] = json!(max);
        row
    };
    for (budget, list) in [
        (row(1, 2), json!([row(0, 1), row(1, 2)])),
        (row(0, 9), json!([row(0, 1), row(1, 2)])),
        (row(0, 1), json!([])),
        (budget(1, "1d"), json!([budget(1, "1d")])),
    ] {
        let reply = put(&gw, &config, json!({ "budget": budget, "budgets": list })).await;
        refused_naming(&reply, 400, &["budget", "budgets"]);
    }
    let raised = json!({ "budget": row(0, 1), "budgets": [row(0, 7), row(1, 2)] });
    assert_eq!(budgets(&changed(&gw, &config, raised).await)[0].0, 7.0, "the list goes before the echo");
    let lines = json!({ "rate_limit": pair(1, 2), "rate_limits": [rule("tokens", 1, "1m")] });
    refused_naming(&put(&gw, &config, lines).await, 400, &["rate_limit", "rate_limits"]);
}

#[tokio::test]
async fn members_that_are_unknown_are_refused_by_name() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1d")] })).await;
    for (body, member) in [
        (json!({ "reset_budget_usage": true }), "reset_budget_usage"),
        (json!({ "budgets": [{ "max_limit": 1, "reset_duration": "1d", "team_id": "x" }] }), "team_id"),
        (json!({ "rate_limit": { "requests": 5 } }), "requests"),
    ] {
        refused_naming(&put(&gw, &config, body).await, 400, &[&format!("`{member}`")]);
    }
    let patch = gw.manage(Method::PATCH, &path_of(&config)).json(&json!({})).send().await;
    refused(&patch, 405, "not the method of this root");
}

#[tokio::test]
async fn turning_the_calendar_on_moves_the_beginning_of_periods_and_nothing_else() {
    let (gw, config) = with(json!({ "budgets": [budget(1, "1M"), budget(1, "36h")] })).await;
    let after = changed(&gw, &config, json!({ "calendar_aligned": true })).await;
    assert_eq!(after["calendar_aligned"], true);
    assert_eq!(ids(&after["budgets"]), ids(&config["budgets"]));
    let begun = |config: &Value| [0, 1].map(|nth| text(&config["budgets"][nth], "last_reset").to_owned());
    assert_eq!(begun(&after), ["2026-05-01T00:00:00.000Z", BEGIN]);
    let off = changed(&gw, &config, json!({ "calendar_aligned": false })).await;
    assert_eq!(begun(&off), [BEGIN, BEGIN]);
}
