//! Model servers that break off, stall, take too long, tell of an error, or talk nonsense.

use std::time::Duration;

use domain::Outcome;
use testkit::{Act, End, Script};

use super::*;

const TINY: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_stream_that_the_model_server_ends_badly_costs_its_prompt_and_what_came() {
    for end in [End::CutAfter(5), End::ErrorAfter(5)] {
        let tree = Tree::new().await;
        let call = CHAT.streamed();
        let prompt = tree.prompt(&call).await;
        let reply = tree.send(&call, Script::ending(end)).await.expect(200);
        let ended = (Outcome::UpstreamError, Some(200), counted(prompt, words(4)));
        tree.answered(&format!("{end:?}"), &reply, ended).await;
    }
}

#[tokio::test]
async fn a_stream_that_tells_an_error_has_that_outcome_in_every_dialect() {
    for (call, opening) in [(COMPLETIONS.streamed(), 0), (RESPONSES.streamed(), 4), (MESSAGES.streamed(), 3)]
    {
        let tree = Tree::new().await;
        let reply = tree.send(&call, Script::ending(End::ErrorAfter(opening + 2))).await.expect(200);
        let line = tree.only_line().await;
        assert_eq!((line.outcome, line.usage.output), (Outcome::UpstreamError, words(2)), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_costs_its_prompt_and_what_came() {
    for slow in ["idle", "total"] {
        let tree = Tree::with(|config| match slow {
            "idle" => config.upstream.idle_timeout = TINY,
            _ => config.upstream.total_timeout = TINY,
        })
        .await;
        let call = CHAT.streamed();
        let prompt = tree.prompt(&call).await;
        let reply = tree.send(&call, Script::ending(End::StallAfter(5))).await.expect(200);
        let ended = (Outcome::UpstreamTimeout, Some(200), counted(prompt, words(4)));
        tree.answered(slow, &reply, ended).await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_costs_its_prompt() {
    for call in SHAPES {
        let tree = Tree::with(|config| config.upstream.first_byte_timeout = TINY).await;
        let prompt = tree.prompt(&call).await;
        let hanging = Script { act: Act::Hang, ..Script::default() };
        let reply = tree.send(&call, hanging).await.expect(504);
        let ended = (Outcome::UpstreamTimeout, None, counted(prompt, 0));
        tree.answered(&format!("{call:?}"), &reply, ended).await;
    }
}

#[tokio::test]
async fn a_whole_answer_that_does_not_come_whole_costs_its_prompt_and_what_came() {
    for (end, outcome, status) in
        [(End::CutAfter(1), Outcome::UpstreamError, 502), (End::StallAfter(1), Outcome::UpstreamTimeout, 504)]
    {
        let tree = Tree::with(|config| config.upstream.idle_timeout = TINY).await;
        let prompt = tree.prompt(&CHAT).await;
        let reply = tree.send(&CHAT, Script::ending(end)).await.expect(status);
        let line = tree.only_line().await;
        assert_eq!((line.outcome, line.upstream_status), (outcome, Some(200)));
        // Half an object cannot be read: every byte of it counts as text.
        assert!(line.usage.output > words(4), "{line:?}");
        let ended = (outcome, Some(200), counted(prompt, line.usage.output));
        tree.answered(&format!("{end:?}"), &reply, ended).await;
    }
}

#[tokio::test]
async fn garbage_is_charged_by_what_came() {
    let tree = Tree::new().await;
    let prompt = tree.prompt(&CHAT).await;
    let garbage = Script { act: Act::Garble, ..Script::default() };
    tree.send(&CHAT, garbage).await.expect(502);
    let line = tree.only_line().await;
    assert!(line.usage.output > 0);
    let ended = (Outcome::UpstreamError, Some(200), counted(prompt, line.usage.output));
    tree.ended("garbage", ended).await;
}

#[tokio::test]
async fn a_stream_of_garbage_passes_and_costs_its_prompt() {
    let tree = Tree::new().await;
    let call = CHAT.streamed();
    let prompt = tree.prompt(&call).await;
    let garbage = Script { act: Act::Garble, ..Script::default() };
    let reply = tree.send(&call, garbage).await.expect(200);
    // It came to its end in good order, and was passed on: whether it means anything is the caller's to judge.
    tree.answered("garbage", &reply, (Outcome::Completed, Some(200), counted(prompt, 0))).await;
}
