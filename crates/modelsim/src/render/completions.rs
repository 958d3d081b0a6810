//! Completions of a text: one choice, whatever `n` and the number of prompts, as in a chat.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{CREATED, OpenAiUsage, json};
use crate::completion::{Completion, Finish};
use crate::stream::{Events, Word};

#[derive(Serialize)]
struct TextCompletion<'a> {
    id: &'static str,
    object: &'static str,
    created: u64,
    model: &'a RawValue,
    choices: Vec<Choice<'a>>,
    /// Left out, or `null`, or told.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<OpenAiUsage>>,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u8,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

pub(super) fn whole(completion: &Completion<'_>) -> String {
    let usage = completion.usage.map(|usage| Some(usage.into()));
    let words = completion.words();
    json(&text_completion(completion, vec![choice(&words, Some(finish(completion)))], usage))
}

pub(super) fn events(completion: &Completion<'_>) -> Events {
    let unsaid = || completion.usage_asked.then_some(None);
    let chunk = |text, finish| event(&text_completion(completion, vec![choice(text, finish)], unsaid()));
    let mut closing = vec![chunk("", Some(finish(completion)))];
    if let Some(usage) = completion.usage.filter(|_| completion.usage_asked) {
        closing.push(event(&text_completion(completion, Vec::new(), Some(Some(usage.into())))));
    }
    closing.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let word = Word::Same(chunk(&completion.script.word, None));
    Events { opening: Vec::new(), word, words: completion.tokens, closing }
}

fn text_completion<'a>(
    completion: &Completion<'a>,
    choices: Vec<Choice<'a>>,
    usage: Option<Option<OpenAiUsage>>,
) -> TextCompletion<'a> {
    TextCompletion {
        id: "cmpl-sim",
        object: "text_completion",
        created: CREATED,
        model: completion.model,
        choices,
        usage,
        system_fingerprint: "fp_sim",
    }
}

fn choice<'a>(text: &'a str, finish_reason: Option<&'static str>) -> Choice<'a> {
    Choice { text, index: 0, logprobs: (), finish_reason }
}

fn event(chunk: &TextCompletion<'_>) -> Bytes {
    format!("data: {}\n\n", json(chunk)).into()
}

fn finish(completion: &Completion<'_>) -> &'static str {
    if completion.finish == Finish::Length { "length" } else { "stop" }
}
