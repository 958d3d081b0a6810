//! Calls and a process that ends in the middle of them: what is billed, and what limits remember.

use std::fs;
use std::time::Duration;

use domain::{Admission, Outcome, UsageSource};
use serde_json::json;
use testkit::{Act, End, Gateway, LedgerSync, Script};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// A gateway that does not wait for calls in flight when it is stopped.
async fn hasty(admission: Admission) -> Gateway {
    Gateway::with(|config| {
        config.server.shutdown_grace = Duration::from_millis(1);
        config.limits.admission = admission;
    })
    .await
}

/// Sends a call and reads nothing of its answer.
async fn begin(gw: &Gateway, key: &str, body: &serde_json::Value) -> Raw {
    let body = body.to_string();
    let mut raw = Raw::open(gw).await;
    let head = chat_head(key, &format!("content-length: {}\r\n", body.len()));
    raw.send(head + &body).await;
    until("the model server has the call", || gw.model.served().started == 1).await;
    raw
}

#[tokio::test]
async fn a_call_under_way_when_the_process_is_killed_is_billed_once_with_what_it_held() {
    let mut gw = hasty(Admission::Estimate).await;
    let customer = counted(&gw).await;
    gw.model.set(Script { act: Act::Hang, ..Script::default() });
    let raw = begin(&gw, &customer.key, &streamed(M1)).await;
    gw.kill_and_restart().await;
    drop(raw);
    gw.restart().await;
    let lines = gw.entries().await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!((line.outcome, line.usage.source), (Outcome::Recovered, UsageSource::Recovered));
    assert_eq!((line.usage.output, line.sequence), (9, Some(1)));
    let (requests, tokens) = charged(&gw, &customer.id).await;
    assert_eq!((requests, tokens), (json!(1), json!(line.usage.total())));
}

#[tokio::test]
async fn what_a_stream_in_hard_was_topped_up_with_is_billed_if_its_end_is_never_known() {
    let mut gw = hasty(Admission::Hard).await;
    let customer = counted(&gw).await;
    gw.model.set(Script { completion_tokens: 1_000, end: End::StallAfter(500), ..Script::default() });
    let mut body = streamed(M1);
    body["max_tokens"] = 5_000.into();
    let mut raw = begin(&gw, &customer.key, &body).await;
    let mut text = String::new();
    while text.matches("word").count() < 450 {
        text += &raw.piece().await;
    }
    gw.kill_and_restart().await;
    let line = gw.entries().await.remove(0);
    assert_eq!(line.outcome, Outcome::Recovered);
    assert!((450..5_000).contains(&line.usage.output), "{:?}", line.usage);
}

#[tokio::test]
async fn rolling_windows_go_on_where_they_were_after_a_restart_and_after_a_kill() {
    for limit in [("REQUEST", "MINUTE", 3), ("REQUEST", "MINUTE", 100), ("TOKEN", "MINUTE", 60)] {
        for kill in [false, true] {
            let mut gw = Gateway::start().await;
            let key = gw.customer("cust", models(M1, &[limit])).await.key;
            let before = if limit.2 == 100 { 97 } else { 0 };
            for _ in 0..before + 3 {
                gw.chat(&key, M1).await.expect(200);
            }
            gw.clock.advance(40 * SECOND);
            if kill {
                gw.kill_and_restart().await;
            } else {
                gw.restart().await;
            }
            let refused = gw.chat(&key, M1).await.expect(429);
            assert_eq!(refused.header("retry-after"), "20", "{limit:?}");
            gw.clock.advance(20 * SECOND);
            gw.chat(&key, M1).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_call_under_way_at_a_kill_counts_in_rolling_windows_from_when_its_tokens_were_or_would_be_charged()
{
    for (admission, threshold, seconds) in
        [(Admission::Estimate, 25, 15..=21), (Admission::Observed, 5, 60..=61)]
    {
        let mut gw = hasty(admission).await;
        let key = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", threshold)])).await.key;
        gw.model.set(Script { act: Act::Hang, ..Script::default() });
        let raw = begin(&gw, &key, &streamed(M1)).await;
        gw.clock.advance(40 * SECOND);
        gw.kill_and_restart().await;
        drop(raw);
        let refused = gw.chat(&key, M1).await.expect(429);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!(seconds.contains(&wait), "{admission:?}: {wait}");
    }
}

#[tokio::test]
async fn where_the_disk_takes_no_more_calls_are_answered_503_and_those_that_ran_are_recorded() {
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let customer = counted(&gw).await;
    gw.chat(&customer.key, M1).await.expect(200);
    // No file can be made in a folder that is not there.
    fs::remove_dir_all(gw.dir().join("journal")).unwrap();
    let mut served = 1;
    let refused = loop {
        let reply = gw.chat(&customer.key, M1).await;
        if reply.status != 200 {
            break reply;
        }
        served += 1;
        assert!(served < 10_000, "the journal has no end");
    };
    assert_eq!(refused.status, 503);
    assert_eq!(gw.model.served().started, served, "nothing went upstream that was not written down");
    assert_eq!(charged(&gw, &customer.id).await.0, json!(served), "and nothing is charged for it");
    assert_eq!(gw.node().in_flight(), 0);
    fs::create_dir(gw.dir().join("journal")).unwrap();
    while gw.chat(&customer.key, M1).await.status != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gw.entries().await.len(), usize::try_from(served + 1).unwrap().min(1_000));
}

#[tokio::test]
async fn where_the_operator_wants_it_the_end_of_every_answer_is_on_the_disk_before_its_last_byte() {
    let gw = Gateway::with(|config| config.ledger.sync = LedgerSync::Always).await;
    let customer = counted(&gw).await;
    for call in [chat(M1), streamed(M1), chat(M1), streamed(M1)] {
        let reply = gw.chat_with(&customer.key, call).await.expect(200);
        assert_eq!(gw.store().journal_use().unsynced_bytes, 0);
        assert!(!reply.text.is_empty());
    }
    gw.model.set(Script::failing(500, "{}"));
    gw.chat(&customer.key, M1).await.expect(500);
    assert_eq!(gw.store().journal_use().unsynced_bytes, 0);
    let lines = gw.entries().await;
    assert_eq!((lines.len(), lines.iter().all(|line| line.attempts == 1)), (5, true));
}
