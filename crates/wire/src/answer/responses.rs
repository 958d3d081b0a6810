//! Answers and events of OpenAI's responses. An event says in `type` what it is; the first ones and the last one
//! carry the whole `response`.

use super::{Answer, Report, Role, Written, foreign, is_told};
use crate::members::{members, string};
use crate::text::{Listed, Shape};
use crate::usage::Names;

pub(super) fn read<'a>(json: &'a str, slug: &str) -> Option<Answer<'a>> {
    let [model, usage, output] = members(json, ["model", "usage", "output"]).ok()?.values;
    Some(Answer {
        foreign_model: foreign(json, model, slug),
        usage: Report::of(usage.filter(is_told), &Names::RESPONSES),
        written: Written::in_shape(output, Shape::WRITTEN_ITEMS),
        ..Answer::default()
    })
}

pub(super) fn read_event<'a>(json: &'a str, slug: &str) -> Option<Answer<'a>> {
    let [kind, response, delta, error] = members(json, ["type", "response", "delta", "error"]).ok()?.values;
    let kind = kind.and_then(string);
    let kind = kind.as_deref().unwrap_or_default();
    let role = match kind {
        "response.completed" | "response.incomplete" => Role::Last,
        "response.failed" => Role::LastError,
        "error" => Role::Error,
        _ if error.is_some_and(|error| is_told(&error)) => Role::Error,
        _ => Role::Piece,
    };
    let mut answer = Answer { role, writes: kind.ends_with(".delta"), ..Answer::default() };
    if is_written(kind) {
        answer.written = Written::in_shape(delta, Shape::Content(Listed::ItemParts));
    }
    if let Some(response) = response.and_then(|response| members(response.get(), ["model", "usage"]).ok()) {
        let [model, usage] = response.values;
        answer.foreign_model = foreign(json, model, slug);
        if matches!(role, Role::Last | Role::LastError) {
            answer.usage = Report::of(usage.filter(is_told), &Names::RESPONSES);
        }
    }
    Some(answer)
}

/// Whether the `delta` of such an event is something that the model wrote. New kinds of it are: texts, arguments,
/// code. Sound comes in base64 beside its transcript, and what a shell put out is no writing of the model.
fn is_written(kind: &str) -> bool {
    kind.ends_with(".delta")
        && !matches!(kind, "response.audio.delta" | "response.shell_call_output_content.delta")
}
