//! OpenAI's responses: the object, as a whole answer and as streams carry it.

mod echo;
mod stream;

use serde::Serialize;
use serde_json::value::RawValue;

use self::echo::Echo;
pub(super) use self::stream::events;
use super::{CREATED, json};
use crate::ask::Ask;
use crate::completion::{Completion, Finish, Usage};

#[derive(Serialize)]
struct Response<'a> {
    id: &'static str,
    object: &'static str,
    created_at: u64,
    status: Status,
    background: bool,
    completed_at: Option<u64>,
    error: (),
    incomplete_details: Option<Incomplete>,
    model: &'a RawValue,
    output: Vec<Item<'a>>,
    #[serde(flatten)]
    echo: Echo<'a>,
    usage: Option<ResponseUsage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    InProgress,
    Completed,
    Incomplete,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { id: &'static str, status: Status, role: &'static str, content: Vec<Part> },
    FunctionCall { id: &'static str, status: Status, call_id: &'static str, name: &'a str, arguments: String },
}

#[derive(Serialize)]
struct Part {
    r#type: &'static str,
    annotations: [(); 0],
    logprobs: [(); 0],
    text: String,
}

#[derive(Serialize)]
struct ResponseUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for ResponseUsage {
    fn from(usage: Usage) -> ResponseUsage {
        ResponseUsage {
            input_tokens: usage.prompt,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cache_read,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.completion,
            output_tokens_details: OutputDetails { reasoning_tokens: 0 },
            total_tokens: usage.total(),
        }
    }
}

pub(super) fn whole(ask: &Ask<'_>, completion: &Completion<'_>) -> String {
    json(&ended(ask, completion))
}

/// Before anything is said.
fn begun<'a>(ask: &Ask<'a>, completion: &Completion<'a>) -> Response<'a> {
    Response {
        id: "resp_sim",
        object: "response",
        created_at: CREATED,
        status: Status::InProgress,
        background: false,
        completed_at: None,
        error: (),
        incomplete_details: None,
        model: completion.model,
        output: Vec::new(),
        echo: Echo::of(ask),
        usage: None,
    }
}

fn ended<'a>(ask: &Ask<'a>, completion: &'a Completion<'a>) -> Response<'a> {
    let status = status(completion);
    let cut_short = status == Status::Incomplete;
    Response {
        status,
        completed_at: (!cut_short).then_some(CREATED),
        incomplete_details: cut_short.then_some(Incomplete { reason: "max_output_tokens" }),
        output: vec![item_ended(completion)],
        usage: completion.usage.map(ResponseUsage::from),
        ..begun(ask, completion)
    }
}

fn status(completion: &Completion<'_>) -> Status {
    match completion.finish {
        Finish::Stop | Finish::Tool => Status::Completed,
        Finish::Length => Status::Incomplete,
    }
}

fn item_begun<'a>(completion: &'a Completion<'_>) -> Item<'a> {
    match &completion.tool {
        None => message(Status::InProgress, Vec::new()),
        Some(name) => call(name, Status::InProgress, String::new()),
    }
}

fn item_ended<'a>(completion: &'a Completion<'_>) -> Item<'a> {
    match &completion.tool {
        None => message(status(completion), vec![part(completion.words())]),
        Some(name) => call(name, status(completion), completion.arguments()),
    }
}

fn message<'a>(status: Status, content: Vec<Part>) -> Item<'a> {
    Item::Message { id: "msg_sim", status, role: "assistant", content }
}

fn call(name: &str, status: Status, arguments: String) -> Item<'_> {
    Item::FunctionCall { id: "fc_sim", status, call_id: "call_sim", name, arguments }
}

fn part(text: String) -> Part {
    Part { r#type: "output_text", annotations: [], logprobs: [], text }
}
