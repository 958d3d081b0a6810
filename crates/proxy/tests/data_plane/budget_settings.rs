//! What an operator may choose about budgets, prices and users.

use domain::LineId;
use http::Method;
use serde_json::{Value, json};
use testkit::{BudgetStatus, Gateway, Unpriced};

use crate::support::*;

fn naming(user: &str) -> Value {
    let mut body = chat(M1);
    body["user"] = user.into();
    body
}

#[tokio::test]
async fn where_a_budget_is_429_its_refusals_and_their_decisions_are_and_rate_limits_go_no_further() {
    let gw = Gateway::with(|config| config.limits.budget_status = BudgetStatus::TooManyRequests).await;
    price(&gw).await;
    let customer = buyer(&gw, "cust").await;
    gw.model_config(json!({ "model_name": "*", "budgets": budget(1.0, "1d") })).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    refused(&reply, 429, "budget_exceeded");
    assert_eq!(
        (&reply.body["type"], &reply.body["error"]["type"]),
        (&json!("budget_exceeded"), &json!("billing_error"))
    );
    let decision = format!("/v1/gateway/decisions/{}", reply.header("x-request-id"));
    assert_eq!(gw.get(&decision).await.expect(200).body["status"], 429);
}

#[tokio::test]
async fn what_calls_say_of_their_user_is_ignored_where_it_is_not_trusted() {
    let gw = Gateway::with(|config| config.users.trust_declared = false).await;
    let customer = counted(&gw).await;
    let limit = json!({ "request_max_limit": 1, "request_reset_duration": "1h" });
    gw.model_config(json!({ "model_name": "*", "scope": "user", "scope_id": "ada", "rate_limit": limit }))
        .await;
    for _ in 0..2 {
        let call = gw.chat_request(&customer.key).header("x-user-id", "ada").json(&naming("ada"));
        let reply = call.send().await.expect(200);
        assert_eq!(gw.entry(reply.header("x-request-id")).await.unwrap().user, None);
    }
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let bound = gw.post(&keys, json!({ "user_id": "ada" })).await.expect(200);
    assert_eq!(calls(&gw, bound.body["api_key"].as_str().unwrap(), M1, 2).await, [200, 429]);
}

#[tokio::test]
async fn where_users_are_required_a_call_without_one_is_turned_away_and_charged_nothing() {
    let gw = Gateway::with(|config| config.users.required = true).await;
    let customer = counted(&gw).await;
    let config = gw
        .model_config(json!({ "model_name": "*",
            "rate_limit": { "request_max_limit": 9, "request_reset_duration": "1h" } }))
        .await;
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 400, "missing_user");
    refused(&gw.chat_with(&customer.key, naming("")).await, 400, "missing_user");
    let anthropic = gw.request(Method::POST, "/v1/messages").header("x-api-key", &customer.key);
    let anthropic = anthropic.json(&chat(M1)).send().await.expect(400);
    assert_eq!(anthropic.body["error"]["type"], "invalid_request_error");
    assert_eq!(gw.model.seen().len(), 0);
    assert_eq!(charged(&gw, &customer.id).await, (Value::Null, Value::Null));
    assert_eq!(gw.lines_used(config.id), [0]);
    let decision = format!("/v1/gateway/decisions/{}", reply.header("x-request-id"));
    assert_eq!(gw.get(&decision).await.expect(200).body["code"], "missing_user");
    let models = gw.request(Method::GET, "/v1/models").header("x-api-key", &customer.key);
    models.send().await.expect(200);
    gw.chat_with(&customer.key, naming("ada")).await.expect(200);
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let bound = gw.post(&keys, json!({ "user_id": "ada" })).await.expect(200);
    gw.chat(bound.body["api_key"].as_str().unwrap(), M1).await.expect(200);
    assert_eq!(gw.lines_used(config.id), [2]);
}

#[tokio::test]
async fn where_unpriced_calls_are_allowed_they_cost_nothing_and_are_booked_without_a_cost() {
    let gw = Gateway::with(|config| config.prices.unpriced = Unpriced::Allow).await;
    price(&gw).await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget(0.6, "1d") })).await;
    let reply = gw.chat(&customer.key, M1).await.expect(200);
    let entry = gw.entry(reply.header("x-request-id")).await.unwrap();
    assert_eq!((entry.cost, entry.price), (None, None));
    let charged: Vec<LineId> = entry.lines.iter().map(|(line, _)| *line).collect();
    assert_eq!((gw.spent(&config), charged), (0, vec![config.budgets[0].id]));
    assert_eq!(buy(&gw, &customer.key).await, 200);
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 402, "budget_exceeded");
}
