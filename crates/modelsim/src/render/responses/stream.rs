//! A response as the events of a stream, each with its name, its `type` and its number.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json as value};

use super::{Item, Part, Response, Status, begun, ended, item_begun, item_ended, part, status};
use crate::ask::Ask;
use crate::completion::Completion;
use crate::render::{json, named};
use crate::stream::{Events, Word};

const TEXT_DELTA: &str = "response.output_text.delta";
const ARGUMENTS_DELTA: &str = "response.function_call_arguments.delta";

/// Events one after the other.
struct Numbered {
    events: Vec<Bytes>,
    next: u64,
}

/// An event's data after its `type`.
#[derive(Serialize)]
struct Data<T> {
    sequence_number: u64,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct OfResponse<'a> {
    response: Response<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: u8,
    item: Item<'a>,
}

#[derive(Serialize)]
struct OfPart {
    item_id: &'static str,
    output_index: u8,
    content_index: u8,
    part: Part,
}

impl Numbered {
    fn from(next: u64) -> Numbered {
        Numbered { events: Vec::new(), next }
    }

    fn push(&mut self, name: &str, rest: impl Serialize) {
        self.events.push(named(name, &Data { sequence_number: self.next, rest }).into());
        self.next += 1;
    }
}

pub(in crate::render) fn events(ask: &Ask<'_>, completion: &Completion<'_>) -> Events {
    let opening = opening(ask, completion);
    let word = match completion.tool {
        None => word(TEXT_DELTA, &text_place("delta", &completion.script.word), opening.next),
        Some(_) => word(ARGUMENTS_DELTA, &arguments_place("delta", &completion.text.word), opening.next),
    };
    let closing = closing(ask, completion, opening.next + completion.tokens);
    Events { opening: opening.events, word, words: completion.tokens, closing: closing.events }
}

fn opening(ask: &Ask<'_>, completion: &Completion<'_>) -> Numbered {
    let mut events = Numbered::from(0);
    events.push("response.created", OfResponse { response: begun(ask, completion) });
    events.push("response.in_progress", OfResponse { response: begun(ask, completion) });
    events.push("response.output_item.added", OfItem { output_index: 0, item: item_begun(completion) });
    match completion.tool {
        None => events.push("response.content_part.added", of_part(String::new())),
        Some(_) => events.push(ARGUMENTS_DELTA, arguments_place("delta", r#"{"text":""#)),
    }
    events
}

fn closing(ask: &Ask<'_>, completion: &Completion<'_>, first: u64) -> Numbered {
    let mut events = Numbered::from(first);
    match completion.tool {
        None => {
            events.push("response.output_text.done", text_place("text", &completion.words()));
            events.push("response.content_part.done", of_part(completion.words()));
        }
        Some(_) => {
            events.push(ARGUMENTS_DELTA, arguments_place("delta", r#""}"#));
            let done = "response.function_call_arguments.done";
            events.push(done, arguments_place("arguments", &completion.arguments()));
        }
    }
    events.push("response.output_item.done", OfItem { output_index: 0, item: item_ended(completion) });
    let last = match status(completion) {
        Status::Incomplete => "response.incomplete",
        Status::Completed | Status::InProgress => "response.completed",
    };
    events.push(last, OfResponse { response: ended(ask, completion) });
    events
}

/// The event of a word around its number.
fn word(name: &str, rest: &Value, first: u64) -> Word {
    let before = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":");
    Word::Numbered { before, first, after: format!(",{}\n\n", &json(rest)[1..]) }
}

fn text_place(field: &str, text: &str) -> Value {
    value!({"item_id": "msg_sim", "output_index": 0, "content_index": 0, field: text, "logprobs": []})
}

fn arguments_place(field: &str, text: &str) -> Value {
    value!({"item_id": "fc_sim", "output_index": 0, field: text})
}

fn of_part(text: String) -> OfPart {
    OfPart { item_id: "msg_sim", output_index: 0, content_index: 0, part: part(text) }
}
