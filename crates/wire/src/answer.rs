//! Reads one object that a model server sent: a whole answer, or a chunk of a streamed one. They differ only in
//! `message` and `delta`.

use std::ops::Range;

use domain::Usage;
use serde_json::value::RawValue;

use crate::members::{members, span};
use crate::text::Tally;
use crate::usage::read_usage;

/// What an object says.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where `model` stands, if it is a string other than the slug.
    pub(crate) foreign_model: Option<Range<usize>>,
    pub(crate) usage: Report,
    /// Bytes of text in it that the model wrote.
    pub(crate) text_bytes: usize,
    /// It tells usage and nothing else: the last chunk of a stream, with an empty list of choices.
    pub(crate) only_usage: bool,
    /// It is an error.
    pub(crate) failed: bool,
}

/// What an object says about usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing, or null, as chunks before the last one do.
    Silent,
    /// Something: `None` if it cannot be believed.
    Told(Option<Usage>),
}

/// Reads an object; `None` if the text is none. `slug` is quoted.
pub(crate) fn read_answer(json: &str, slug: &str) -> Option<Answer> {
    let [model, usage, choices, error] = members(json, ["model", "usage", "choices", "error"]).ok()?.values;
    let told = usage.filter(|usage| usage.get() != "null");
    let failed = error.is_some_and(|error| error.get() != "null");
    let mut tally = Tally::default();
    if let Some(choices) = choices {
        tally.add_choices(choices);
    }
    Some(Answer {
        foreign_model: model.filter(|model| is_foreign(model, slug)).map(|model| span(json, model)),
        usage: told.map_or(Report::Silent, |usage| Report::Told(read_usage(usage))),
        text_bytes: tally.bytes,
        only_usage: told.is_some_and(is_object) && choices.is_some_and(is_empty_list) && !failed,
        failed,
    })
}

fn is_foreign(model: &RawValue, slug: &str) -> bool {
    model.get().starts_with('"') && model.get() != slug
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

fn is_empty_list(json: &RawValue) -> bool {
    json.get().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
}
