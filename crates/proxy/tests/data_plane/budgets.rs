//! Budgets in USD: what they admit, to the nano-dollar, however many calls come at once.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use modelsim::End;
use serde_json::json;
use testkit::{Gateway, Script};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bifrost_case_70_of_fifty_calls_at_once_a_budget_admits_what_it_has_room_for_to_the_nano_dollar() {
    let gw = Arc::new(priced().await);
    let customer = buyer(&gw, "cust").await;
    let budget = json!([{ "max_limit": 10, "reset_duration": "1M" }]);
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
    let replies = buy_at_once(&gw, &[(&customer.key, 50)]).await;
    assert_eq!(bought(&replies), 16);
    assert_eq!(gw.spent(&config), 16 * SIXTY_CENTS);
    refused(&gw.chat_with(&customer.key, sixty_cents(PRICED)).await, 402, "budget_exceeded");
}

#[tokio::test]
async fn bifrost_case_83_a_refusal_names_config_budget_amount_and_reset_time() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let budget = json!([{ "max_limit": 0.7, "reset_duration": "1h" }]);
    let config = gw
        .model_config(
            json!({ "model_name": "*", "scope": "group", "scope_id": customer.id, "budgets": budget }),
        )
        .await;
    gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    refused(&reply, 402, "budget_exceeded");
    assert_eq!(reply.body["type"], "budget_exceeded");
    assert_eq!(reply.body["error"]["type"], "billing_error");
    let (id, line) = (config.id.to_string(), config.budgets[0].id.to_string());
    let note = &reply.body["error"]["limit"];
    let resets_at = note["resets_at"].as_str().unwrap();
    assert_eq!(
        *note,
        json!({
            "type": "USD", "unit": "PERIOD", "window": "1h", "threshold": 0.7, "scope": "model_config",
            "model_config_id": id, "budget_id": line, "used": 0.6, "resets_at": resets_at, "retry_after_s": 3_600,
        })
    );
    let resets: jiff::Timestamp = resets_at.parse().unwrap();
    assert_eq!(u64::try_from(resets.as_millisecond()).unwrap(), config.created_ms + 3_600_000);
    let message = reply.body["error"]["message"].as_str().unwrap();
    for part in ["0.6 USD", "0.7 USD per 1h", PRICED, &id, &line, resets_at] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(reply.header("retry-after"), "3600");
    assert_eq!(reply.header("x-should-retry"), "false", "no SDK should sleep for an hour");
    gw.clock.advance(HOUR);
    gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
    assert_eq!(gw.spent(&config), SIXTY_CENTS, "of the new period");
}

#[tokio::test]
async fn a_budget_that_everybody_shares_tells_nobody_what_is_used() {
    for reveal in [false, true] {
        let gw = Gateway::with(|config| config.limits.reveal_ancestors = reveal).await;
        price(&gw).await;
        let (one, other) = (buyer(&gw, "one").await, buyer(&gw, "other").await);
        let budget = json!([{ "max_limit": 1, "reset_duration": "1d" }]);
        gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
        gw.chat_with(&one.key, sixty_cents(PRICED)).await.expect(200);
        let reply = gw.chat_with(&other.key, sixty_cents(PRICED)).await;
        refused(&reply, 402, "budget_exceeded");
        let used = reply.body["error"]["limit"].get("used");
        assert_eq!(used, reveal.then_some(&json!(0.6)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bifrost_case_73_budgets_and_limits_of_a_whole_path_are_charged_by_one_call_and_any_of_them_blocks() {
    let gw = Arc::new(priced().await);
    let mut ids: Vec<String> = Vec::new();
    let limits = [("REQUEST", "DAY", 1_000), ("TOKEN", "DAY", 1_000_000)];
    for level in 0..4 {
        let parent = ids.last().cloned();
        let name = format!("level-{level}");
        ids.push(gw.group(&name, models(PRICED, &limits), "CASCADING", parent.as_deref()).await);
    }
    let leaf = gw.member("leaf", models(PRICED, &limits), "CASCADING", ids.last().map(String::as_str)).await;
    let mut scopes = vec![json!({}), json!({ "scope": "virtual_key", "scope_id": prefix(&leaf.key) })];
    scopes.push(json!({ "scope": "user", "scope_id": "ada" }));
    scopes.extend(ids.iter().map(|id| json!({ "scope": "group", "scope_id": id })));
    let mut configs = Vec::new();
    for (nth, scope) in scopes.into_iter().enumerate() {
        // The fourth one is the tightest.
        let dollars = if nth == 3 { 6 } else { 100 };
        let mut body = scope;
        body["model_name"] = if nth % 2 == 0 { "*" } else { PRICED }.into();
        body["budgets"] = json!([{ "max_limit": dollars, "reset_duration": "1w" }]);
        body["rate_limit"] = json!({
            "request_max_limit": 1_000, "request_reset_duration": "1h",
            "token_max_limit": 100_000, "token_reset_duration": "1h",
        });
        configs.push(gw.model_config(body).await);
    }
    let mut body = sixty_cents(PRICED);
    body["user"] = "ada".into();
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (gw, key, body) = (Arc::clone(&gw), leaf.key.clone(), body.clone());
        under_way.spawn(async move { gw.chat_with(&key, body).await });
    }
    let replies = under_way.join_all().await;
    assert_eq!(bought(&replies), 10);
    let tightest = configs[3].id.to_string();
    for reply in replies.iter().filter(|reply| reply.status == 402) {
        assert_eq!(reply.body["error"]["limit"]["model_config_id"], tightest, "{}", reply.text);
    }
    for config in &configs {
        assert_eq!(gw.lines_used(config.id), [10, 10 * 16, 10 * SIXTY_CENTS], "{:?}", config.identity);
    }
    for group in ids.iter().chain([&leaf.id]) {
        assert_eq!(gw.used(group, PRICED, "REQUEST").await, 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_trees_share_one_global_budget_at_once() {
    let gw = Arc::new(priced().await);
    let (one, other) = (buyer(&gw, "one").await, buyer(&gw, "other").await);
    let budget = json!([{ "max_limit": 10, "reset_duration": "1d" }]);
    let config = gw.model_config(json!({ "model_name": "*", "budgets": budget })).await;
    let replies = buy_at_once(&gw, &[(&one.key, 25), (&other.key, 25)]).await;
    assert_eq!(bought(&replies), 16);
    assert_eq!(gw.spent(&config), 16 * SIXTY_CENTS);
}

#[tokio::test]
async fn bifrost_case_68_observed_admits_while_there_is_room_and_charges_afterwards() {
    let gw = priced().await;
    let mut observed = model(PRICED, &[]);
    observed["admission"] = "observed".into();
    let customer = gw.customer("cust", json!([observed])).await;
    let budget = json!([{ "max_limit": 1, "reset_duration": "1d" }]);
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
    for _ in 0..2 {
        gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
    }
    refused(&gw.chat_with(&customer.key, sixty_cents(PRICED)).await, 402, "budget_exceeded");
    assert_eq!(gw.spent(&config), 2 * SIXTY_CENTS);
}

#[tokio::test]
async fn bifrost_case_71_where_a_rate_limit_and_a_budget_refuse_it_is_429() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let limits = json!({
        "model_name": PRICED,
        "budgets": [{ "max_limit": 0.6, "reset_duration": "1M" }],
        "rate_limit": { "request_max_limit": 1, "request_reset_duration": "1h" },
    });
    let config = gw.model_config(limits).await;
    gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    refused(&reply, 429, "rate_limit_exceeded");
    assert_eq!(reply.body["type"], "request_limited");
    assert!(reply.body["error"]["message"].as_str().unwrap().contains("the limit of 1 request per 1h"));
    // The budget lets it pass a month later, and so does the path.
    assert_eq!(reply.header("retry-after"), (30 * 86_400).to_string());
    let note = &reply.body["error"]["limit"];
    let rate = config.rate_limits.iter().next().unwrap().id.to_string();
    assert_eq!((&note["rate_limit_id"], &note["unit"]), (&json!(rate), &json!("PERIOD")));
    assert!(note.get("budget_id").is_none());
    gw.clock.advance(HOUR);
    refused(&gw.chat_with(&customer.key, sixty_cents(PRICED)).await, 402, "budget_exceeded");
}

#[tokio::test]
async fn bifrost_case_76_of_two_budgets_the_tighter_one_blocks_though_the_other_has_room() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let budgets = json!([
        { "max_limit": 1, "reset_duration": "1d" }, { "max_limit": 1.8, "reset_duration": "1M" },
    ]);
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budgets })).await;
    let mut by = Vec::new();
    for _ in 0..3 {
        gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
        let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
        refused(&reply, 402, "budget_exceeded");
        by.push(reply.body["error"]["limit"]["budget_id"].as_str().unwrap().to_owned());
        gw.clock.advance(24 * HOUR);
    }
    let [day, month] = [0, 1].map(|nth| config.budgets[nth].id.to_string());
    assert_eq!(by, [day.clone(), day, month]);
    assert_eq!(gw.lines_used(config.id), [0, 3 * SIXTY_CENTS]);
}

#[tokio::test]
async fn what_never_fits_a_budget_is_402_without_a_time() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let budget = json!([{ "max_limit": 0.599_999_999, "reset_duration": "1d" }]);
    gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    refused(&reply, 402, "budget_exceeded");
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("", "false"));
    assert!(reply.body["error"]["limit"].get("retry_after_s").is_none());
    assert_eq!(gw.model.seen().len(), 0, "nothing went upstream");
}

#[tokio::test]
async fn an_anthropic_caller_hears_of_a_budget_in_its_own_dialect() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let budget = json!([{ "max_limit": 0.7, "reset_duration": "1d" }]);
    gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
    let call = || gw.request(Method::POST, "/v1/messages").header("x-api-key", &customer.key);
    call().json(&sixty_cents(PRICED)).send().await.expect(200);
    let reply = call().json(&sixty_cents(PRICED)).send().await.expect(402);
    assert_eq!(
        (&reply.body["type"], &reply.body["error"]["type"]),
        (&json!("error"), &json!("billing_error"))
    );
    assert_eq!(reply.header("retry-after"), "86400");
}

#[tokio::test]
async fn a_call_that_waits_for_others_in_flight_is_told_to_try_again_at_once() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let budget = json!([{ "max_limit": 1, "reset_duration": "1d" }]);
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budget })).await;
    gw.model.set(Script::ending(End::StallAfter(2)));
    let mut body = sixty_cents(PRICED);
    body["stream"] = true.into();
    let mut held = gw.chat_request(&customer.key).json(&body).open().await;
    held.piece().await.unwrap();
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    refused(&reply, 402, "budget_exceeded");
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("1", "true"));
    assert_eq!(gw.spent(&config), 0, "what is held is not used");
    drop(held);
    gw.quiet().await;
    gw.model.set(Script::default());
    gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
}

#[tokio::test]
async fn a_failed_call_costs_nothing_and_keeps_its_request() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw
        .model_config(json!({
            "model_name": PRICED,
            "budgets": [{ "max_limit": 0.6, "reset_duration": "1d" }],
            "rate_limit": { "request_max_limit": 9, "request_reset_duration": "1d",
                "token_max_limit": 900, "token_reset_duration": "1d" },
        }))
        .await;
    gw.model.set(Script::failing(500, "{}"));
    for _ in 0..3 {
        gw.chat_with(&customer.key, sixty_cents(PRICED)).await;
    }
    assert_eq!(gw.lines_used(config.id), [3, 0, 0]);
    let entries = gw.entries().await;
    assert!(entries.iter().all(|entry| entry.cost == Some(domain::Usd::ZERO)), "{entries:?}");
}

#[tokio::test]
async fn the_decision_on_a_call_that_a_budget_refused_tells_how_it_stood_and_survives_a_restart() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budget(1.0, "1d") })).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(402);
    let path = format!("/v1/gateway/decisions/{}", reply.header("x-request-id"));
    let told = gw.get(&path).await.expect(200);
    let row = json!({
        "slug": PRICED, "type": "USD", "unit": "PERIOD", "window": "1d", "threshold": 1, "scope": "model_config",
        "model_config_id": config.id.to_string(), "budget_id": config.budgets[0].id.to_string(),
        "used": 0.6, "pending": 0, "debt": 0, "remaining": 0.4, "resets_at": "2026-05-14T12:00:00.000Z",
        "next_capacity_at": "2026-05-14T12:00:00.000Z", "fits": false, "passes_at": "2026-05-14T12:00:00.000Z",
    });
    assert_eq!((&told.body["limits"], &told.body["binding"]), (&json!([row]), &json!(0)));
    assert_eq!((&told.body["code"], &told.body["hold"]["usd"]), (&json!("budget_exceeded"), &json!(0.6)));
    gw.restart().await;
    assert_eq!(gw.get(&path).await.expect(200).body, told.body);
}
