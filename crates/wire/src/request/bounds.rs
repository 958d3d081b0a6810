//! The bounds on what a call may write: what a request says of them, and how a smaller one is put into it.
//!
//! A bound counts in any spelling, since a server may know more of them than its dialect does; but only one in a
//! spelling of the operation's own dialect is sure to be heeded. So where there is none of those, a small bound
//! declares nothing, or whoever misspells it would hold little and get much; and where a bound is to be put in, one is
//! added.
//!
//! Begins at [`Bounds::read`] and [`Bounds::edits`].

use std::ops::Range;

use serde_json::value::RawValue;

use super::Malformed;
use super::fields::whole_number;
use crate::members::span;
use crate::operation::Operation;
use crate::splice::Edit;

/// A bound to send upstream with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBound {
    /// The most tokens that the whole call may write, all its answers together.
    pub tokens: u64,
    /// How to say so in a chat that names no bound itself.
    pub in_chat: ChatSpelling,
}

/// What a chat calls its bound. Every other operation has one name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatSpelling {
    /// `max_tokens`, the name that most servers know.
    MaxTokens,
    /// `max_completion_tokens`: some models of OpenAI take no other.
    MaxCompletionTokens,
}

/// Everything that bounds a call's output.
#[derive(Default)]
pub(super) struct Bounds {
    /// In the order of [`SPELLINGS`].
    spelled: [Spelled; 3],
    /// How many answers the bound is for; 0 is 1.
    answers: u64,
    /// The least bound that the model server takes.
    least: Option<u64>,
}

/// One spelling of the bound.
#[derive(Default)]
struct Spelled {
    /// Where its value stands.
    at: Option<Range<usize>>,
    /// The number; null says as little as nothing.
    tokens: Option<u64>,
}

/// How a bound on one answer is spelled.
const SPELLINGS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
const MAX_TOKENS: usize = 0;
const MAX_COMPLETION_TOKENS: usize = 1;
const MAX_OUTPUT_TOKENS: usize = 2;

impl Bounds {
    /// The values of the request in the order of `max_tokens`, `max_completion_tokens`, `max_output_tokens`.
    pub(super) fn read(json: &str, values: [Option<&RawValue>; 3]) -> Result<Self, Malformed> {
        let mut bounds = Self::default();
        for ((name, value), spelled) in SPELLINGS.into_iter().zip(values).zip(&mut bounds.spelled) {
            let number = value.filter(|json| json.get() != "null");
            spelled.at = value.map(|value| span(json, value));
            spelled.tokens = number.map(|_| whole_number(name, value)).transpose()?;
        }
        Ok(bounds)
    }

    /// The same for each of so many answers.
    pub(super) fn times(self, answers: u64) -> Self {
        Self { answers, ..self }
    }

    /// The same where a bound below `least` is refused. A caller who declares less has its reasons.
    pub(super) fn at_least(self, least: Option<u64>, operation: Operation) -> Self {
        let declared = self.declared(operation);
        let least = least.map(|least| declared.map_or(least, |declared| least.min(declared)));
        Self { least, ..self }
    }

    /// The largest bound in any spelling, times the answers; null and 0 declare nothing, and so does what is smaller than
    /// a guess and perhaps not heeded.
    pub(super) fn declared(&self, operation: Operation) -> Option<u64> {
        let largest = self.spelled.iter().filter_map(|spelled| spelled.tokens).max()?;
        let smallest = if self.is_heeded(operation) { 1 } else { tokens::OUTPUT_GUESS };
        (largest >= smallest).then(|| largest.saturating_mul(self.answers()))
    }

    /// Whether there is one that servers of the operation's dialect are sure to heed.
    fn is_heeded(&self, operation: Operation) -> bool {
        // How a chat spells what is missing is no question here.
        let known = spellings_of(operation, ChatSpelling::MaxTokens).map_or(&[][..], |(known, _)| known);
        known.iter().any(|index| self.spelled[*index].tokens.is_some_and(|tokens| tokens > 0))
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.max(1)
    }

    pub(super) fn least(&self) -> Option<u64> {
        self.least
    }

    /// What puts a bound into the request that these were read from. Smaller ones stay.
    pub(super) fn edits(&self, json: &str, operation: Operation, bound: OutputBound) -> Vec<Edit<'static>> {
        let Some((known, missing)) = spellings_of(operation, bound.in_chat) else { return Vec::new() };
        let each = (bound.tokens / self.answers()).max(1);
        let too_large = |tokens: u64| tokens == 0 || tokens > each;
        let spelled = self.spelled.iter().filter(|spelled| spelled.tokens.is_some_and(too_large));
        let mut edits: Vec<_> = spelled.filter_map(|spelled| spelled.replaced(each)).collect();
        if known.iter().all(|index| self.spelled[*index].tokens.is_none()) {
            let in_place = self.spelled[missing].replaced(each);
            edits.push(in_place.unwrap_or_else(|| added(json, SPELLINGS[missing], each)));
        }
        edits
    }
}

impl Spelled {
    fn replaced(&self, tokens: u64) -> Option<Edit<'static>> {
        Some(Edit { at: self.at.clone()?, with: tokens.to_string().into() })
    }
}

/// The spellings that servers of the operation's dialect heed, and the one to use where there is none of them.
/// `None` where nothing is written.
fn spellings_of(operation: Operation, in_chat: ChatSpelling) -> Option<(&'static [usize], usize)> {
    match operation {
        Operation::ChatCompletions => {
            let missing = match in_chat {
                ChatSpelling::MaxTokens => MAX_TOKENS,
                ChatSpelling::MaxCompletionTokens => MAX_COMPLETION_TOKENS,
            };
            Some((&[MAX_TOKENS, MAX_COMPLETION_TOKENS], missing))
        }
        Operation::Completions | Operation::Messages => Some((&[MAX_TOKENS], MAX_TOKENS)),
        Operation::Responses => Some((&[MAX_OUTPUT_TOKENS], MAX_OUTPUT_TOKENS)),
        Operation::Embeddings | Operation::CountTokens => None,
    }
}

/// Before the other members, of which there is one at least: `model`.
fn added(json: &str, name: &str, tokens: u64) -> Edit<'static> {
    let opened = json.find('{').map_or(0, |brace| brace + 1);
    Edit { at: opened..opened, with: format!("\"{name}\":{tokens},").into() }
}

/// How many answers to each prompt are generated.
pub(super) fn answers(n: Option<&RawValue>, best_of: Option<&RawValue>) -> Result<u64, Malformed> {
    Ok(whole_number("n", n)?.max(whole_number("best_of", best_of)?).max(1))
}
