//! Periods of budgets: where they begin anew, over restarts and whatever the clock does.

use std::time::Duration;

use serde_json::json;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn bifrost_case_101_budgets_keep_what_is_used_over_a_restart_and_roll_over_while_stopped() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw.model_config(json!({ "model_name": PRICED, "budgets": budget(1.2, "1d") })).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.restart().await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    gw.clock.advance(HOUR);
    gw.restart().await;
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (2 * SIXTY_CENTS, 402));
    gw.stop().await;
    gw.clock.advance(23 * HOUR);
    gw.restart().await;
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (0, 200));
    gw.restart().await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
}

#[tokio::test]
async fn a_clock_that_was_set_back_over_a_restart_gives_no_budget_back() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let config = gw
        .model_config(json!({ "model_name": "*", "calendar_aligned": true, "budgets": budget(1.8, "1d") }))
        .await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    // To half past midnight of the next day, and back to the evening before.
    gw.clock.advance(12 * HOUR + HOUR / 2);
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (0, 200));
    gw.stop().await;
    gw.clock.set_back(2 * HOUR);
    gw.restart().await;
    assert_eq!(gw.spent(&config), SIXTY_CENTS);
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.restart().await;
    assert_eq!(gw.spent(&config), 2 * SIXTY_CENTS, "what was used after it is known, too");
    gw.clock.set_back(24 * HOUR);
    gw.restart().await;
    gw.reset_budget(&config, config.budgets[0].id).await;
    gw.restart().await;
    assert_eq!(gw.spent(&config), 0);
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_calls_run_gives_no_budget_back() {
    let mut gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let aligned =
        |dollars| json!({ "model_name": "*", "calendar_aligned": true, "budgets": budget(dollars, "1d") });
    let config = gw.model_config(aligned(1.8)).await;
    gw.clock.advance(12 * HOUR + HOUR / 2);
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.set_clock_back(2 * HOUR);
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (SIXTY_CENTS, 200));
    gw.restart().await;
    assert_eq!(gw.spent(&config), 2 * SIXTY_CENTS);
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    gw.clock.advance(2 * HOUR);
    assert_eq!((gw.spent(&config), buy(&gw, &customer.key).await), (0, 200));
}

#[tokio::test]
async fn bifrost_case_86_aligned_lengths_begin_anew_where_the_calendar_does() {
    // From Wednesday, 2026-05-13T12:00:00Z.
    for (length, hours) in [
        ("1d", 12),
        ("1w", 4 * 24 + 12),
        ("1M", 18 * 24 + 12),
        ("monthly", 18 * 24 + 12),
        ("1Y", 232 * 24 + 12),
    ] {
        let gw = priced().await;
        let customer = buyer(&gw, "cust").await;
        let aligned = json!({ "model_name": "*", "calendar_aligned": true, "budgets": budget(0.6, length) });
        gw.model_config(aligned).await;
        assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402), "{length}");
        gw.clock.advance(hours * HOUR - Duration::from_millis(1));
        assert_eq!(buy(&gw, &customer.key).await, 402, "{length}");
        gw.clock.advance(Duration::from_millis(1));
        assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402), "{length}");
    }
}

#[tokio::test]
async fn bifrost_case_87_an_aligned_month_is_enforced_on_its_last_days() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    let aligned = json!({ "model_name": "*", "calendar_aligned": true, "budgets": budget(0.6, "1M") });
    gw.model_config(aligned).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    for _ in 14..=31 {
        gw.clock.advance(24 * HOUR);
        assert_eq!(buy(&gw, &customer.key).await, 402);
    }
    gw.clock.advance(12 * HOUR);
    assert_eq!(buy(&gw, &customer.key).await, 200, "the first of June");
}

#[tokio::test]
async fn bifrost_case_88_an_hour_runs_from_the_making_of_its_line_aligned_or_not() {
    let gw = priced().await;
    let customer = buyer(&gw, "cust").await;
    gw.clock.advance(HOUR / 2);
    let aligned = json!({ "model_name": "*", "calendar_aligned": true, "budgets": budget(0.6, "1h") });
    gw.model_config(aligned).await;
    assert_eq!(buy(&gw, &customer.key).await, 200);
    gw.clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(buy(&gw, &customer.key).await, 402);
    // A late look leaves the boundaries where they are (case 85).
    gw.clock.advance(HOUR / 2);
    assert_eq!((buy(&gw, &customer.key).await, buy(&gw, &customer.key).await), (200, 402));
    gw.clock.advance(HOUR / 2 + Duration::from_millis(1));
    assert_eq!(buy(&gw, &customer.key).await, 200);
}
