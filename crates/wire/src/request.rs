//! A chat request: what is read of its body, and what is changed in it on its way upstream.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::depth::{DEPTH_MAX, nests_too_deep};
use crate::members::{Members, members, span};
use crate::splice::{Edit, quoted, splice};
use crate::text::Tally;

/// The longest `metadata` that is kept with a call, in bytes of its JSON.
pub const METADATA_LEN_MAX: usize = 16 * 1024;

/// What is needed of a request body. The body itself stays bytes.
pub struct ChatCall<'a> {
    json: &'a str,
    model: Cow<'a, str>,
    model_at: Range<usize>,
    stream: bool,
    wants_usage: bool,
    /// What makes a stream tell its usage, where the caller's own options do not.
    usage_edit: Option<Edit<'static>>,
    declared_output: Option<u64>,
    prompt_tokens: u64,
    metadata: Option<&'a str>,
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

/// Reads a chat request. One shallow pass over the body, and one over its messages for their text.
///
/// A key that is read must not be repeated: what is checked here and what is served there must be the same.
pub fn read_chat(body: &[u8]) -> Result<ChatCall<'_>, Malformed> {
    let json = std::str::from_utf8(body).map_err(|_| invalid("is not valid UTF-8", "send JSON in UTF-8"))?;
    if nests_too_deep(body) {
        return Err(invalid(&format!("nests deeper than {DEPTH_MAX} levels"), "send a flatter one"));
    }
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
        messages,
        tools,
        functions,
        response_format,
    ] = once(members(json, NAMES), "")?;
    let (model, model_at) = read_model(json, model)?;
    let stream = read_flag("stream", stream)?;
    let (wants_usage, usage_edit) = read_stream_options(json, stream_options)?;
    let output = whole_number("max_tokens", max_tokens)?
        .max(whole_number("max_completion_tokens", max_completion_tokens)?)
        .max(whole_number("max_output_tokens", max_output_tokens)?);
    let answers = whole_number("n", n)?.max(whole_number("best_of", best_of)?).max(1);
    Ok(ChatCall {
        json,
        model,
        model_at,
        stream,
        wants_usage,
        usage_edit,
        declared_output: (output > 0).then(|| output.saturating_mul(answers)),
        prompt_tokens: count_prompt(messages, [tools, functions, response_format]),
        metadata: metadata.map(RawValue::get).filter(|json| is_metadata(json)),
    })
}

impl ChatCall<'_> {
    /// The slug.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is to come as a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller asked for the usage chunk of a stream.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.wants_usage
    }

    /// The most tokens the answer may have: the largest bound in any spelling, times the number of answers.
    /// `None` where none is declared; null and 0 declare nothing.
    #[must_use]
    pub fn declared_output(&self) -> Option<u64> {
        self.declared_output
    }

    /// What the prompt is worth, estimated: see the crate `tokens` for which way it errs.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// The raw JSON of `metadata`, if it is an object of at most [`METADATA_LEN_MAX`] bytes.
    #[must_use]
    pub fn metadata(&self) -> Option<&str> {
        self.metadata
    }

    /// The body to send upstream: with the target's model, and asking for usage if it is a stream. All else stays
    /// byte for byte. `body` is what this call was read from; it is returned uncopied if nothing has to change.
    #[must_use]
    pub fn upstream_body(&self, body: &Bytes, target_model: Option<&str>) -> Bytes {
        debug_assert_eq!(body, self.json, "the body that this call was read from");
        let model = target_model
            .filter(|target| *target != self.model)
            .map(|target| Edit { at: self.model_at.clone(), with: quoted(target).into() });
        let usage = self.usage_edit.clone().filter(|_| self.stream);
        let edits: Vec<Edit<'_>> = model.into_iter().chain(usage).collect();
        if edits.is_empty() { body.clone() } else { splice(self.json.as_bytes(), edits) }
    }
}

/// Shows nothing of the prompt.
impl fmt::Debug for ChatCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatCall")
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("declared_output", &self.declared_output)
            .field("prompt_tokens", &self.prompt_tokens)
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

/// Everything that is read of a body.
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
    "messages",
    "tools",
    "functions",
    "response_format",
];

fn invalid(what: &str, remedy: &str) -> Malformed {
    Malformed::InvalidJson(format!("The request body {what}; {remedy}."))
}

/// The values of an object that repeats no name. `parent` is put before the name in the sentence.
fn once<'a, const N: usize>(
    object: Result<Members<'a, N>, serde_json::Error>,
    parent: &str,
) -> Result<[Option<&'a RawValue>; N], Malformed> {
    match object {
        Ok(Members { values, repeated: None, .. }) => Ok(values),
        Ok(Members { repeated: Some(name), .. }) => {
            Err(invalid(&format!("repeats the key `{parent}{name}`"), "send it once"))
        }
        // An error of type would quote the value; one of syntax tells only what was expected, and where.
        Err(error) if error.is_data() => Err(invalid("is not a JSON object", "send one object")),
        Err(error) => Err(invalid(&format!("is not valid JSON ({error})"), "send one JSON object")),
    }
}

fn read_model<'a>(
    json: &str,
    model: Option<&'a RawValue>,
) -> Result<(Cow<'a, str>, Range<usize>), Malformed> {
    let raw = model.ok_or(Malformed::MissingModel)?;
    let plain = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let name = match plain {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => Cow::Owned(serde_json::from_str(raw.get()).map_err(|_| Malformed::MissingModel)?),
    };
    Ok((name, span(json, raw)))
}

fn read_flag(param: &'static str, value: Option<&RawValue>) -> Result<bool, Malformed> {
    match value.map(RawValue::get) {
        Some("true") => Ok(true),
        None | Some("false" | "null") => Ok(false),
        Some(_) => {
            let message = format!("`{param}` is not a boolean; send true or false, or leave it out.");
            Err(Malformed::InvalidRequest { param, message })
        }
    }
}

/// 0 where nothing is declared. A number too large for us is larger than any limit.
fn whole_number(param: &'static str, value: Option<&RawValue>) -> Result<u64, Malformed> {
    let Some(number) = value.map(RawValue::get).filter(|json| *json != "null") else { return Ok(0) };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{param}` is not a whole number; send 0 or more, or leave it out.");
        return Err(Malformed::InvalidRequest { param, message });
    }
    Ok(number.parse().unwrap_or(u64::MAX))
}

/// Whether the caller wants to see the usage of a stream, and how to ask for it where the caller does not.
/// Options that are no object stay as they are: the model server will refuse them.
fn read_stream_options(
    json: &str,
    options: Option<&RawValue>,
) -> Result<(bool, Option<Edit<'static>>), Malformed> {
    let edit = |at, with: &'static str| Ok((false, Some(Edit { at, with: with.into() })));
    let Some(options) = options else {
        let opened = json.find('{').map_or(0, |brace| brace + 1);
        return edit(opened..opened, r#""stream_options":{"include_usage":true},"#);
    };
    let at = span(json, options);
    if options.get() == "null" {
        return edit(at, r#"{"include_usage":true}"#);
    }
    let Ok(object) = members(options.get(), ["include_usage"]) else { return Ok((false, None)) };
    let opened = at.start + 1..at.start + 1;
    let empty = object.empty;
    match once(Ok(object), "stream_options.")? {
        [Some(asks)] if asks.get() == "true" => Ok((true, None)),
        [Some(asks)] => edit(span(json, asks), "true"),
        [None] if empty => edit(opened, r#""include_usage":true"#),
        [None] => edit(opened, r#""include_usage":true,"#),
    }
}

fn count_prompt(messages: Option<&RawValue>, shown: [Option<&RawValue>; 3]) -> u64 {
    let mut tally = Tally { fixed: tokens::REPLY_PRIMING, ..Tally::default() };
    if let Some(messages) = messages {
        tally.add_messages(messages);
    }
    for json in shown.into_iter().flatten() {
        tally.add_raw(json);
    }
    tally.tokens()
}

fn is_metadata(json: &str) -> bool {
    json.starts_with('{') && json.len() <= METADATA_LEN_MAX
}

#[cfg(test)]
mod tests;
