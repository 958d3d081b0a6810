//! One item of a response that passes, and the texts in it: how far they have come, and how they are finished.
//!
//! Texts stay as they are written in JSON, escapes and all, so that putting them together is appending.
//!
//! Begins at [`Item::end`].

use serde_json::value::RawValue;

use super::super::Events;
use super::writing::{Place, Writing};
use crate::members::members;
use crate::splice::with_members;

/// What an item or a part of one takes besides its JSON, in bytes.
pub(super) const ENTRY: usize = 256;

/// One item.
pub(super) struct Item {
    pub(super) index: u64,
    /// As the last event that held it told it.
    pub(super) json: Box<str>,
    pub(super) open: bool,
    /// What was written into it since.
    pub(super) parts: Vec<Part>,
}

/// A text that the model writes into an item.
pub(super) struct Part {
    pub(super) writing: &'static Writing,
    /// Which of the parts in its place.
    pub(super) number: u64,
    /// As an event added it, if one did.
    pub(super) added: Option<Box<str>>,
    /// JSON, without its quotes.
    pub(super) text: String,
    /// How much of it is still to come.
    pub(super) stage: Stage,
}

/// How far a text has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// The text is whole, its part is not finished.
    Written,
    Finished,
}

impl Item {
    pub(super) fn part(&mut self, place: Place, number: u64) -> Option<&mut Part> {
        self.parts.iter_mut().rev().find(|part| part.number == number && part.writing.place == place)
    }

    /// What it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        ENTRY + self.json.len() + self.parts.iter().map(Part::size).sum::<usize>()
    }

    /// Finishes it if it is open, and returns it as JSON.
    pub(super) fn end(&self, next: &mut impl FnMut() -> u64, events: &mut Events) -> String {
        if !self.open {
            return self.json.to_string();
        }
        for part in &self.parts {
            self.end_part(part, next, events);
        }
        let item = self.incomplete();
        let (index, number) = (self.index, next());
        let done = format_args!(
            r#"{{"type":"response.output_item.done","output_index":{index},"item":{item},"sequence_number":{number}}}"#
        );
        events.put_named("response.output_item.done", done);
        item
    }

    fn end_part(&self, part: &Part, next: &mut impl FnMut() -> u64, events: &mut Events) {
        let words = part.writing.place.words();
        let part_index = words.map(|(index, _)| format!(r#","{index}":{}"#, part.number)).unwrap_or_default();
        let place = format!(
            r#""item_id":{},"output_index":{}{part_index}"#,
            self.raw("id").unwrap_or(r#""""#),
            self.index
        );
        if part.stage == Stage::Open {
            let Writing { event, member, .. } = part.writing;
            let (text, number) = (&part.text, next());
            let beside = match (*event, self.raw("name")) {
                ("response.output_text", _) => r#","logprobs":[]"#.to_owned(),
                ("response.function_call_arguments", Some(name)) => format!(r#","name":{name}"#),
                _ => String::new(),
            };
            let done = format_args!(
                r#"{{"type":"{event}.done",{place},"{member}":"{text}"{beside},"sequence_number":{number}}}"#
            );
            events.put_named(&format!("{event}.done"), done);
        }
        if let Some((_, name)) = words.filter(|_| part.added.is_some() && part.stage != Stage::Finished) {
            let (part, number) = (part.json(), next());
            let done =
                format_args!(r#"{{"type":"{name}.done",{place},"part":{part},"sequence_number":{number}}}"#);
            events.put_named(&format!("{name}.done"), done);
        }
    }

    /// As it stands now.
    fn incomplete(&self) -> String {
        let mut json = self.json.to_string();
        if self.raw("status").is_some() {
            json = with_members(&json, [("status", r#""incomplete""#)]);
        }
        for (place, member) in [(Place::Content, "content"), (Place::Summary, "summary")] {
            let parts = self.parts.iter().filter(|part| part.writing.place == place);
            let parts: Vec<String> = parts.map(Part::json).collect();
            if !parts.is_empty() {
                json = with_members(&json, [(member, &format!("[{}]", parts.join(",")))]);
            }
        }
        for part in self.parts.iter().filter(|part| part.writing.place == Place::Item) {
            json = with_members(&json, [(part.writing.member, &format!("\"{}\"", part.text))]);
        }
        json
    }

    /// One of its members, as JSON.
    fn raw(&self, name: &'static str) -> Option<&str> {
        members(&self.json, [name]).ok()?.values[0].map(RawValue::get)
    }
}

impl Part {
    fn size(&self) -> usize {
        ENTRY + self.added.as_ref().map_or(0, |added| added.len()) + self.text.len()
    }

    fn json(&self) -> String {
        let empty = self.added.as_deref().unwrap_or(self.writing.empty);
        with_members(empty, [(self.writing.member, &format!("\"{}\"", self.text))])
    }
}
