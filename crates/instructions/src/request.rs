//! A request: read, and written anew for the model server.
//!
//! What the data plane asks of a call it asks here: its slug, its bound, its prompt by bytes. Counting the prompt by a
//! vocabulary is not part of it.

use std::hint::black_box;

use bytes::Bytes;
use wire::{Call, ChatSpelling, Operation, OutputBound, read_call};

use crate::tally::{Tally, Task};

/// Small ones first.
pub(crate) const TASKS: &[Task] = &[
    Task { name: "read a chat of 250 bytes", rounds: 2_000, run: |tally| read(tally, &chat(250)) },
    Task { name: "read a message of 250 bytes", rounds: 2_000, run: |tally| read(tally, &message(250)) },
    Task { name: "read a chat of 100 000 bytes", rounds: 100, run: |tally| read(tally, &chat(100_000)) },
    Task { name: "write a chat of 250 bytes", rounds: 2_000, run: |tally| write(tally, &chat(250)) },
    Task { name: "write a chat of 100 000 bytes", rounds: 500, run: |tally| write(tally, &chat(100_000)) },
];

/// Bytes of one turn of a long conversation.
const TURN: usize = 1_000;
/// What a caller writes, escapes and all.
const TEXT: &str = "Say in one sentence what \\\"admission\\\" means for a caller.\\nThen say it for us: ";

struct Body {
    operation: Operation,
    bytes: Bytes,
}

fn read(tally: &mut Tally, body: &Body) {
    while !tally.is_full() {
        tally.count(|| {
            let call = call(black_box(body));
            black_box((call.model(), call.stream(), call.wants_usage(), call.user(), call.metadata()));
            black_box((call.declared_output(), call.answers(), call.output_min(), call.prompt_tokens()));
            black_box(call.prompt_is_elsewhere());
        });
    }
}

/// With the target's model, and with a bound where admission is `hard`.
fn write(tally: &mut Tally, body: &Body) {
    let call = call(body);
    let bound = OutputBound { tokens: 48, in_chat: ChatSpelling::MaxTokens };
    while !tally.is_full() {
        let upstream = || call.upstream_body(black_box(&body.bytes), Some("llama-3.3-70b"), Some(bound));
        tally.count(|| drop(black_box(upstream())));
    }
}

fn call(body: &Body) -> Call<'_> {
    read_call(body.operation, &body.bytes).unwrap_or_else(|_| unreachable!("a body without faults"))
}

fn chat(len: usize) -> Body {
    let head = r#"{"model":"acme/chat","stream":true,"max_tokens":64,"temperature":0,"messages":["#;
    Body { operation: Operation::ChatCompletions, bytes: conversation(head, len) }
}

fn message(len: usize) -> Body {
    let head =
        r#"{"model":"acme/chat","max_tokens":64,"stream":true,"system":"Answer briefly.","messages":["#;
    Body { operation: Operation::Messages, bytes: conversation(head, len) }
}

/// Turns by the user and the assistant, up to exactly this length.
fn conversation(head: &str, len: usize) -> Bytes {
    let (mut body, tail) = (head.to_owned(), r#""}]}"#);
    for role in ["user", "assistant"].into_iter().cycle() {
        let begin = format!(r#"{{"role":"{role}","content":""#);
        body.push_str(&begin);
        let room = len - body.len() - tail.len();
        // The last turn takes what is left, so that none is too short for its own braces.
        let is_last = room < 2 * TURN;
        let mut text: String = TEXT.chars().cycle().take(if is_last { room } else { TURN }).collect();
        if text.ends_with('\\') {
            text.pop();
            text.push('.');
        }
        body.push_str(&text);
        if is_last {
            break;
        }
        body.push_str(r#""},"#);
    }
    body.push_str(tail);
    body.into()
}
