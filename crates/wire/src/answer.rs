//! Reads one object that a model server sent: a whole answer, or an event of a streamed one.
//!
//! Guarantees: reads any JSON object, whatever it holds; keeps nothing of its text.
//! Begins at [`read_whole_answer`] and [`read_event`]; there is one file for each dialect's answers.

mod completions;
mod messages;
mod responses;

use std::ops::Range;

use domain::Usage;
use serde_json::value::RawValue;

use crate::members::{members, span};
use crate::operation::Operation;
use crate::text::{Shape, Tally};
use crate::usage::{Counts, Names};

/// What an object says.
#[derive(Default)]
pub(crate) struct Answer<'a> {
    /// Where `model` stands, if it is a string other than the slug.
    pub(crate) foreign_model: Option<Range<usize>>,
    pub(crate) usage: Report,
    /// What the model wrote in it.
    pub(crate) written: Written<'a>,
    /// It is one of the events in which models write, whether or not we see text in it: it may stand where we do not
    /// look for it, or be half a character.
    pub(crate) writes: bool,
    pub(crate) role: Role,
}

/// Text that the model wrote, where it stands. Counted when it is asked for: most answers tell usage, and then nobody
/// asks.
#[derive(Default, Clone, Copy)]
pub(crate) struct Written<'a>(Option<(&'a RawValue, Shape)>);

/// What an object says about usage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing, or null, as chunks before the last one do.
    #[default]
    Silent,
    /// Something: `None` if it cannot be believed.
    Told(Option<Usage>),
    /// A part of it, to be put together with what was told before.
    Counted(Counts),
}

/// What part an object plays in a stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// One of many.
    #[default]
    Piece,
    /// It tells usage and nothing else: the last chunk of a chat, with an empty list of choices.
    UsageAlone,
    /// Nothing comes after it.
    Last,
    /// It is an error.
    Error,
    /// It is an error, and nothing comes after it.
    LastError,
}

/// Reads a whole answer; `None` if the text is no JSON object. `slug` is quoted.
pub(crate) fn read_whole_answer<'a>(operation: Operation, json: &'a str, slug: &str) -> Option<Answer<'a>> {
    match operation {
        Operation::ChatCompletions | Operation::Completions => completions::read(json, slug),
        Operation::Embeddings => read_silent(json, slug, |usage| Report::of(usage, &Names::EMBEDDINGS)),
        Operation::Responses => responses::read(json, slug),
        Operation::Messages => messages::read(json, slug),
        Operation::CountTokens => read_silent(json, slug, |_| Report::Told(Some(Usage::NONE))),
    }
}

/// Reads the data of an event; `None` if it is no JSON object. `slug` is quoted.
///
/// Embeddings and counts never come as streams. If one does, its events are read as whole answers, for their model.
pub(crate) fn read_event<'a>(operation: Operation, json: &'a str, slug: &str) -> Option<Answer<'a>> {
    match operation {
        Operation::Responses => responses::read_event(json, slug),
        Operation::Messages => messages::read_event(json, slug),
        Operation::ChatCompletions
        | Operation::Completions
        | Operation::Embeddings
        | Operation::CountTokens => read_whole_answer(operation, json, slug),
    }
}

impl Report {
    fn of(usage: Option<&RawValue>, names: &Names) -> Self {
        usage.map_or(Self::Silent, |usage| Self::Told(crate::usage::read_usage(usage, names)))
    }
}

/// Reads an answer in which the model wrote nothing.
fn read_silent<'a>(
    json: &'a str,
    slug: &str,
    report: impl Fn(Option<&RawValue>) -> Report,
) -> Option<Answer<'a>> {
    let [model, usage] = members(json, ["model", "usage"]).ok()?.values;
    let usage = report(usage.filter(is_told));
    Some(Answer { foreign_model: foreign(json, model, slug), usage, ..Answer::default() })
}

/// Where a model stands that is a string other than the slug.
fn foreign(json: &str, model: Option<&RawValue>, slug: &str) -> Option<Range<usize>> {
    model.filter(|model| model.get().starts_with('"') && model.get() != slug).map(|model| span(json, model))
}

fn is_told(json: &&RawValue) -> bool {
    json.get() != "null"
}

impl<'a> Written<'a> {
    /// The text in a value of this shape.
    fn in_shape(json: Option<&'a RawValue>, shape: Shape) -> Self {
        Self(json.map(|json| (json, shape)))
    }

    /// Its length in bytes.
    pub(crate) fn bytes(self) -> usize {
        let mut tally = Tally::default();
        if let Some((json, shape)) = self.0 {
            tally.add(json, shape);
        }
        tally.bytes
    }
}
