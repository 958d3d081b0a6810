//! How much waits, what is remembered, and what a webhook that is deleted leaves.

use std::time::Duration;

use domain::Clock as _;
use serde_json::json;
use testkit::Answering;
use webhooks::Ending;

use crate::support::Billed;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn the_numbers_tell_what_waits_since_when_and_what_was_given_up() {
    let billed = Billed::start().await;
    let numbers = || async { billed.gw.store().outbox_numbers().await.unwrap() };
    assert_eq!(numbers().await, storage::OutboxNumbers::default());
    let began_ms = billed.gw.clock.now().wall_ms;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    billed.gw.attempted(1, 1).await;
    billed.gw.pass(Duration::from_millis(500));
    billed.receiver.answer(Answering::Status(410));
    billed.call().await;
    billed.gw.attempted(2, 1).await;
    let seen = numbers().await;
    assert_eq!((seen.undelivered, seen.oldest_ms, seen.dead_letters), (1, Some(began_ms), 1));

    billed.receiver.answer(Answering::Status(200));
    billed.gw.pass(Duration::from_secs(1));
    billed.gw.attempted(1, 2).await;
    let seen = numbers().await;
    assert_eq!((seen.undelivered, seen.oldest_ms, seen.dead_letters), (0, None, 1));
    let tally = |ending| billed.gw.node().deliveries().of(ending);
    assert_eq!([Ending::Failed, Ending::Refused, Ending::Delivered].map(tally), [1, 1, 1]);
}

#[tokio::test]
async fn what_arrived_is_remembered_for_a_week_and_a_dead_letter_until_it_is_redriven() {
    let billed = Billed::start().await;
    billed.call().await;
    billed.gw.attempted(1, 1).await;
    billed.receiver.answer(Answering::Status(400));
    billed.call().await;
    billed.gw.attempted(2, 1).await;
    let workspace = billed.gw.store().snapshot().workspaces().next().unwrap().id;
    let store = billed.gw.store();
    let known = |sequence| async move { store.delivery_attempts(workspace, sequence).await.unwrap().len() };
    billed.gw.pass(7 * DAY - Duration::from_secs(1));
    billed.call().await;
    billed.gw.attempted(3, 1).await;
    assert_eq!(known(1).await, 1);
    billed.gw.pass(DAY);
    while known(1).await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((known(2).await, known(3).await), (1, 1));
    assert_eq!(billed.gw.dead_letters().await.len(), 2);
}

#[tokio::test]
async fn events_that_no_delivery_was_made_of_become_dead_letters_with_their_webhook() {
    let billed = Billed::start().await;
    // More than may be under way at once, so that some are not leased yet.
    billed.receiver.answer(Answering::Never);
    for _ in 0..30 {
        billed.call().await;
    }
    billed.gw.node().recorded().await;
    billed.receiver.wait_for(16).await;
    billed.gw.delete("/v1/gateway/webhook").await.expect(200);
    let dead = billed.gw.dead_letters().await;
    let events: u64 = dead.iter().map(|letter| letter["events"].as_u64().unwrap()).sum();
    assert_eq!(events, 30, "every event once");
    assert!(dead.iter().any(|letter| letter["last_attempt_at"].is_null() && letter["events"] != 1));
    assert_eq!(billed.gw.store().outbox_numbers().await.unwrap().undelivered, 0);

    // Deliveries are listed in order of making: of those within one millisecond none is the last.
    billed.gw.pass(Duration::from_secs(1));
    billed.receiver.answer(Answering::Status(200));
    billed.gw.hook(&billed.receiver, 4).await;
    assert_eq!(billed.gw.redrive(json!({})).await, dead.len() as u64);
    for sequence in 1..=30 {
        while billed.gw.attempted(sequence, 1).await.last().unwrap().last_status != Some(200) {
            tokio::task::yield_now().await;
        }
    }
    assert!(billed.receiver.received().iter().all(|delivery| delivery.events().len() <= 4));
}
