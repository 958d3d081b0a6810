//! Counts what the texts of a chat are worth, in prompts and in answers.
//!
//! One walk over the raw JSON: [`Shape`] says what is expected where, and what the value there counts. Whatever
//! has another shape counts nothing, and the model server will have its say about it. Only what cannot be walked
//! at all is counted by its whole length, so that odd JSON is never a way around the meter.

use std::fmt;

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What was counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes of text, escapes undone.
    pub(crate) bytes: usize,
    /// Tokens that are no text: media, and what a chat template adds.
    pub(crate) fixed: u64,
}

impl Tally {
    pub(crate) fn tokens(self) -> u64 {
        tokens::text(self.bytes).saturating_add(self.fixed)
    }

    /// Counts `messages` of a request.
    pub(crate) fn add_messages(&mut self, messages: &RawValue) {
        self.walk(messages, Shape::Messages);
    }

    /// Counts `choices` of an answer or of a chunk of one.
    pub(crate) fn add_choices(&mut self, choices: &RawValue) {
        self.walk(choices, Shape::Choices);
    }

    /// Counts JSON that the model is shown as it is: tools and schemas.
    pub(crate) fn add_raw(&mut self, json: &RawValue) {
        if json.get() != "null" {
            self.bytes += json.get().len();
        }
    }

    fn walk(&mut self, json: &RawValue, shape: Shape) {
        let mut document = serde_json::Deserializer::from_str(json.get());
        if (Walk { tally: self, shape }).deserialize(&mut document).is_err() {
            self.bytes += json.get().len();
        }
    }

    /// A text, or a list of parts.
    fn add_content(&mut self, content: &RawValue) {
        let json = content.get();
        if let Some(string) = json.strip_prefix('"') {
            self.bytes += unescaped_len(string.strip_suffix('"').unwrap_or(string));
        } else if json.starts_with('[') {
            self.walk(content, Shape::Parts);
        }
    }
}

/// What a value is expected to be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Messages,
    Message,
    Parts,
    Part,
    ToolCalls,
    ToolCall,
    Function,
    Choices,
    Choice,
    /// Counts as text; a list counts as parts.
    Content,
    /// Counts this many tokens, whatever it holds.
    Fixed(u64),
    /// Counts nothing.
    Nothing,
}

impl Shape {
    /// What each element of a list is.
    fn element(self) -> Self {
        match self {
            Self::Messages => Self::Message,
            Self::Parts => Self::Part,
            Self::ToolCalls => Self::ToolCall,
            Self::Choices => Self::Choice,
            Self::Message
            | Self::Part
            | Self::ToolCall
            | Self::Function
            | Self::Choice
            | Self::Content
            | Self::Fixed(_)
            | Self::Nothing => Self::Nothing,
        }
    }

    /// What the member of an object is.
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Message, "content" | "refusal" | "name" | "reasoning_content" | "reasoning")
            | (Self::Part, "text" | "refusal")
            | (Self::Function, "name" | "arguments" | "input")
            | (Self::Choice, "text") => Self::Content,
            (Self::Message, "tool_calls") => Self::ToolCalls,
            (Self::Message, "function_call") | (Self::ToolCall, "function" | "custom") => Self::Function,
            (Self::Choice, "message" | "delta") => Self::Message,
            (Self::Part, "image_url" | "input_image" | "image") => Self::Fixed(tokens::IMAGE),
            (Self::Part, "input_audio" | "audio_url") => Self::Fixed(tokens::AUDIO),
            (Self::Part, "video_url") => Self::Fixed(tokens::VIDEO),
            (Self::Part, "file") => Self::Fixed(tokens::FILE),
            _ => Self::Nothing,
        }
    }
}

/// Walks one value. Takes any shape, so that nothing unknown can fail it.
struct Walk<'t> {
    tally: &'t mut Tally,
    shape: Shape,
}

impl<'a> DeserializeSeed<'a> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        match self.shape {
            Shape::Nothing => value.deserialize_ignored_any(IgnoredAny).map(drop),
            Shape::Fixed(tokens) => {
                self.tally.fixed += tokens;
                value.deserialize_ignored_any(IgnoredAny).map(drop)
            }
            Shape::Content => {
                // Raw, because a text may hold half a surrogate pair, which no Rust string can.
                self.tally.add_content(serde::Deserialize::deserialize(value)?);
                Ok(())
            }
            Shape::Messages
            | Shape::Message
            | Shape::Parts
            | Shape::Part
            | Shape::ToolCalls
            | Shape::ToolCall
            | Shape::Function
            | Shape::Choices
            | Shape::Choice => value.deserialize_any(self),
        }
    }
}

impl<'a> Visitor<'a> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let shape = self.shape.element();
        let overhead = if matches!(shape, Shape::Message) { tokens::MESSAGE_OVERHEAD } else { 0 };
        while list.next_element_seed(Walk { tally: &mut *self.tally, shape })?.is_some() {
            self.tally.fixed += overhead;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(shape) = object.next_key_seed(Member(self.shape))? {
            object.next_value_seed(Walk { tally: &mut *self.tally, shape })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key as the shape of its value.
struct Member(Shape);

impl<'a> DeserializeSeed<'a> for Member {
    type Value = Shape;

    fn deserialize<D: Deserializer<'a>>(self, key: D) -> Result<Shape, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Shape, E> {
        Ok(self.0.member(key))
    }
}

/// Bytes of a JSON string's content in UTF-8, escapes undone.
fn unescaped_len(string: &str) -> usize {
    let mut len = string.len();
    let mut rest = string.as_bytes();
    while let Some(found) = memchr(b'\\', rest) {
        let (written, bytes) = match rest.get(found + 1) {
            Some(b'u') => (6, escaped_char_len(rest.get(found + 2..found + 6).unwrap_or_default())),
            _ => (2, 1),
        };
        len = len.saturating_sub(written - bytes);
        rest = rest.get(found + written..).unwrap_or_default();
    }
    len
}

/// Bytes in UTF-8 of the character with these four hexadecimal digits. Each half of a pair counts half of its four.
fn escaped_char_len(digits: &[u8]) -> usize {
    let code = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code {
        Some(..0x80) => 1,
        Some(..0x800 | 0xD800..0xE000) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests;
