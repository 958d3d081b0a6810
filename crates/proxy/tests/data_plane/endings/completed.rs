//! Completed: with usage, without it, and with usage that nobody can believe.

use domain::Outcome;
use testkit::{Script, UsageReport};

use super::*;

const ALL: [Call; 10] = [
    CHAT,
    CHAT.streamed(),
    COMPLETIONS,
    COMPLETIONS.streamed(),
    RESPONSES,
    RESPONSES.streamed(),
    MESSAGES,
    MESSAGES.streamed(),
    EMBEDDINGS,
    COUNT_TOKENS,
];

#[tokio::test]
async fn usage_that_the_model_server_reports_is_charged() {
    for call in ALL {
        let tree = Tree::new().await;
        let usage = match call.path {
            path if path == EMBEDDINGS.path => reported(10, 0),
            path if path == COUNT_TOKENS.path => reported(0, 0),
            _ => reported(10, 9),
        };
        let reply = tree.send(&call, Script::default()).await.expect(200);
        tree.answered(&format!("{call:?}"), &reply, (Outcome::Completed, Some(200), usage)).await;
    }
}

#[tokio::test]
async fn usage_beyond_the_estimate_is_charged_in_full_at_every_level() {
    for call in [CHAT, MESSAGES.streamed()] {
        let tree = Tree::new().await;
        let usage = UsageReport::Lying { prompt: 700_000, completion: 800_000 };
        let reply = tree.send(&call, Script { usage, ..Script::default() }).await.expect(200);
        let ended = (Outcome::Completed, Some(200), reported(700_000, 800_000));
        tree.answered(&format!("{call:?}"), &reply, ended).await;
    }
}

#[tokio::test]
async fn usage_that_nobody_reports_is_counted_here_and_flagged() {
    for call in ALL {
        let tree = Tree::new().await;
        let prompt = tree.prompt(&call).await;
        let output = if call.declared == 0 { 0 } else { words(9) };
        let usage = match call.path {
            // Its answer is the count itself; nothing is generated.
            path if path == COUNT_TOKENS.path => reported(0, 0),
            _ => counted(prompt, output),
        };
        let script = Script { usage: UsageReport::Missing, ..Script::default() };
        let reply = tree.send(&call, script).await.expect(200);
        tree.answered(&format!("{call:?}"), &reply, (Outcome::Completed, Some(200), usage)).await;
    }
}

#[tokio::test]
async fn an_explicit_nought_stays_nought() {
    for call in SHAPES {
        let tree = Tree::new().await;
        let usage = UsageReport::Lying { prompt: 0, completion: 0 };
        let reply = tree.send(&call, Script { usage, ..Script::default() }).await.expect(200);
        let ended = (Outcome::Completed, Some(200), reported(0, 0));
        tree.answered(&format!("{call:?}"), &reply, ended).await;
    }
}

#[tokio::test]
async fn usage_that_nobody_can_believe_is_counted_here() {
    for call in SHAPES {
        let tree = Tree::new().await;
        let prompt = tree.prompt(&call).await;
        let usage = UsageReport::Lying { prompt: (1 << 40) + 1, completion: 9 };
        let reply = tree.send(&call, Script { usage, ..Script::default() }).await.expect(200);
        let ended = (Outcome::Completed, Some(200), counted(prompt, words(9)));
        tree.answered(&format!("{call:?}"), &reply, ended).await;
    }
}
