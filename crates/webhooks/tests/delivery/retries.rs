//! When deliveries are tried again, and when they are given up: cases 210 to 216, and of 236 what a restart finds.

use std::time::Duration;

use serde_json::json;
use storage::DeliveryState;
use testkit::{Answering, Receiver};

use crate::support::Billed;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn case_210_211_after_a_500_the_same_delivery_comes_again_a_second_later() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    let first = billed.gw.attempted(1, 1).await;
    let (ended_ms, next_ms) = (first[0].last_attempt_ms.unwrap(), first[0].next_attempt_ms.unwrap());
    assert_eq!((first[0].state, next_ms - ended_ms), (DeliveryState::Pending, 1_000));
    billed.receiver.answer(Answering::Status(200));
    billed.gw.pass(SECOND);
    let [once, again] = &billed.receiver.wait_for(2).await[..] else { panic!("two attempts") };
    assert_eq!(once.body, again.body, "byte for byte");
    assert_eq!(once.header("x-baseten-request-id"), again.header("x-baseten-request-id"));
    assert_eq!(once.header("webhook-id"), again.header("webhook-id"));
    assert!(again.is_signed_by(&billed.secret) && again.is_standard_signed_by(&billed.secret));
    assert_ne!(once.header("webhook-timestamp"), again.header("webhook-timestamp"));
    assert_eq!(billed.gw.attempted(1, 2).await[0].state, DeliveryState::Done);
    assert_eq!(billed.gw.dead_letters().await.len(), 0);
}

#[tokio::test]
async fn case_212_a_4xx_is_final_and_kept() {
    let billed = Billed::start().await;
    for (sequence, status) in [(1, 400), (2, 408), (3, 429)] {
        billed.receiver.answer(Answering::Status(status));
        billed.call().await;
        let delivery = &billed.gw.attempted(sequence, 1).await[0];
        assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Dead, Some(status)));
        // In the order of the list.
        billed.gw.pass(SECOND);
    }
    billed.gw.pass(60 * SECOND);
    billed.call().await;
    billed.gw.attempted(4, 1).await;
    assert_eq!(billed.receiver.received().len(), 4, "one attempt each");
    let letters = billed.gw.dead_letters().await;
    assert_eq!(letters.len(), 4);
    assert_eq!((&letters[0]["last_status"], &letters[0]["attempts"]), (&json!(400), &json!(1)));
}

#[tokio::test]
async fn case_214_216_attempts_stop_within_15_seconds_and_the_event_is_a_dead_letter() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    for (attempts, wait) in [(1, 1), (2, 2), (3, 4), (4, 5)] {
        let delivery = &billed.gw.attempted(1, attempts).await[0];
        let planned = delivery.next_attempt_ms.unwrap() - delivery.last_attempt_ms.unwrap();
        assert_eq!(planned, wait * 1_000, "after attempt {attempts}");
        billed.gw.pass(Duration::from_secs(wait));
    }
    let delivery = &billed.gw.attempted(1, 5).await[0];
    assert_eq!((delivery.state, delivery.next_attempt_ms), (DeliveryState::Dead, None));
    assert_eq!(delivery.last_attempt_ms.unwrap() - delivery.first_attempt_ms.unwrap(), 12_000);
    billed.gw.pass(3_600 * SECOND);
    assert_eq!(billed.receiver.received().len(), 5);
    let [letter] = &billed.gw.dead_letters().await[..] else { panic!("one dead letter") };
    assert_eq!(
        (&letter["events"], &letter["attempts"], &letter["last_status"]),
        (&json!(1), &json!(5), &json!(500))
    );
    assert_eq!(letter["id"], billed.receiver.received()[0].header("webhook-id"));
}

#[tokio::test]
async fn case_215_connections_that_are_refused_or_break_are_tried_again() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Closed);
    billed.call().await;
    let broken = &billed.gw.attempted(1, 1).await[0];
    assert_eq!((broken.state, broken.last_status), (DeliveryState::Pending, None));
    let addr = billed.receiver.addr();
    drop(billed.receiver);
    billed.gw.pass(SECOND);
    let refused = &billed.gw.attempted(1, 2).await[0];
    assert_eq!((refused.state, refused.last_status), (DeliveryState::Pending, None));
    assert!(refused.last_error.as_deref().unwrap().contains("no connection"), "{refused:?}");
    let back = Receiver::start_at(addr).await;
    billed.gw.pass(2 * SECOND);
    assert_eq!(back.wait_for(1).await[0].events()[0]["sequence"], 1);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let billed = Billed::start().await;
    let elsewhere = Receiver::start().await;
    let location = format!("location: {}\r\n", elsewhere.url());
    billed.receiver.answer(Answering::Whole(307, location, String::new()));
    billed.call().await;
    let delivery = &billed.gw.attempted(1, 1).await[0];
    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Pending, Some(307)));
    assert_eq!(elsewhere.received().len(), 0);
}

#[tokio::test]
async fn case_236_what_a_restart_finds_undelivered_is_delivered() {
    let mut billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    billed.gw.attempted(1, 1).await;
    billed.gw.restart().await;
    billed.receiver.answer(Answering::Status(200));
    billed.gw.pass(SECOND);
    let received = billed.receiver.wait_for(2).await;
    assert_eq!(
        (&received[0].body, received[0].header("webhook-id")),
        (&received[1].body, received[1].header("webhook-id"))
    );
    assert!(received[1].is_signed_by(&billed.secret));
}

#[tokio::test]
async fn an_attempt_that_a_stop_cut_off_is_made_again_as_it_was() {
    let mut billed = Billed::start().await;
    billed.receiver.answer(Answering::Never);
    billed.call().await;
    billed.receiver.wait_for(1).await;
    billed.gw.restart().await;
    billed.receiver.answer(Answering::Status(200));
    let received = billed.receiver.wait_for(2).await;
    assert_eq!(
        (&received[0].body, received[0].header("webhook-id")),
        (&received[1].body, received[1].header("webhook-id"))
    );
}
