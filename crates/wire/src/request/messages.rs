//! Reads requests in Anthropic's dialect.

use serde_json::value::RawValue;

use super::fields::{declared, largest_bound, read_flag, read_members, read_metadata, read_model};
use super::prompt::Prompt;
use super::{Call, Malformed, PromptPlace};
use crate::operation::Operation;
use crate::text::{Listed, Shape};

/// Everything that is read of a request for a message.
const NAMES: [&str; 11] = [
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "metadata",
    "system",
    "messages",
    "tools",
    "output_config",
    "output_format",
];

pub(super) fn read(json: &str) -> Result<Call<'_>, Malformed> {
    let [
        model,
        stream,
        max_tokens,
        max_completion_tokens,
        max_output_tokens,
        metadata,
        system,
        messages,
        tools,
        output_config,
        output_format,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    let output = largest_bound(max_tokens, max_completion_tokens, max_output_tokens)?;
    Ok(Call {
        operation: Operation::Messages,
        json,
        model,
        stream,
        wants_usage: false,
        usage_edit: None,
        declared_output: declared(output, 1),
        prompt: prompt(system, messages, [tools, output_config, output_format]),
        prompt_place: PromptPlace::Body,
        metadata: read_metadata(metadata),
    })
}

/// Counting is a request and no tokens: nothing but the slug matters.
pub(super) fn read_count(json: &str) -> Result<Call<'_>, Malformed> {
    let [model] = read_members(json, ["model"])?;
    Ok(Call {
        operation: Operation::CountTokens,
        json,
        model: read_model(json, model)?,
        stream: false,
        wants_usage: false,
        usage_edit: None,
        declared_output: Some(0),
        prompt: Prompt::default(),
        prompt_place: PromptPlace::Body,
        metadata: None,
    })
}

fn prompt<'a>(
    system: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    shown: [Option<&'a RawValue>; 3],
) -> Prompt<'a> {
    let mut prompt = Prompt::of_chat();
    if let Some(system) = system.filter(|system| system.get() != "null") {
        prompt.add_template(tokens::MESSAGE_OVERHEAD);
        prompt.add(Some(system), Shape::Content(Listed::Blocks));
    }
    prompt.add(messages, Shape::TURNS);
    prompt.add_shown(shown);
    prompt
}
