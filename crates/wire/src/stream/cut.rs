//! Ends a stream in the middle as if its model had reached its bound: in good order, so that every client of the
//! dialect sees a whole answer that was cut short by length.
//!
//! Guarantees: what is kept of the answer for that is bounded, and kept only where a cut was asked for beforehand;
//! every line that is written is one that official clients read.
//! Knows nothing of: limits, and why a stream is cut.
//! Begins at [`Progress`]; there is one file for each dialect's end.

mod choices;
mod message;
mod response;

use std::fmt::{self, Write};

use bytes::Bytes;
use domain::Usage;
use memchr::memchr2;
use serde_json::value::RawValue;

use self::choices::{Choices, Form};
use self::message::Message;
use self::response::Response;
use super::UsageChunk;
use crate::operation::Operation;

/// The longest name of an answer that is kept, in bytes of its JSON. Beyond it the end goes under a name of our own.
const ID_LEN_MAX: usize = 256;

/// The longest number that is kept, in bytes.
const NUMBER_LEN_MAX: usize = 32;

/// What is said at the end of a stream that is cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    /// What the call has used so far.
    pub usage: Usage,
    /// What an answer is called whose name the model server has not told.
    pub request_id: &'a str,
    /// When such an answer was made, in seconds since 1970.
    pub unix_s: u64,
}

/// How far an answer has come: what has to be said to end it.
pub(super) enum Progress {
    Choices(Choices),
    Response(Response),
    Message(Message),
}

impl Progress {
    /// Of an answer that has not begun. `None` for an operation that has no streams.
    pub(super) fn new(operation: Operation, usage_chunk: UsageChunk) -> Option<Self> {
        match operation {
            Operation::ChatCompletions => Some(Self::Choices(Choices::new(Form::Chat, usage_chunk))),
            Operation::Completions => Some(Self::Choices(Choices::new(Form::Text, usage_chunk))),
            Operation::Responses => Some(Self::Response(Response::default())),
            Operation::Messages => Some(Self::Message(Message::default())),
            Operation::Embeddings | Operation::CountTokens => None,
        }
    }

    /// Takes in the data of an event that goes on.
    pub(super) fn note(&mut self, json: &str) {
        match self {
            Self::Choices(choices) => choices.note(json),
            Self::Response(response) => response.note(json),
            Self::Message(message) => message.note(json),
        }
    }

    /// The events that end the answer. `slug` is quoted.
    pub(super) fn end(self, cut: &Cut<'_>, slug: &str) -> Bytes {
        let mut events = Events::default();
        match self {
            Self::Choices(choices) => choices.end(cut, slug, &mut events),
            Self::Response(response) => response.end(cut, slug, &mut events),
            Self::Message(message) => message.end(cut, slug, &mut events),
        }
        events.0.into()
    }
}

/// Events that we write ourselves.
#[derive(Default)]
struct Events(String);

impl Events {
    /// One that has only data, on one line.
    fn put(&mut self, data: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "data: {data}\n\n");
    }

    /// One with a name.
    fn put_named(&mut self, name: &str, data: fmt::Arguments<'_>) {
        let _ = write!(self.0, "event: {name}\ndata: {data}\n\n");
    }
}

/// A short value that an answer tells over and over, as JSON. The first one counts.
#[derive(Default)]
struct Kept(Option<Box<str>>);

impl Kept {
    fn keep_string(&mut self, json: Option<&RawValue>) {
        self.keep(json, |json| json.starts_with('"') && json.len() <= ID_LEN_MAX);
    }

    fn keep_number(&mut self, json: Option<&RawValue>) {
        self.keep(json, |json| {
            json.starts_with(|c: char| c.is_ascii_digit()) && json.len() <= NUMBER_LEN_MAX
        });
    }

    fn keep(&mut self, json: Option<&RawValue>, fits: impl Fn(&str) -> bool) {
        if self.0.is_none() {
            self.0 = json.map(RawValue::get).filter(|json| fits(json)).map(Into::into);
        }
    }

    fn or_else(&self, other: impl FnOnce() -> String) -> String {
        self.0.as_deref().map_or_else(other, str::to_owned)
    }
}

/// A number among the values of an event, such as an index.
fn number(json: Option<&RawValue>) -> Option<u64> {
    json?.get().parse().ok()
}

/// JSON as it may stand in one line of an event: its line ends are nothing but space.
fn one_line(json: &str) -> Box<str> {
    match memchr2(b'\n', b'\r', json.as_bytes()) {
        None => json.into(),
        Some(_) => json.replace(['\n', '\r'], " ").into(),
    }
}
