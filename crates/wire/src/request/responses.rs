//! Reads a request for a response in OpenAI's dialect.

use serde_json::value::RawValue;

use super::fields::{declared, largest_bound, once, read_flag, read_members, read_metadata, read_model};
use super::{Call, Malformed};
use crate::members::members;
use crate::operation::Operation;
use crate::text::{Listed, Shape, Tally};

/// Everything that is read.
const NAMES: [&str; 12] = [
    "model",
    "stream",
    "background",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "metadata",
    "instructions",
    "input",
    "tools",
    "text",
    "prompt",
];

pub(super) fn read(json: &str) -> Result<Call<'_>, Malformed> {
    let [
        model,
        stream,
        background,
        max_tokens,
        max_completion_tokens,
        max_output_tokens,
        metadata,
        instructions,
        input,
        tools,
        text,
        prompt,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    refuse_background(background)?;
    let output = largest_bound(max_tokens, max_completion_tokens, max_output_tokens)?;
    let shown = [tools, read_format(text)?, prompt];
    Ok(Call {
        operation: Operation::Responses,
        json,
        model,
        stream,
        wants_usage: false,
        usage_edit: None,
        declared_output: declared(output, 1),
        prompt_tokens: count_prompt(instructions, input, shown),
        metadata: read_metadata(metadata),
    })
}

/// What runs in the background tells its usage to whoever fetches it later, and that is not us.
fn refuse_background(background: Option<&RawValue>) -> Result<(), Malformed> {
    if !read_flag("background", background)? {
        return Ok(());
    }
    let message = "`background` is not supported here; leave it out and wait for the answer.".to_owned();
    Err(Malformed::InvalidRequest { param: "background", message })
}

/// The schema that the answer has to follow, if there is one.
fn read_format(text: Option<&RawValue>) -> Result<Option<&RawValue>, Malformed> {
    let Some(object) = text.and_then(|text| members(text.get(), ["format"]).ok()) else { return Ok(None) };
    let [format] = once(Ok(object), "text.")?;
    Ok(format)
}

/// Earlier turns that the model server has kept (`previous_response_id`, `conversation`) are not in the body, so
/// they are not counted before the call.
fn count_prompt(
    instructions: Option<&RawValue>,
    input: Option<&RawValue>,
    shown: [Option<&RawValue>; 3],
) -> u64 {
    let mut tally = Tally { fixed: tokens::REPLY_PRIMING, ..Tally::default() };
    for text in [instructions, input].into_iter().flatten() {
        if text.get().starts_with('[') {
            tally.add(text, Shape::ITEMS);
        } else if text.get().starts_with('"') {
            tally.fixed += tokens::MESSAGE_OVERHEAD;
            tally.add(text, Shape::Content(Listed::ItemParts));
        }
    }
    for json in shown.into_iter().flatten() {
        tally.add(json, Shape::Raw);
    }
    tally.tokens()
}
