//! Ends a stream of a response: finishes what is open in it, then tells of the whole response that it is incomplete.
//!
//! Begins at [`Response::note`] and [`Response::end`].

mod item;
mod items;
mod writing;

use serde_json::value::RawValue;

use self::items::Items;
use super::{Cut, Events, Kept, number, one_line};
use crate::members::{members, string};
use crate::splice::{quoted, with_members};

/// The longest response that is kept as its first event tells it, in bytes of JSON: it holds the instructions and the
/// tools of the request. Of a longer one the end tells only what must be there.
const RESPONSE_KEPT_MAX: usize = 64 * 1024;

/// Everything an event may hold that matters here.
const NAMES: [&str; 9] = [
    "type",
    "sequence_number",
    "response",
    "output_index",
    "content_index",
    "summary_index",
    "item",
    "part",
    "delta",
];

/// How far a response has come.
#[derive(Default)]
pub(in crate::stream) struct Response {
    /// The number of the next event.
    sequence: u64,
    began: bool,
    id: Kept,
    created_at: Kept,
    /// The response as its first event told it.
    first: Option<Box<str>>,
    items: Items,
}

/// One event, taken apart.
struct Event<'a> {
    kind: &'a str,
    output_index: Option<u64>,
    content_index: Option<u64>,
    summary_index: Option<u64>,
    item: Option<&'a RawValue>,
    part: Option<&'a RawValue>,
    delta: Option<&'a RawValue>,
}

impl Response {
    pub(super) fn note(&mut self, json: &str) {
        let Ok(event) = members(json, NAMES) else { return };
        let [kind, sequence, response, output_index, content_index, summary_index, item, part, delta] =
            event.values;
        self.sequence = number(sequence).unwrap_or(self.sequence).saturating_add(1);
        if let Some(response) = response {
            self.note_response(response);
            return;
        }
        let kind = kind.and_then(string);
        self.items.note(&Event {
            kind: kind.as_deref().unwrap_or_default(),
            output_index: number(output_index),
            content_index: number(content_index),
            summary_index: number(summary_index),
            item,
            part,
            delta,
        });
    }

    fn note_response(&mut self, json: &RawValue) {
        let Ok(response) = members(json.get(), ["id", "created_at"]) else { return };
        let [id, created_at] = response.values;
        self.id.keep_string(id);
        self.created_at.keep_number(created_at);
        if !self.began && json.get().len() <= RESPONSE_KEPT_MAX {
            self.first = Some(one_line(json.get()));
        }
        self.began = true;
    }

    /// A response that has not begun is begun first.
    pub(super) fn end(mut self, cut: &Cut<'_>, slug: &str, events: &mut Events) {
        let first = self.first.take().unwrap_or_else(|| self.least(cut).into());
        let mut numbers = self.sequence..;
        let mut next = || numbers.next().unwrap_or(u64::MAX);
        if !self.began {
            let begun = with_members(&first, [("model", slug)]);
            let number = next();
            let created = format_args!(
                r#"{{"type":"response.created","response":{begun},"sequence_number":{number}}}"#
            );
            events.put_named("response.created", created);
        }
        let output = self.items.end(&mut next, events);
        let response = with_members(
            &first,
            [
                ("status", r#""incomplete""#),
                ("incomplete_details", r#"{"reason":"max_output_tokens"}"#),
                ("model", slug),
                ("output", &output),
                ("usage", &usage(cut)),
            ],
        );
        let number = next();
        let last = format_args!(
            r#"{{"type":"response.incomplete","response":{response},"sequence_number":{number}}}"#
        );
        events.put_named("response.incomplete", last);
    }

    /// The members that clients expect of any response.
    fn least(&self, cut: &Cut<'_>) -> String {
        let id = self.id.or_else(|| quoted(&format!("resp_{}", cut.request_id)));
        let created_at = self.created_at.or_else(|| cut.unix_s.to_string());
        format!(
            r#"{{"id":{id},"object":"response","created_at":{created_at},"status":"in_progress","error":null,"incomplete_details":null,"instructions":null,"metadata":{{}},"model":null,"output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"usage":null}}"#
        )
    }
}

fn usage(cut: &Cut<'_>) -> String {
    let usage = cut.usage;
    format!(
        r#"{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}}"#,
        usage.input,
        usage.cached,
        usage.output,
        usage.total()
    )
}
