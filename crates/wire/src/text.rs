//! Counts what texts are worth, in prompts and in answers of every dialect.
//!
//! One walk over the raw JSON: a [`Shape`] says what is expected where, and what the value there counts. Whatever
//! has another shape counts nothing, and the model server will have its say about it. Only what cannot be walked
//! at all is counted by its whole length, so that odd JSON is never a way around the meter.
//!
//! Begins at [`Tally::add`].

mod escapes;
mod shape;

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use self::shape::{Listed, Shape};
use crate::members::{members, string};

/// How many lists of parts may stand in one another. Each is read once more than the one around it, so the bound
/// keeps reading linear. The deepest that any dialect knows is a document in a tool's result in a message.
const NESTED_MAX: usize = 4;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Bytes of text, escapes undone.
    pub(crate) bytes: usize,
    /// Tokens that are no text: media, and what a chat template adds.
    pub(crate) fixed: u64,
    /// Some of it stands for what is kept elsewhere, and whose size is not known here.
    pub(crate) elsewhere: bool,
    /// The texts themselves, where they are wanted.
    texts: Option<tokens::Prompt>,
}

impl Tally {
    /// One that keeps the texts as well.
    pub(crate) fn of_texts() -> Self {
        Self { texts: Some(tokens::Prompt::default()), ..Self::default() }
    }

    /// What was counted, by bytes.
    pub(crate) fn tokens(&self) -> u64 {
        tokens::text(self.bytes).saturating_add(self.fixed)
    }

    /// What was counted, ready to be counted in another way. Without its texts, if they were not kept.
    pub(crate) fn into_prompt(self) -> tokens::Prompt {
        let mut prompt = self.texts.unwrap_or_default();
        prompt.add_tokens(self.fixed);
        prompt
    }

    /// Counts JSON as it is written.
    pub(crate) fn add_written(&mut self, json: &str) {
        self.bytes += json.len();
        if let Some(texts) = &mut self.texts {
            texts.push(json);
        }
    }

    /// Counts the content of a JSON string.
    fn add_text(&mut self, string: &str) {
        let bytes = escapes::unescaped_len(string.as_bytes());
        self.bytes += bytes;
        match &mut self.texts {
            Some(texts) if texts.is_full() => texts.skip(bytes),
            Some(texts) => texts.push(&escapes::unescaped(string)),
            None => {}
        }
    }

    /// Counts a value of this shape.
    pub(crate) fn add(&mut self, json: &RawValue, shape: Shape) {
        self.walk(json, shape, 0);
    }

    fn walk(&mut self, json: &RawValue, shape: Shape, nested: usize) {
        let mut document = serde_json::Deserializer::from_str(json.get());
        if (Walk { tally: self, shape, nested }).deserialize(&mut document).is_err() {
            self.add_written(json.get());
        }
    }

    /// A text, or a list of parts, or where the dialect knows that, one part.
    fn add_content(&mut self, json: &RawValue, listed: Listed, nested: usize) {
        let written = json.get();
        let shape = match written.as_bytes() {
            [b'"', .., b'"'] => return self.add_text(&written[1..written.len() - 1]),
            [b'[', ..] => Some(listed.list()),
            [b'{', ..] => listed.single(),
            _ => None,
        };
        match shape {
            Some(_) if nested == NESTED_MAX => self.add_written(written),
            Some(shape) => self.walk(json, shape, nested + 1),
            None => {}
        }
    }

    /// JSON that the model reads or writes as it is: schemas, arguments.
    fn add_raw(&mut self, json: &RawValue) {
        match json.get() {
            "null" => {}
            string if string.starts_with('"') => self.add_content(json, Listed::Parts, 0),
            other => self.add_written(other),
        }
    }

    /// What a part is by its type, and where it has a source, by that.
    fn add_media(&mut self, media: &Media<'_>, nested: usize) {
        let kind = media.kind.and_then(string);
        let kind = kind.as_deref().unwrap_or_default();
        self.elsewhere |= media.is_elsewhere(kind);
        let Some(source) = media.source else {
            self.fixed += shape::media_tokens(kind);
            return;
        };
        let Ok(object) = members(source.get(), ["type", "data", "content"]) else {
            self.add_content(source, Listed::Blocks, nested);
            return;
        };
        let [source_kind, data, content] = object.values;
        match (source_kind.and_then(string).as_deref(), data, content) {
            (Some("text"), Some(text), _) | (Some("content"), _, Some(text)) => {
                self.add_content(text, Listed::Blocks, nested);
            }
            _ if kind == "image" => self.fixed += tokens::IMAGE,
            (source_kind, ..) => {
                self.fixed += tokens::FILE;
                self.elsewhere |= matches!(source_kind, Some("url" | "file"));
            }
        }
    }
}

/// What says of a part that it is no text.
#[derive(Default)]
struct Media<'a> {
    kind: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    /// It names something that the model server keeps or fetches.
    named: bool,
    /// It is an item that nobody wrote: if it has no type either, it is the name of one that the server keeps.
    unwritten: bool,
}

impl Media<'_> {
    /// Whether it is known by its name alone. An image counts the same wherever it is.
    fn is_elsewhere(&self, kind: &str) -> bool {
        match kind {
            "item_reference" => true,
            "" if self.unwritten => true,
            kind => self.named && !shape::is_image(kind),
        }
    }
}

/// Walks one value. Takes any shape, so that nothing unknown can fail it.
struct Walk<'t> {
    tally: &'t mut Tally,
    shape: Shape,
    /// How many lists of parts the value stands in.
    nested: usize,
}

impl<'a> DeserializeSeed<'a> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        match self.shape {
            Shape::Nothing | Shape::Kind | Shape::Source | Shape::Named | Shape::Author => {
                value.deserialize_ignored_any(IgnoredAny).map(drop)
            }
            Shape::Fixed(tokens) => {
                let something = Option::<IgnoredAny>::deserialize(value)?;
                self.tally.fixed += something.map_or(0, |_| tokens);
                Ok(())
            }
            // Raw, because a text may hold half a surrogate pair, which no Rust string can.
            Shape::Content(listed) => {
                self.tally.add_content(Deserialize::deserialize(value)?, listed, self.nested);
                Ok(())
            }
            Shape::Raw => {
                self.tally.add_raw(Deserialize::deserialize(value)?);
                Ok(())
            }
            Shape::List(_) | Shape::Object(_) => value.deserialize_any(self),
        }
    }
}

impl<'a> Visitor<'a> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let (shape, overhead) = self.shape.element();
        let nested = self.nested;
        while list.next_element_seed(Walk { tally: &mut *self.tally, shape, nested })?.is_some() {
            self.tally.fixed += overhead;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let mut media = Media { unwritten: self.shape.is_item(), ..Media::default() };
        let nested = self.nested;
        while let Some(shape) = object.next_key_seed(Member(self.shape))? {
            if matches!(shape, Shape::Kind) {
                media.kind = Some(object.next_value()?);
            } else if matches!(shape, Shape::Source) {
                media.source = Some(object.next_value()?);
            } else if matches!(shape, Shape::Author) {
                media.unwritten &= object.next_value::<Option<IgnoredAny>>()?.is_none();
            } else if matches!(shape, Shape::Named) {
                media.named |= object.next_value::<Option<IgnoredAny>>()?.is_some();
            } else {
                object.next_value_seed(Walk { tally: &mut *self.tally, shape, nested })?;
            }
        }
        self.tally.fixed += self.shape.itself();
        self.tally.add_media(&media, nested);
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

#[cfg(test)]
mod tests;
