//! Reads a chat request in OpenAI's dialect.

use super::bounds::{Bounds, answers};
use super::fields::{read_flag, read_members, read_metadata, read_model, read_user};
use super::prompt::Prompt;
use super::stream_options::read_stream_options;
use super::{Call, Malformed, PromptPlace};
use crate::operation::Operation;
use crate::text::Shape;

/// Everything that is read.
const NAMES: [&str; 19] = [
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
    "messages",
    "tools",
    "functions",
    "response_format",
    "documents",
    "prediction",
    "chat_template",
    "chat_template_kwargs",
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
        messages,
        tools,
        functions,
        response_format,
        documents,
        prediction,
        chat_template,
        chat_template_kwargs,
    ] = read_members(json, NAMES)?;
    let model = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    let usage = read_stream_options(json, stream_options)?;
    let bounds = Bounds::read(json, [max_tokens, max_completion_tokens, max_output_tokens])?
        .times(answers(n, best_of)?);
    // From `documents` on, servers with templates of their own write them into the prompt.
    let shown =
        [tools, functions, response_format, prediction, documents, chat_template, chat_template_kwargs];
    let mut prompt = Prompt::of_chat();
    prompt.add(messages, Shape::MESSAGES);
    prompt.add_shown(shown);
    Ok(Call {
        operation: Operation::ChatCompletions,
        json,
        model,
        stream,
        wants_usage: usage.asked,
        usage_edit: usage.edit,
        bounds,
        prompt,
        prompt_place: PromptPlace::Body,
        metadata: read_metadata(metadata),
        user: read_user([user, safety_identifier]),
    })
}
