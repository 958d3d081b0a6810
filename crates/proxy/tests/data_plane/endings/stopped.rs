//! A gateway that stops, and a fault of its own, while a call is in flight.

use std::time::Duration;

use domain::Outcome;
use testkit::{Act, End, Script};

use super::*;

const GRACE: Duration = Duration::from_millis(50);

impl Tree {
    /// Stops the gateway with a call in flight, starts it again, and checks how the call has ended. What a MINUTE has
    /// used is not kept over a restart; what a DAY has is.
    pub(super) async fn restarted(&mut self, what: &str, ended: Ended) {
        self.gw.restart().await;
        let lines = self.lines().await;
        let ends: Vec<Ended> =
            lines.iter().map(|line| (line.outcome, line.upstream_status, line.usage)).collect();
        assert_eq!(ends, [ended], "{what}");
        let readings = self.gw.readings(&self.groups[0], M1).await;
        let days: Vec<&Reading> = readings.iter().filter(|reading| reading.unit == "DAY").collect();
        assert_eq!(days.len(), 6);
        for day in days {
            let used = if day.kind == "REQUEST" { 1 } else { ended.2.total() };
            assert_eq!((day.used, day.pending), (used, 0), "{what}: {day:?}");
        }
    }
}

#[tokio::test]
async fn a_shutdown_with_a_stream_in_flight_charges_what_came() {
    let mut tree = Tree::with(|config| config.server.shutdown_grace = GRACE).await;
    let call = CHAT.streamed();
    let prompt = tree.prompt(&call).await;
    let mut raw = tree.begin(&call, Script::ending(End::StallAfter(4))).await;
    read_until(&mut raw, "word ", 3).await;
    tree.restarted("stream", (Outcome::Shutdown, Some(200), counted(prompt, words(3)))).await;
}

#[tokio::test]
async fn a_shutdown_with_a_whole_answer_in_flight_charges_its_hold() {
    let mut tree = Tree::with(|config| config.server.shutdown_grace = GRACE).await;
    let prompt = tree.prompt(&CHAT).await;
    let _raw = tree.begin(&CHAT, Script { act: Act::Hang, ..Script::default() }).await;
    tree.restarted("whole", (Outcome::Shutdown, None, counted(prompt, OUTPUT))).await;
}

#[tokio::test]
async fn a_call_that_ends_within_the_grace_ends_as_ever() {
    let mut tree = Tree::with(|config| config.server.shutdown_grace = Duration::from_secs(30)).await;
    let slow = Script { between_chunks: Duration::from_millis(10), ..Script::default() };
    let mut raw = tree.begin(&CHAT.streamed(), slow).await;
    read_until(&mut raw, "word ", 2).await;
    tree.restarted("grace", (Outcome::Completed, Some(200), reported(10, 9))).await;
    assert!(raw.rest().await.contains("[DONE]"));
}

#[tokio::test]
async fn a_fault_of_our_own_before_the_answer_ends_the_call_once_and_returns_what_it_held() {
    for (call, output) in [(CHAT, OUTPUT), (CHAT.streamed(), 0)] {
        let tree = Tree::new().await;
        let prompt = tree.prompt(&call).await;
        let script = Script { first_byte: Duration::from_millis(500), ..Script::default() };
        let raw = tree.begin(&call, script).await;
        // The next reading on the call's thread is taken when the head of the answer comes.
        tree.gw.clock.fault();
        assert_eq!(raw.rest().await, "", "the connection ends");
        tree.ended("fault", (Outcome::ClientGone, None, counted(prompt, output))).await;
    }
}

#[tokio::test]
async fn a_fault_of_our_own_at_the_end_of_a_stream_ends_the_call_once() {
    let tree = Tree::new().await;
    let slow = Script { between_chunks: Duration::from_millis(50), ..Script::default() };
    let mut raw = tree.begin(&CHAT.streamed(), slow).await;
    read_until(&mut raw, "word ", 2).await;
    // The next reading on the call's thread is taken when the call settles.
    tree.gw.clock.fault();
    assert!(!raw.rest().await.contains("[DONE]"));
    tree.ended("fault", (Outcome::Completed, Some(200), reported(10, 9))).await;
}
