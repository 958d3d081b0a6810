//! Reads requests in Anthropic's dialect.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::bounds::Bounds;
use super::fields::{once, read_flag, read_members, read_metadata, read_model, read_user};
use super::prompt::Prompt;
use super::{Call, Malformed, PromptPlace};
use crate::members::{members, string};
use crate::operation::Operation;
use crate::text::{Listed, Shape};

/// Everything that is read of a request for a message.
const NAMES: [&str; 12] = [
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
    "thinking",
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
        thinking,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    let bounds = Bounds::read(json, [max_tokens, max_completion_tokens, max_output_tokens])?
        .at_least(least(thinking)?, Operation::Messages);
    Ok(Call {
        operation: Operation::Messages,
        json,
        model,
        stream,
        wants_usage: false,
        usage_edit: None,
        bounds,
        prompt: prompt(system, messages, [tools, output_config, output_format]),
        prompt_place: PromptPlace::Body,
        metadata: read_metadata(metadata),
        user: user(metadata)?,
    })
}

/// Counting is a request and no tokens: nothing but the slug and the user matters.
pub(super) fn read_count(json: &str) -> Result<Call<'_>, Malformed> {
    let [model, metadata] = read_members(json, ["model", "metadata"])?;
    Ok(Call {
        operation: Operation::CountTokens,
        json,
        model: read_model(json, model)?,
        stream: false,
        wants_usage: false,
        usage_edit: None,
        bounds: Bounds::default(),
        prompt: Prompt::default(),
        prompt_place: PromptPlace::Body,
        metadata: None,
        user: user(metadata)?,
    })
}

/// The end user that `metadata` names.
fn user(metadata: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, Malformed> {
    let object = metadata.and_then(|metadata| members(metadata.get(), ["user_id"]).ok());
    let Some(object) = object else { return Ok(None) };
    Ok(read_user(once(Ok(object), "metadata.")?))
}

/// The least `max_tokens` that is taken: one more than may be thought.
fn least(thinking: Option<&RawValue>) -> Result<Option<u64>, Malformed> {
    let object = thinking.and_then(|thinking| members(thinking.get(), ["type", "budget_tokens"]).ok());
    let Some(object) = object else { return Ok(None) };
    let [kind, budget] = once(Ok(object), "thinking.")?;
    if kind.and_then(string).as_deref() != Some("enabled") {
        return Ok(None);
    }
    let budget = budget.and_then(|budget| budget.get().parse::<u64>().ok());
    Ok(budget.map(|budget| budget.saturating_add(1)))
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
