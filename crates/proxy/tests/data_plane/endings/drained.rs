//! Streams that are read on for their usage after their callers left: `limits.on_client_gone = "drain"`.

use std::time::Duration;

use domain::Outcome;
use testkit::{Act, End, OnClientGone, Script};

use super::*;

async fn draining(within: Duration) -> Tree {
    Tree::with(|config| {
        config.limits.on_client_gone = OnClientGone::Drain;
        config.limits.drain_timeout = within;
    })
    .await
}

/// Long enough for everything that comes at all.
const PATIENT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

/// Answers at a pace that a caller can leave in the middle of.
fn slow() -> Script {
    Script { between_chunks: Duration::from_millis(10), ..Script::default() }
}

#[tokio::test]
async fn a_stream_left_in_its_middle_is_read_on_for_its_usage() {
    for call in STREAMS {
        let tree = draining(PATIENT).await;
        let mut raw = tree.begin(&call, slow()).await;
        read_until(&mut raw, "word ", 2).await;
        drop(raw);
        tree.ended(call.path, (Outcome::Completed, Some(200), reported(10, 9))).await;
        assert_eq!(tree.gw.model.served().aborted, 0);
    }
}

#[tokio::test]
async fn a_stream_left_before_its_answer_is_read_on_for_its_usage() {
    for call in STREAMS {
        let tree = draining(PATIENT).await;
        let script = Script { first_byte: Duration::from_millis(50), ..slow() };
        drop(tree.begin(&call, script).await);
        tree.ended(call.path, (Outcome::Completed, Some(200), reported(10, 9))).await;
        assert_eq!(tree.gw.model.served().aborted, 0);
    }
}

#[tokio::test]
async fn without_the_setting_a_stream_is_read_on_only_where_the_model_server_keeps_the_prompt() {
    const CONTINUED: Call = Call {
        body: r#"{"input":"Say hello.","max_output_tokens":9,"previous_response_id":"resp_1"}"#,
        ..RESPONSES.streamed()
    };
    for left_at in ["the answer", "a word"] {
        let tree = Tree::new().await;
        let script = Script { first_byte: Duration::from_millis(50), prompt_tokens: 5_000, ..slow() };
        let mut raw = tree.begin(&CONTINUED, script).await;
        if left_at == "a word" {
            read_until(&mut raw, "word ", 1).await;
        }
        drop(raw);
        tree.ended(left_at, (Outcome::Completed, Some(200), reported(5_000, 9))).await;
    }
}

#[tokio::test]
async fn usage_that_does_not_come_in_time_is_counted_and_flagged() {
    let call = CHAT.streamed();
    for (end, output) in [(End::StallAfter(0), 0), (End::StallAfter(4), words(3))] {
        let tree = draining(SHORT).await;
        let prompt = tree.prompt(&call).await;
        let mut raw = tree.begin(&call, Script::ending(end)).await;
        read_until(&mut raw, if output == 0 { "200 OK" } else { "word " }, if output == 0 { 1 } else { 3 })
            .await;
        drop(raw);
        tree.ended("late", (Outcome::ClientGone, Some(200), counted(prompt, output))).await;
        until("the model server sees that nobody listens", || tree.gw.model.served().aborted == 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_costs_its_prompt() {
    let (tree, call) = (draining(SHORT).await, CHAT.streamed());
    let prompt = tree.prompt(&call).await;
    drop(tree.begin(&call, Script { act: Act::Hang, ..Script::default() }).await);
    tree.ended("never began", (Outcome::ClientGone, None, counted(prompt, 0))).await;
    until("the model server sees that nobody listens", || tree.gw.model.served().aborted == 1).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_while_it_is_read_on_costs_what_came() {
    let (tree, call) = (draining(PATIENT).await, CHAT.streamed());
    let prompt = tree.prompt(&call).await;
    let mut raw = tree.begin(&call, Script { end: End::CutAfter(6), ..slow() }).await;
    read_until(&mut raw, "word ", 2).await;
    drop(raw);
    tree.ended("cut", (Outcome::UpstreamError, Some(200), counted(prompt, words(5)))).await;
}

#[tokio::test]
async fn a_shutdown_ends_what_is_read_on_and_charges_what_came() {
    let mut tree = Tree::with(|config| {
        config.limits.on_client_gone = OnClientGone::Drain;
        config.server.shutdown_grace = SHORT;
    })
    .await;
    let call = CHAT.streamed();
    let prompt = tree.prompt(&call).await;
    let mut raw = tree.begin(&call, Script::ending(End::StallAfter(4))).await;
    read_until(&mut raw, "word ", 3).await;
    drop(raw);
    tree.restarted("shutdown", (Outcome::Shutdown, Some(200), counted(prompt, words(3)))).await;
}
