//! Callers that leave before the end.

use std::time::Duration;

use domain::Outcome;
use testkit::{Act, End, Script};

use super::*;

fn hanging() -> Script {
    Script { act: Act::Hang, ..Script::default() }
}

/// The model server notices that nobody listens any more.
async fn let_go(tree: &Tree) {
    until("the model server sees that nobody listens", || tree.gw.model.served().aborted == 1).await;
}

#[tokio::test]
async fn a_stream_left_before_its_answer_costs_its_prompt() {
    for call in STREAMS {
        let tree = Tree::new().await;
        let prompt = tree.prompt(&call).await;
        drop(tree.begin(&call, hanging()).await);
        let_go(&tree).await;
        tree.ended(call.path, (Outcome::ClientGone, None, counted(prompt, 0))).await;
    }
}

#[tokio::test]
async fn a_stream_left_before_its_first_event_costs_its_prompt() {
    for call in STREAMS {
        let tree = Tree::new().await;
        let prompt = tree.prompt(&call).await;
        let mut raw = tree.begin(&call, Script::ending(End::StallAfter(0))).await;
        read_until(&mut raw, "200 OK", 1).await;
        drop(raw);
        let_go(&tree).await;
        tree.ended(call.path, (Outcome::ClientGone, Some(200), counted(prompt, 0))).await;
    }
}

#[tokio::test]
async fn a_stream_left_in_its_middle_costs_its_prompt_and_what_came() {
    // Events before the first word; a stream of messages has told its prompt in the first of them.
    for (call, opening, prompt) in [
        (CHAT.streamed(), 1, None),
        (COMPLETIONS.streamed(), 0, None),
        (RESPONSES.streamed(), 4, None),
        (MESSAGES.streamed(), 3, Some(10)),
    ] {
        let tree = Tree::new().await;
        let prompt = match prompt {
            Some(told) => told,
            None => tree.prompt(&call).await,
        };
        let mut raw = tree.begin(&call, Script::ending(End::StallAfter(opening + 3))).await;
        read_until(&mut raw, "word ", 3).await;
        drop(raw);
        let_go(&tree).await;
        tree.ended(call.path, (Outcome::ClientGone, Some(200), counted(prompt, words(3)))).await;
    }
}

#[tokio::test]
async fn a_stream_left_after_its_usage_was_told_costs_that() {
    let tree = Tree::new().await;
    tree.gw.model.set(Script::ending(End::StallAfter(12)));
    let mut body = CHAT.streamed().body(M1);
    body["stream_options"] = json!({ "include_usage": true });
    let mut stream = tree.gw.chat_request(&tree.key).json(&body).open().await;
    let mut text = String::new();
    while !text.contains(r#""total_tokens":19"#) {
        text += std::str::from_utf8(&stream.piece().await.unwrap()).unwrap();
    }
    drop(stream);
    let_go(&tree).await;
    tree.ended("usage seen", (Outcome::ClientGone, Some(200), reported(10, 9))).await;
}

#[tokio::test]
async fn a_whole_answer_left_is_read_on_for_its_usage() {
    for call in [CHAT, COMPLETIONS, RESPONSES, MESSAGES] {
        let tree = Tree::new().await;
        let slow = Script { first_byte: Duration::from_millis(50), ..Script::default() };
        drop(tree.begin(&call, slow).await);
        tree.ended(call.path, (Outcome::Completed, Some(200), reported(10, 9))).await;
        assert_eq!(tree.gw.model.served().aborted, 0);
    }
}

#[tokio::test]
async fn a_whole_answer_left_that_does_not_come_in_time_costs_its_hold() {
    for (script, status) in [(hanging(), None), (Script::ending(End::StallAfter(1)), Some(200))] {
        let tree = Tree::with(|config| config.limits.drain_timeout = Duration::from_millis(400)).await;
        let prompt = tree.prompt(&CHAT).await;
        drop(tree.begin(&CHAT, script).await);
        let_go(&tree).await;
        tree.ended("held", (Outcome::ClientGone, status, counted(prompt, OUTPUT))).await;
    }
}

#[tokio::test]
async fn an_error_of_the_model_server_left_costs_the_request_alone() {
    let tree = Tree::new().await;
    let act = Act::Error { status: 500, message: "no".into() };
    let slow = Script { act, first_byte: Duration::from_millis(50), ..Script::default() };
    drop(tree.begin(&CHAT, slow).await);
    tree.ended("500", (Outcome::Completed, Some(500), Usage::NONE)).await;
}
