//! A request: what is read of its body, and what is changed in it on its way upstream.
//!
//! Guarantees: a key that is read does not repeat, so what is checked here and what is served there are the same;
//! what goes upstream differs from what came by `model`, the wish for usage and a bound on the output alone.
//! Knows nothing of: headers, limits, which fields a model server would take.
//! Begins at [`read_call`]; there is one file for each dialect's reading.

mod bounds;
mod chat;
mod completions;
mod fields;
mod messages;
mod plain;
mod prompt;
mod responses;
mod stream_options;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use self::bounds::Bounds;
pub use self::bounds::{ChatSpelling, OutputBound};
use self::prompt::Prompt;
pub use self::prompt::READ_TWICE_MAX;
use crate::operation::Operation;
use crate::splice::{Edit, quoted, splice_pieces};

/// The longest `metadata` that is kept with a call, in bytes of its JSON.
pub const METADATA_LEN_MAX: usize = 16 * 1024;

/// What is needed of a request body. The body itself stays bytes.
pub struct Call<'a> {
    operation: Operation,
    json: &'a str,
    model: Model<'a>,
    stream: bool,
    wants_usage: bool,
    /// What makes a stream tell its usage, where the caller's own options do not.
    usage_edit: Option<Edit<'static>>,
    bounds: Bounds,
    prompt: Prompt<'a>,
    prompt_place: PromptPlace,
    metadata: Option<&'a str>,
    user: Option<Cow<'a, str>>,
}

/// The slug, and where it stands, quotes included.
struct Model<'a> {
    name: Cow<'a, str>,
    at: Range<usize>,
}

/// Where the prompt is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PromptPlace {
    Body,
    /// The model server keeps a part of it.
    PartlyUpstream,
}

/// Why a body cannot be served. Shown to the client as it is; quotes nothing but names of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// No JSON, no object, too deep, or ambiguous. Holds the sentence.
    InvalidJson(String),
    /// `model` is missing, or is no string.
    MissingModel,
    /// A parameter that we read has a value that we cannot.
    InvalidRequest {
        /// Which.
        param: &'static str,
        /// The sentence.
        message: String,
    },
}

/// Reads a request. One shallow pass over the body, and one over the prompt for its text.
///
/// A key that is read must not be repeated: what is checked here and what is served there must be the same.
/// Errors are the client's: see [`Malformed`].
pub fn read_call(operation: Operation, body: &[u8]) -> Result<Call<'_>, Malformed> {
    let json = fields::readable(body)?;
    match operation {
        Operation::ChatCompletions => chat::read(json),
        Operation::Completions => completions::read(json),
        Operation::Embeddings => completions::read_embeddings(json),
        Operation::Responses => responses::read(json),
        Operation::Messages => messages::read(json),
        Operation::CountTokens => messages::read_count(json),
    }
}

impl Call<'_> {
    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The slug.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model.name
    }

    /// Whether the answer is to come as a stream. Never, where an operation knows no streams.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller asked for the usage chunk of a stream. Only chat and completions have one: elsewhere the
    /// last events tell usage in any case, and nothing is asked for or withheld.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.wants_usage
    }

    /// The most tokens the answer may have: the largest bound in any spelling, times the number of answers.
    /// `None` where none is declared; null and 0 declare nothing, and so do bounds below [`tokens::OUTPUT_GUESS`] that
    /// are all in spellings of other dialects, which the model server may not know. 0 where an operation generates
    /// nothing.
    #[must_use]
    pub fn declared_output(&self) -> Option<u64> {
        if self.operation.writes() { self.bounds.declared(self.operation) } else { Some(0) }
    }

    /// How many answers a bound is for: the larger of `n` and `best_of`, times the number of prompts. 1 or more.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.bounds.answers()
    }

    /// The least bound that the model server takes, in tokens of the whole call: where a message is to think, its
    /// budget for that must stay below `max_tokens`. Never more than [`Self::declared_output`].
    #[must_use]
    pub fn output_min(&self) -> Option<u64> {
        self.bounds.least()
    }

    /// What the prompt is worth, estimated by its bytes: see the crate `tokens` for which way it errs. 0 where an
    /// operation is not charged for its prompt.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt.tokens()
    }

    /// Bytes of the prompt's text, escapes undone.
    #[must_use]
    pub fn prompt_bytes(&self) -> usize {
        self.prompt.bytes()
    }

    /// The prompt taken out of the body, to be counted by a vocabulary. Reads it once more. `None` where it stands in
    /// more than [`READ_TWICE_MAX`] bytes of JSON.
    #[must_use]
    pub fn prompt(&self) -> Option<tokens::Prompt> {
        self.prompt.taken_out()
    }

    /// Whether the prompt is not wholly in the body, so that [`Self::prompt_tokens`] may be far too low: earlier turns
    /// and templates that the model server keeps (`previous_response_id`, `conversation`, `prompt`, references to
    /// items, earlier spoken answers), and files that are named by an id or an address.
    ///
    /// Images, sounds and films are not elsewhere, whether they are in the body or at an address: they count a
    /// constant in any case. Nor is what tools of the model server will find during the call: nobody knows it before.
    #[must_use]
    pub fn prompt_is_elsewhere(&self) -> bool {
        self.prompt_place == PromptPlace::PartlyUpstream || self.prompt.is_elsewhere()
    }

    /// The raw JSON of `metadata`, if it is an object of at most [`METADATA_LEN_MAX`] bytes that every reader reads.
    #[must_use]
    pub fn metadata(&self) -> Option<&str> {
        self.metadata
    }

    /// The end user that the body declares the call is made for: in OpenAI's dialect by `user`, or else by
    /// `safety_identifier`; in Anthropic's by `metadata.user_id`. A text of 1 to [`domain::USER_LEN_MAX`] bytes; whatever
    /// else stands there is none, and is the model server's to judge. Anyone can write it there: it is a label.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The body to send upstream, in pieces to send one after the other: with the target's model, asking for usage if
    /// it is a stream that has to be asked, and with `bound` where that is given. All else stays byte for byte. `body`
    /// is what this call was read from. Up to 64 KiB come as one piece; of a longer body the unchanged parts are
    /// slices, never copied.
    ///
    /// The bound is divided by [`Self::answers`], rounded down, but 1 at least: the call may then write that number
    /// times its answers. It takes the place of every larger number and of every 0, in any spelling; smaller ones
    /// stay. Where the operation's own dialect has no number, the bound is added in that dialect's spelling.
    #[must_use]
    pub fn upstream_body(
        &self,
        body: &Bytes,
        target_model: Option<&str>,
        bound: Option<OutputBound>,
    ) -> Vec<Bytes> {
        debug_assert_eq!(body, self.json, "the body that this call was read from");
        let model = target_model
            .filter(|target| *target != self.model.name)
            .map(|target| Edit { at: self.model.at.clone(), with: quoted(target).into() });
        let usage = self.usage_edit.clone().filter(|_| self.stream);
        let bounds = bound.map(|bound| self.bounds.edits(self.json, self.operation, bound));
        splice_pieces(body, model.into_iter().chain(usage).chain(bounds.into_iter().flatten()).collect())
    }
}

/// Shows nothing of the prompt.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("model", &self.model.name)
            .field("stream", &self.stream)
            .field("declared_output", &self.declared_output())
            .field("prompt_tokens", &self.prompt_tokens())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidJson(sentence) | Self::InvalidRequest { message: sentence, .. } => {
                f.write_str(sentence)
            }
            Self::MissingModel => {
                f.write_str("The request names no model; set `model` to a name that GET /v1/models lists.")
            }
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests;
