//! Model configs that are edited while calls run, and what survives a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::ModelConfig;
use modelsim::End;
use serde_json::{Value, json};
use testkit::{Gateway, Script, Streaming};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A budget on the priced slug.
async fn limited(gw: &Gateway, dollars: f64, length: &str) -> Arc<ModelConfig> {
    gw.model_config(json!({ "model_name": PRICED, "budgets": budget(dollars, length) })).await
}

/// A call of sixty cents that has come as far as its second event and waits there.
async fn under_way(gw: &Gateway, key: &str) -> Streaming {
    gw.model.set(Script::ending(End::StallAfter(3)));
    let mut body = sixty_cents(PRICED);
    body["stream"] = true.into();
    let mut call = gw.chat_request(key).json(&body).open().await;
    call.piece().await.unwrap();
    gw.model.set(Script::default());
    call
}

#[tokio::test]
async fn bifrost_case_91_raising_a_budget_lets_calls_through_at_once_and_lowering_it_stops_them() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 0.6, "1d").await;
    let mut statuses = Vec::new();
    for dollars in [0.6, 1.2, 0.1, 1.8, 1.2] {
        gw.change_config(&config, json!({ "budgets": budget(dollars, "1d") })).await;
        statuses.push((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await));
    }
    assert_eq!(statuses, [(200, 402), (200, 402), (402, 402), (200, 402), (402, 402)]);
    assert_eq!(gw.spent(&config), 3 * SIXTY_CENTS, "no edit changes what is used");
}

/// Calls without a pause until told to stop; how many were made.
async fn call_on(gw: Arc<Gateway>, key: String, stop: Arc<AtomicBool>) -> usize {
    let mut made = 0;
    while !stop.load(Ordering::SeqCst) {
        let status = buy(&gw, &key).await;
        assert!([200, 402].contains(&status), "{status}");
        made += 1;
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_is_admitted_at_an_old_threshold_once_an_edit_has_answered() {
    let gw = Arc::new(priced().await);
    let (one, other) = (buyer(&gw, "one").await, buyer(&gw, "other").await);
    let scopes = [
        json!({}),
        json!({ "scope": "group", "scope_id": one.id }),
        json!({ "scope": "virtual_key", "scope_id": prefix(&one.key) }),
    ];
    for scope in scopes {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = [&one.key, &other.key, &one.key]
            .map(|key| tokio::spawn(call_on(Arc::clone(&gw), key.clone(), Arc::clone(&stop))));
        let about = |budgets: Value| {
            let mut body = scope.clone();
            (body["model_name"], body["budgets"]) = ("*".into(), budgets);
            body
        };
        for _ in 0..8 {
            let config = gw.model_config(about(budget(0.000_000_001, "1d"))).await;
            assert_eq!(buy(&gw, &one.key).await, 402, "made: {scope}");
            gw.change_config(&config, about(budget(1_000_000.0, "1d"))).await;
            assert_eq!(buy(&gw, &one.key).await, 200, "raised: {scope}");
            gw.change_config(&config, about(budget(0.000_000_001, "1d"))).await;
            assert_eq!(buy(&gw, &one.key).await, 402, "lowered: {scope}");
            gw.delete_config(&config).await;
            assert_eq!(buy(&gw, &one.key).await, 200, "deleted: {scope}");
        }
        stop.store(true, Ordering::SeqCst);
        for caller in callers {
            assert!(caller.await.unwrap() > 0);
        }
    }
}

/// Edits a config again and again: other thresholds, other durations, lines that come and go, and resets.
async fn edit_on(gw: &Gateway, config: &ModelConfig) {
    let lines = [
        json!([{ "max_limit": 500, "reset_duration": "1d" }]),
        json!([{ "max_limit": 500, "reset_duration": "1d" }, { "max_limit": 900, "reset_duration": "1M" }]),
        json!([{ "max_limit": 700, "reset_duration": "24h" }, { "max_limit": 900, "reset_duration": "2M" }]),
        json!([{ "max_limit": 0.5, "reset_duration": "2d" }, { "max_limit": 900, "reset_duration": "1M" }]),
    ];
    for round in 0..40 {
        let now = gw
            .change_config(config, json!({ "budgets": lines[round % 4], "calendar_aligned": round % 3 == 0 }))
            .await;
        if round % 5 == 0 {
            gw.reset_budget(&now, now.budgets[0].id).await;
            gw.reset_rate_limit(&now, now.rate_limits.iter().next().unwrap().id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_edited_while_calls_run_a_restart_finds_what_the_counters_held() {
    let mut gw = Arc::new(priced().await);
    let (one, other) = (buyer(&gw, "one").await, buyer(&gw, "other").await);
    let limits = json!({ "request_max_limit": 100_000, "request_reset_duration": "1d",
        "token_max_limit": 100_000_000, "token_reset_duration": "1w" });
    let about = |scope: Value| {
        let mut body = scope;
        (body["model_name"], body["budgets"]) = ("*".into(), budget(500.0, "1d"));
        body["rate_limit"] = limits.clone();
        body
    };
    let of_group = gw.model_config(about(json!({ "scope": "group", "scope_id": one.id }))).await;
    let of_all = gw.model_config(about(json!({}))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers = [&one.key, &other.key, &one.key, &other.key]
        .map(|key| tokio::spawn(call_on(Arc::clone(&gw), key.clone(), Arc::clone(&stop))));
    tokio::join!(edit_on(&gw, &of_group), edit_on(&gw, &of_all));
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    gw.quiet().await;
    for config in [&of_group, &of_all] {
        gw.change_config(config, json!({ "budgets": budget(10_000.0, "1d") })).await;
    }
    assert_eq!(buy(&gw, &one.key).await, 200);
    let live = [&of_group, &of_all].map(|config| gw.lines_used(config.id));
    assert!(live.iter().flatten().all(|used| *used > 0), "{live:?}");
    let stopped = Arc::get_mut(&mut gw).expect("nobody else has it");
    stopped.restart().await;
    assert_eq!([&of_group, &of_all].map(|config| gw.lines_used(config.id)), live);
}

#[tokio::test]
async fn a_config_that_is_made_counts_no_call_that_was_under_way() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let call = under_way(&gw, &customer.key).await;
    let config = limited(&gw, 0.6, "1d").await;
    drop(call);
    gw.quiet().await;
    assert_eq!(gw.spent(&config), 0);
    assert_eq!(buy(&gw, &customer.key).await, 200);
}

#[tokio::test]
async fn what_a_deleted_config_counted_is_gone_and_calls_under_way_end_as_ever() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 0.6, "1d").await;
    let call = under_way(&gw, &customer.key).await;
    gw.delete_config(&config).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    let again = limited(&gw, 0.6, "1d").await;
    drop(call);
    gw.quiet().await;
    assert_eq!(gw.spent(&again), 0);
    assert_eq!(gw.entries().await.len(), 2);
}

#[tokio::test]
async fn bifrost_case_36_another_duration_keeps_what_is_used_on_the_call_path_and_over_a_restart() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 1.2, "1h").await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.clock.advance(Duration::from_secs(600));
    let line = config.budgets[0].id.to_string();
    let longer = json!([{ "id": line, "max_limit": 1.2, "reset_duration": "2d" }]);
    gw.change_config(&config, json!({ "budgets": longer })).await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
    gw.clock.advance(2 * HOUR);
    assert_eq!(gw.spent(&config), SIXTY_CENTS, "an hour is no end any more");
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    gw.restart().await;
    assert_eq!(gw.spent(&config), 2 * SIXTY_CENTS);
    gw.clock.advance(46 * HOUR);
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (0, 200));
}

#[tokio::test]
async fn bifrost_case_90_turning_alignment_on_keeps_what_is_used() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 1.2, "1d").await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.change_config(&config, json!({ "calendar_aligned": true })).await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
    let reply = {
        assert_eq!(buy(&gw, &customer.key).await, 200);
        gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(402)
    };
    assert_eq!(reply.body["error"]["limit"]["resets_at"], "2026-05-14T00:00:00Z");
    gw.clock.advance(12 * HOUR);
    assert_eq!(buy(&gw, &customer.key).await, 200);
}

#[tokio::test]
async fn a_reset_forgets_what_is_used_and_keeps_what_is_held() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 1.2, "1d").await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    let call = under_way(&gw, &customer.key).await;
    assert_eq!(buy(&gw, &customer.key).await, 402);
    gw.reset_budget(&config, config.budgets[0].id).await;
    assert_eq!(gw.spent(&config), 0);
    assert_eq!(
        (buy(&gw, &customer.key).await, buy(&gw, &customer.key).await),
        (200, 402),
        "one is held still"
    );
    drop(call);
    gw.quiet().await;
    let spent = gw.spent(&config);
    assert!(spent > SIXTY_CENTS && spent < 2 * SIXTY_CENTS, "{spent}: what was seen of it");
    gw.restart().await;
    assert_eq!(gw.spent(&config), spent);
    gw.reset_budget(&config, config.budgets[0].id).await;
    assert_eq!(
        (gw.spent(&config), buy(&gw, &customer.key).await),
        (0, 200),
        "no call had opened its counter"
    );
    gw.restart().await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
}

#[tokio::test]
async fn a_reset_of_a_rate_limit_forgets_requests_and_tokens() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let limit = json!({ "request_max_limit": 1, "request_reset_duration": "1h",
        "token_max_limit": 30, "token_reset_duration": "1h" });
    let config = gw.model_config(json!({ "model_name": "*", "rate_limit": limit })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    assert_eq!(gw.lines_used(config.id), [1, 19]);
    gw.reset_rate_limit(&config, config.rate_limits.iter().next().unwrap().id).await;
    assert_eq!(gw.lines_used(config.id), [0, 0]);
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
}

#[tokio::test]
async fn bifrost_case_37_a_new_monthly_line_begins_with_what_the_daily_one_has_used() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = limited(&gw, 1.2, "1d").await;
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 200));
    let both = json!([
        { "max_limit": 6, "reset_duration": "1d" }, { "max_limit": 1.8, "reset_duration": "1M" },
        { "max_limit": 6, "reset_duration": "1h" },
    ]);
    gw.change_config(&config, json!({ "budgets": both })).await;
    let two = 2 * SIXTY_CENTS;
    assert_eq!(gw.lines_used(config.id), [two, two, 0]);
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    gw.restart().await;
    assert_eq!(gw.lines_used(config.id), [two + SIXTY_CENTS, two + SIXTY_CENTS, SIXTY_CENTS]);
    gw.clock.advance(24 * HOUR);
    assert_eq!(gw.lines_used(config.id), [0, two + SIXTY_CENTS, 0]);
    assert_eq!(buy(&gw, &customer.key).await, 402);
}
