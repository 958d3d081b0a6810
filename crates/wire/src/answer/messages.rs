//! Answers and events in Anthropic's dialect. An event says in `type` what it is; the first one carries the
//! `message`, still empty, with the usage of the prompt; one of the last ones carries the rest of the usage.

use serde_json::value::RawValue;

use super::{Answer, Report, Role, Written, foreign, is_told};
use crate::members::{members, string};
use crate::text::Shape;
use crate::usage::Counts;

pub(super) fn read<'a>(json: &'a str, slug: &str) -> Option<Answer<'a>> {
    let [model, usage, content] = members(json, ["model", "usage", "content"]).ok()?.values;
    let told = usage.filter(is_told);
    Some(Answer {
        foreign_model: foreign(json, model, slug),
        usage: told.map_or(Report::Silent, |usage| {
            Report::Told(Counts::read(usage).and_then(|counts| counts.usage()))
        }),
        written: Written::in_shape(content, Shape::WRITTEN_BLOCKS),
        ..Answer::default()
    })
}

pub(super) fn read_event<'a>(json: &'a str, slug: &str) -> Option<Answer<'a>> {
    let [kind, message, delta, usage, error] =
        members(json, ["type", "message", "delta", "usage", "error"]).ok()?.values;
    let kind = kind.and_then(string);
    Some(match kind.as_deref().unwrap_or_default() {
        "message_start" => read_start(json, message, slug),
        "content_block_delta" => {
            let written = Written::in_shape(delta, Shape::BLOCK_DELTA);
            Answer { written, writes: true, ..Answer::default() }
        }
        "message_delta" => Answer { usage: counted(usage, |counts| counts), ..Answer::default() },
        "message_stop" => Answer { role: Role::Last, ..Answer::default() },
        "error" => Answer { role: Role::Error, ..Answer::default() },
        _ if error.is_some_and(|error| is_told(&error)) => Answer { role: Role::Error, ..Answer::default() },
        _ => Answer::default(),
    })
}

fn read_start<'a>(json: &str, message: Option<&RawValue>, slug: &str) -> Answer<'a> {
    let message = message.and_then(|message| members(message.get(), ["model", "usage"]).ok());
    let [model, usage] = message.map(|message| message.values).unwrap_or_default();
    Answer {
        foreign_model: foreign(json, model, slug),
        usage: counted(usage, Counts::of_input),
        ..Answer::default()
    }
}

fn counted(usage: Option<&RawValue>, part: impl Fn(Counts) -> Counts) -> Report {
    usage.and_then(Counts::read).map_or(Report::Silent, |counts| Report::Counted(part(counts)))
}
