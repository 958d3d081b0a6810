//! Answers on their way to the caller: streams of events, and one in one piece.
//!
//! A stream is counted from its first byte to its end: `model` is rewritten, usage is read, and the chunk that tells it is
//! withheld where the caller did not ask. A hundred of its events are pieces of text, a few begin and end it.

use std::hint::black_box;

use bytes::Bytes;
use domain::Usage;
use wire::{AnswerStream, Operation, UsageChunk, read_whole};

use crate::tally::{Tally, Task};

/// Streams first.
pub(crate) const TASKS: &[Task] = &[
    Task { name: "chat stream of 100 events", rounds: 100, run: |tally| pass(tally, &chat()) },
    Task { name: "chat stream of 100 events, cut anywhere", rounds: 100, run: cut_anywhere },
    Task { name: "chat stream of 100 events, can be ended", rounds: 100, run: cuttable },
    Task { name: "message stream of 100 events", rounds: 100, run: |tally| pass(tally, &message()) },
    Task { name: "response stream of 100 events", rounds: 100, run: |tally| pass(tally, &response()) },
    Task { name: "whole chat of 4 000 bytes", rounds: 1_000, run: whole },
];

const SLUG: &str = "acme/chat";
const TEXTS: usize = 100;
const TEXT: &str = " admission";
/// A network that cuts where it will: no piece ends where an event does for long.
const PIECE: usize = 1_000;

struct Stream {
    operation: Operation,
    pieces: Vec<Bytes>,
}

fn pass(tally: &mut Tally, stream: &Stream) {
    while !tally.is_full() {
        let usage =
            tally.count(|| fed(AnswerStream::new(stream.operation, SLUG, UsageChunk::Withhold), stream));
        assert!(usage.is_some(), "the stream tells its usage");
    }
}

fn cut_anywhere(tally: &mut Tally) {
    let Stream { operation, pieces } = chat();
    let whole = Bytes::from(pieces.concat());
    let cut = (0..whole.len()).step_by(PIECE).map(|at| whole.slice(at..whole.len().min(at + PIECE)));
    pass(tally, &Stream { operation, pieces: cut.collect() });
}

/// As in the mode `hard`, which asks how much was written before each piece.
fn cuttable(tally: &mut Tally) {
    let stream = chat();
    while !tally.is_full() {
        let new = || AnswerStream::new(stream.operation, SLUG, UsageChunk::Withhold).cuttable();
        let usage = tally.count(|| fed(new(), &stream));
        assert!(usage.is_some(), "the stream tells its usage");
    }
}

#[inline]
fn fed(mut answer: AnswerStream, stream: &Stream) -> Option<Usage> {
    for piece in &stream.pieces {
        black_box(answer.feed(black_box(piece)).is_ok());
        black_box((answer.written_at_least(), answer.written_at_most(), answer.done()));
    }
    black_box(answer.finish());
    answer.usage()
}

fn whole(tally: &mut Tally) {
    let text = TEXT.repeat(365);
    let body = format!(
        r#"{{"id":"chatcmpl-BxQ1","object":"chat.completion","created":1741569952,"model":"llama-3.3-70b","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":30,"completion_tokens":365,"total_tokens":395}}}}"#,
    );
    let body = Bytes::from(body);
    while !tally.is_full() {
        let usage =
            tally.count(|| read_whole(Operation::ChatCompletions, black_box(&body).clone(), SLUG).usage);
        assert!(usage.is_some(), "the answer tells its usage");
    }
}

fn chat() -> Stream {
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-BxQ1\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\
             \"model\":\"llama-3.3-70b\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        )
    };
    let choice =
        |delta: &str, end: &str| format!(r#"{{"index":0,"delta":{{{delta}}},"finish_reason":{end}}}"#);
    let text = format!(r#""content":"{TEXT}""#);
    let begin = [chunk(&choice(r#""role":"assistant","content":"""#, "null"), "null")];
    let end = [
        chunk(&choice("", r#""stop""#), "null"),
        chunk("", r#"{"prompt_tokens":30,"completion_tokens":100,"total_tokens":130}"#),
        "data: [DONE]\n\n".to_owned(),
    ];
    stream(Operation::ChatCompletions, &begin, &chunk(&choice(&text, "null"), "null"), &end)
}

fn message() -> Stream {
    let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n");
    let begin = [
        event(
            "message_start",
            r#""message":{"id":"msg_01","type":"message","role":"assistant","model":"inner-20250514","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}"#,
        ),
        event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#),
    ];
    let text = event(
        "content_block_delta",
        &format!(r#""index":0,"delta":{{"type":"text_delta","text":"{TEXT}"}}"#),
    );
    let end = [
        event("content_block_stop", r#""index":0"#),
        event("message_delta", r#""delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":100}"#),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ];
    stream(Operation::Messages, &begin, &text, &end)
}

fn response() -> Stream {
    let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n");
    let response = |usage: &str| {
        format!(
            r#""response":{{"id":"resp_67c9","object":"response","status":"completed","model":"inner-2025","output":[],"usage":{usage}}}"#
        )
    };
    let begin = [event("response.created", &response("null"))];
    let text = event(
        "response.output_text.delta",
        &format!(r#""item_id":"msg_67c9","output_index":0,"content_index":0,"delta":"{TEXT}""#),
    );
    let end = [event(
        "response.completed",
        &response(r#"{"input_tokens":30,"output_tokens":100,"total_tokens":130}"#),
    )];
    stream(Operation::Responses, &begin, &text, &end)
}

fn stream(operation: Operation, begin: &[String], text: &str, end: &[String]) -> Stream {
    let texts = std::iter::repeat_n(text, TEXTS);
    let events = begin.iter().map(String::as_str).chain(texts).chain(end.iter().map(String::as_str));
    Stream { operation, pieces: events.map(|event| Bytes::copy_from_slice(event.as_bytes())).collect() }
}
