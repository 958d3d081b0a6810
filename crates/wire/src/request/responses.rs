//! Reads a request for a response in OpenAI's dialect.

use serde_json::value::RawValue;

use super::bounds::Bounds;
use super::fields::{once, read_flag, read_members, read_metadata, read_model, read_user};
use super::prompt::Prompt;
use super::{Call, Malformed, PromptPlace};
use crate::members::members;
use crate::operation::Operation;
use crate::text::{Listed, Shape};

/// Everything that is read.
const NAMES: [&str; 16] = [
    "model",
    "stream",
    "background",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "metadata",
    "user",
    "safety_identifier",
    "instructions",
    "input",
    "tools",
    "text",
    "prompt",
    "previous_response_id",
    "conversation",
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
        user,
        safety_identifier,
        instructions,
        input,
        tools,
        text,
        prompt,
        previous_response_id,
        conversation,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    refuse_background(background)?;
    let bounds = Bounds::read(json, [max_tokens, max_completion_tokens, max_output_tokens])?;
    let elsewhere = [previous_response_id, conversation, prompt];
    let prompt_place = match elsewhere.into_iter().flatten().any(|json| json.get() != "null") {
        true => PromptPlace::PartlyUpstream,
        false => PromptPlace::Body,
    };
    let shown = [tools, read_format(text)?, prompt];
    let prompt = read_prompt(instructions, input, shown);
    Ok(Call {
        operation: Operation::Responses,
        json,
        model,
        stream,
        wants_usage: false,
        usage_edit: None,
        bounds,
        prompt,
        prompt_place,
        metadata: read_metadata(metadata),
        user: read_user([user, safety_identifier]),
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

/// Earlier turns and templates that the model server has kept (`previous_response_id`, `conversation`, `prompt`) are
/// not in the body, so they are not counted before the call.
fn read_prompt<'a>(
    instructions: Option<&'a RawValue>,
    input: Option<&'a RawValue>,
    shown: [Option<&'a RawValue>; 3],
) -> Prompt<'a> {
    let mut prompt = Prompt::of_chat();
    for text in [instructions, input].into_iter().flatten() {
        if text.get().starts_with('[') {
            prompt.add(Some(text), Shape::ITEMS);
        } else if text.get().starts_with('"') {
            prompt.add_template(tokens::MESSAGE_OVERHEAD);
            prompt.add(Some(text), Shape::Content(Listed::ItemParts));
        }
    }
    prompt.add_shown(shown);
    prompt
}
