//! How a stream of chat or completions is made to tell its usage.

use serde_json::value::RawValue;

use super::Malformed;
use super::fields::once;
use crate::members::{members, span};
use crate::splice::Edit;

/// What the caller's `stream_options` come to.
pub(super) struct UsageWish {
    /// The caller asked for the usage chunk.
    pub(super) asked: bool,
    /// How to ask for it where the caller does not.
    pub(super) edit: Option<Edit<'static>>,
}

/// Options that are no object stay as they are: the model server will refuse them.
pub(super) fn read_stream_options(json: &str, options: Option<&RawValue>) -> Result<UsageWish, Malformed> {
    let edit =
        |at, with: &'static str| Ok(UsageWish { asked: false, edit: Some(Edit { at, with: with.into() }) });
    let Some(options) = options else {
        let opened = json.find('{').map_or(0, |brace| brace + 1);
        return edit(opened..opened, r#""stream_options":{"include_usage":true},"#);
    };
    let at = span(json, options);
    if options.get() == "null" {
        return edit(at, r#"{"include_usage":true}"#);
    }
    let Ok(object) = members(options.get(), ["include_usage"]) else {
        return Ok(UsageWish { asked: false, edit: None });
    };
    let opened = at.start + 1..at.start + 1;
    let empty = object.empty;
    match once(Ok(object), "stream_options.")? {
        [Some(asks)] if asks.get() == "true" => Ok(UsageWish { asked: true, edit: None }),
        [Some(asks)] => edit(span(json, asks), "true"),
        [None] if empty => edit(opened, r#""include_usage":true"#),
        [None] => edit(opened, r#""include_usage":true,"#),
    }
}
