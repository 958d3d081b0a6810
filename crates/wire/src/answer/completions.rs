//! Answers and chunks of chat and completions. They differ only in `message`, `delta` and `text`.

use serde_json::value::RawValue;

use super::{Answer, Report, Role, Written, foreign, is_told};
use crate::members::members;
use crate::text::Shape;
use crate::usage::Names;

pub(super) fn read<'a>(json: &'a str, slug: &str) -> Option<Answer<'a>> {
    let [model, usage, choices, error] = members(json, ["model", "usage", "choices", "error"]).ok()?.values;
    let usage = usage.filter(is_told);
    let role = if error.is_some_and(|error| is_told(&error)) {
        Role::Error
    } else if usage.is_some_and(is_object) && choices.is_some_and(is_empty_list) {
        Role::UsageAlone
    } else {
        Role::Piece
    };
    Some(Answer {
        foreign_model: foreign(json, model, slug),
        usage: Report::of(usage, &Names::COMPLETIONS),
        written: Written::in_shape(choices, Shape::CHOICES),
        writes: choices.is_some_and(|choices| !is_empty_list(choices)),
        role,
    })
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

fn is_empty_list(json: &RawValue) -> bool {
    json.get().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
}
