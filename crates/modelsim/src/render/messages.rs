//! Anthropic's messages, and how many tokens one would read.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json as value;
use serde_json::value::RawValue;

use super::{json, named};
use crate::completion::{Completion, Finish, Usage};
use crate::stream::{Events, Word};

#[derive(Serialize)]
struct Message<'a> {
    id: &'static str,
    r#type: &'static str,
    role: &'static str,
    model: &'a RawValue,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<MessageUsage>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: String },
    ToolUse { id: &'static str, name: &'a str, input: Input },
}

/// What a tool is called with; nothing yet where a stream begins.
#[derive(Serialize)]
struct Input {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Tokens; those of the cache are not among `input_tokens`.
#[derive(Serialize)]
struct MessageUsage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

#[derive(Serialize)]
struct Start<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct BlockStart<'a> {
    index: u8,
    content_block: Block<'a>,
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    index: u8,
    delta: Delta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta<'a> {
    TextDelta { text: &'a str },
    InputJsonDelta { partial_json: &'a str },
}

/// The last words: why it ends, and what was used.
#[derive(Serialize)]
struct End {
    delta: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<MessageUsage>,
}

impl From<Usage> for MessageUsage {
    fn from(usage: Usage) -> MessageUsage {
        MessageUsage {
            input_tokens: usage.prompt.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write),
            cache_creation_input_tokens: usage.cache_write,
            cache_read_input_tokens: usage.cache_read,
            output_tokens: usage.completion,
        }
    }
}

pub(super) fn whole(completion: &Completion<'_>) -> String {
    let content = vec![block(completion, Some(completion.words()))];
    json(&Message { content, stop_reason: Some(stop_reason(completion)), ..message(completion) })
}

/// An answer that has nothing but the count says it also where usage is to be missing.
pub(super) fn count(completion: &Completion<'_>) -> String {
    let tokens = completion.usage.map_or(completion.script.prompt_tokens, |usage| usage.prompt);
    json(&value!({ "input_tokens": tokens }))
}

pub(super) fn events(completion: &Completion<'_>) -> Events {
    let start = named("message_start", &Start { message: message_start(completion) });
    let block = BlockStart { index: 0, content_block: block(completion, None) };
    let mut opening: Vec<Bytes> =
        vec![start.into(), named("content_block_start", &block).into(), named("ping", &value!({})).into()];
    let mut closing = Vec::new();
    let word = match &completion.tool {
        None => block_delta(Delta::TextDelta { text: &completion.script.word }),
        Some(_) => {
            opening.push(input_delta(r#"{"text":""#));
            closing.push(input_delta(r#""}"#));
            input_delta(&completion.text.word)
        }
    };
    closing.push(named("content_block_stop", &value!({"index": 0})).into());
    closing.push(message_delta(completion));
    closing.push(named("message_stop", &value!({})).into());
    Events { opening, word: Word::Same(word), words: completion.tokens, closing }
}

/// Without its content and its end.
fn message<'a>(completion: &Completion<'a>) -> Message<'a> {
    Message {
        id: "msg_sim",
        r#type: "message",
        role: "assistant",
        model: completion.model,
        content: Vec::new(),
        stop_reason: None,
        stop_sequence: (),
        usage: completion.usage.map(MessageUsage::from),
    }
}

/// Like Anthropic, it has one token written already; the last count replaces it.
fn message_start<'a>(completion: &Completion<'a>) -> Message<'a> {
    let usage = completion.usage.map(|usage| MessageUsage { output_tokens: 1, ..usage.into() });
    Message { usage, ..message(completion) }
}

fn block<'a>(completion: &'a Completion<'_>, words: Option<String>) -> Block<'a> {
    match &completion.tool {
        None => Block::Text { text: words.unwrap_or_default() },
        Some(name) => Block::ToolUse { id: "toolu_sim", name, input: Input { text: words } },
    }
}

fn block_delta(delta: Delta<'_>) -> Bytes {
    named("content_block_delta", &BlockDelta { index: 0, delta }).into()
}

fn input_delta(partial_json: &str) -> Bytes {
    block_delta(Delta::InputJsonDelta { partial_json })
}

fn message_delta(completion: &Completion<'_>) -> Bytes {
    let delta = value!({"stop_reason": stop_reason(completion), "stop_sequence": null});
    named("message_delta", &End { delta, usage: completion.usage.map(MessageUsage::from) }).into()
}

fn stop_reason(completion: &Completion<'_>) -> &'static str {
    match completion.finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Tool => "tool_use",
    }
}
