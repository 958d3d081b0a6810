//! Reads requests that are made of plain texts, in OpenAI's dialect: completions and embeddings.
//!
//! Their prompt is a string, a list of strings, a list of token numbers, or a list of such lists.

use memchr::{memchr_iter, memchr3};
use serde_json::value::RawValue;

use super::bounds::{Bounds, answers};
use super::fields::{read_flag, read_members, read_metadata, read_model, read_user};
use super::prompt::Prompt;
use super::stream_options::read_stream_options;
use super::{Call, Malformed, PromptPlace};
use crate::members::elements;
use crate::operation::Operation;
use crate::text::{Listed, Shape, Tally};

const TEXT: Shape = Shape::Content(Listed::Parts);

/// Everything that is read of a request for completions.
const NAMES: [&str; 13] = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "metadata",
    "user",
    "safety_identifier",
    "prompt",
    "suffix",
];

pub(super) fn read(json: &str) -> Result<Call<'_>, Malformed> {
    let [
        model,
        stream,
        stream_options,
        max_tokens,
        max_completion_tokens,
        max_output_tokens,
        n,
        best_of,
        metadata,
        user,
        safety_identifier,
        prompt,
        suffix,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    let usage = read_stream_options(json, stream_options)?;
    let mut counted = Prompt::default();
    let prompts = counted.add_prompts(prompt);
    counted.add(suffix, TEXT);
    let answers = answers(n, best_of)?.saturating_mul(prompts.max(1));
    let bounds = Bounds::read(json, [max_tokens, max_completion_tokens, max_output_tokens])?.times(answers);
    Ok(Call {
        operation: Operation::Completions,
        json,
        model,
        stream,
        wants_usage: usage.asked,
        usage_edit: usage.edit,
        bounds,
        prompt: counted,
        prompt_place: PromptPlace::Body,
        metadata: read_metadata(metadata),
        user: read_user([user, safety_identifier]),
    })
}

/// Some servers embed chats too: `messages` in place of `input`.
pub(super) fn read_embeddings(json: &str) -> Result<Call<'_>, Malformed> {
    let names = ["model", "user", "safety_identifier", "input", "messages"];
    let [model, user, safety_identifier, input, messages] = read_members(json, names)?;
    let model = read_model(json, model)?;
    let mut prompt = Prompt::default();
    prompt.add_prompts(input);
    prompt.add(messages, Shape::MESSAGES);
    Ok(Call {
        operation: Operation::Embeddings,
        json,
        model,
        stream: false,
        wants_usage: false,
        usage_edit: None,
        bounds: Bounds::default(),
        prompt,
        prompt_place: PromptPlace::Body,
        metadata: None,
        user: read_user([user, safety_identifier]),
    })
}

/// The prompts of one request.
pub(super) struct Prompts<'t> {
    tally: &'t mut Tally,
    count: u64,
    /// A list of token numbers is one prompt, and this is its first number.
    in_numbers: bool,
}

impl<'t> Prompts<'t> {
    /// Counts them, and says how many there are.
    pub(super) fn count(json: &RawValue, tally: &'t mut Tally) -> u64 {
        let mut prompts = Self { tally, count: 0, in_numbers: false };
        if let Some(len) = numbers(json.get()) {
            prompts.tally.fixed += len;
            prompts.count = 1;
        } else if !json.get().starts_with('[') {
            prompts.add(json);
        } else if elements(json, |element| prompts.add(element)).is_err() {
            prompts.tally.add_written(json.get());
        }
        prompts.count
    }

    /// One prompt of a list, or the only one.
    fn add(&mut self, json: &RawValue) {
        let one_more = match json.get().as_bytes() {
            [b'"', ..] => {
                self.tally.add(json, TEXT);
                true
            }
            [b'{', ..] => {
                self.tally.add(json, Shape::PART);
                true
            }
            [b'[', ..] => {
                self.add_list(json);
                true
            }
            [b'-' | b'0'..=b'9', ..] => {
                self.tally.fixed += 1;
                !std::mem::replace(&mut self.in_numbers, true)
            }
            _ => false,
        };
        self.count += u64::from(one_more);
    }

    /// One prompt that is a list: of token numbers, or else of whatever it is counted by.
    fn add_list(&mut self, json: &RawValue) {
        match numbers(json.get()) {
            Some(len) => self.tally.fixed += len,
            None => self.tally.add(json, Shape::Raw),
        }
    }
}

/// How many elements a list has that holds no text, list or object: token numbers. Counted by commas, since there
/// can be millions. `None` if it is another list, or none.
fn numbers(json: &str) -> Option<u64> {
    let inner = json.strip_prefix('[')?.strip_suffix(']')?.as_bytes();
    if memchr3(b'"', b'[', b'{', inner).is_some() {
        return None;
    }
    let some = u64::from(!inner.trim_ascii().is_empty());
    Some(some.saturating_add(u64::try_from(memchr_iter(b',', inner).count()).unwrap_or(u64::MAX)))
}
