//! The prompt of a request: what it counts by its bytes, and where it stands, so that it can be counted otherwise.
//!
//! Guarantees: counting by bytes is all that reading a request costs; both ways of counting see the same texts.
//! Begins at [`Prompt::add`].

use serde_json::value::RawValue;

use super::completions::Prompts;
use crate::text::{Shape, Tally};

/// The longest JSON, in bytes, that is read a second time for its texts. Longer ones are mostly images, and are counted
/// by bytes: reading holds up a thread that serves calls.
pub const READ_TWICE_MAX: usize = 8 * 1024 * 1024;

/// What is counted of a request as its prompt.
#[derive(Default)]
pub(super) struct Prompt<'a> {
    tally: Tally,
    /// Tokens that stand nowhere: what a template writes around the whole.
    template: u64,
    parts: Vec<Part<'a>>,
}

/// Where some of it stands.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// A value of this shape.
    Shaped(&'a RawValue, Shape),
    /// The prompt of a completion, or the input of an embedding.
    Prompts(&'a RawValue),
}

impl<'a> Prompt<'a> {
    /// The prompt of a chat, in any dialect.
    pub(super) fn of_chat() -> Self {
        let mut prompt = Self::default();
        prompt.add_template(tokens::REPLY_PRIMING);
        prompt
    }

    /// Counts what a template writes.
    pub(super) fn add_template(&mut self, tokens: u64) {
        self.template += tokens;
        self.tally.fixed += tokens;
    }

    /// Counts a value of this shape, if there is one.
    pub(super) fn add(&mut self, json: Option<&'a RawValue>, shape: Shape) {
        self.extend(json.map(|json| Part::Shaped(json, shape)));
    }

    /// Counts JSON that the model is shown.
    pub(super) fn add_shown<const N: usize>(&mut self, shown: [Option<&'a RawValue>; N]) {
        for json in shown {
            self.add(json, Shape::Raw);
        }
    }

    /// Counts the prompt of a completion or the input of an embedding, and says how many there are in it.
    pub(super) fn add_prompts(&mut self, json: Option<&'a RawValue>) -> u64 {
        self.extend(json.map(Part::Prompts)).unwrap_or(0)
    }

    /// By bytes.
    pub(super) fn tokens(&self) -> u64 {
        self.tally.tokens()
    }

    /// Whether some of it is kept elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.tally.elsewhere
    }

    pub(super) fn bytes(&self) -> usize {
        self.tally.bytes
    }

    /// Its texts, and what else it counts.
    pub(super) fn taken_out(&self) -> Option<tokens::Prompt> {
        let written = self.parts.iter().map(|part| part.json().get().len()).sum::<usize>();
        if written > READ_TWICE_MAX {
            return None;
        }
        let mut tally = Tally::of_texts();
        tally.fixed = self.template;
        for part in &self.parts {
            part.count(&mut tally);
        }
        Some(tally.into_prompt())
    }

    fn extend(&mut self, part: Option<Part<'a>>) -> Option<u64> {
        let part = part?;
        self.parts.push(part);
        Some(part.count(&mut self.tally))
    }
}

impl<'a> Part<'a> {
    fn json(self) -> &'a RawValue {
        match self {
            Self::Shaped(json, _) | Self::Prompts(json) => json,
        }
    }

    /// How many prompts it is; 0 where that is not asked.
    fn count(self, tally: &mut Tally) -> u64 {
        match self {
            Self::Shaped(json, shape) => {
                tally.add(json, shape);
                0
            }
            Self::Prompts(json) => Prompts::count(json, tally),
        }
    }
}

#[cfg(test)]
mod tests;
