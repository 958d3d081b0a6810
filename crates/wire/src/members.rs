//! Reads the named members of one JSON object and skips the rest; or one list, element by element.
//!
//! Values stay raw text of the document they were read from, so each knows its place there ([`span`]).
//! Names are compared after their escapes are undone: `"mod\u0065l"` is `model`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one object that were asked for.
#[derive(Debug)]
pub(crate) struct Members<'a, const N: usize> {
    /// In the order of the names; the last one where a name repeats.
    pub(crate) values: [Option<&'a RawValue>; N],
    /// The first name that came twice.
    pub(crate) repeated: Option<&'static str>,
    /// The first name that came in other letters: `Model`. Some servers take that for the name, some do not.
    pub(crate) in_other_letters: Option<&'static str>,
    /// The object has no members at all.
    pub(crate) empty: bool,
}

/// Reads a document that is one object. Fails where it is no JSON, or (`is_data`) no object.
pub(crate) fn members<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Result<Members<'a, N>, serde_json::Error> {
    let mut document = serde_json::Deserializer::from_str(json);
    let members = document.deserialize_map(Object(names))?;
    document.end()?;
    Ok(members)
}

/// Hands over each element of a document that is one list. Fails where it is none; what came before is handed over.
pub(crate) fn elements<'a>(
    json: &'a RawValue,
    each: impl FnMut(&'a RawValue),
) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(json.get()).deserialize_seq(List(each))
}

/// A string's content, escapes undone; copied only if there are any. `None` if the value is no string.
pub(crate) fn string(json: &RawValue) -> Option<Cow<'_, str>> {
    let plain = json.get().strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        return serde_json::from_str(json.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(plain))
}

/// Where a raw value stands in the document it was read from.
pub(crate) fn span(document: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr().saturating_sub(document.as_ptr().addr());
    start..start + value.get().len()
}

struct Object<const N: usize>([&'static str; N]);

impl<'a, const N: usize> Visitor<'a> for Object<N> {
    type Value = Members<'a, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { values: [None; N], repeated: None, in_other_letters: None, empty: true };
        while let Some(key) = object.next_key_seed(Name(&self.0))? {
            members.empty = false;
            match key {
                Key::Other => object.next_value::<IgnoredAny>().map(drop)?,
                Key::InOtherLetters(index) => {
                    members.in_other_letters.get_or_insert(self.0[index]);
                    object.next_value::<IgnoredAny>().map(drop)?;
                }
                Key::Named(index) => {
                    let value = object.next_value::<&RawValue>()?;
                    if members.values[index].replace(value).is_some() {
                        members.repeated.get_or_insert(self.0[index]);
                    }
                }
            }
        }
        Ok(members)
    }
}

struct List<F>(F);

impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// What a key is to the names.
enum Key {
    /// This one of them.
    Named(usize),
    /// This one, but for its letters being large or small.
    InOtherLetters(usize),
    Other,
}

/// Which of the names a key is.
struct Name<'n, const N: usize>(&'n [&'static str; N]);

impl<'a, const N: usize> DeserializeSeed<'a> for Name<'_, N> {
    type Value = Key;

    fn deserialize<D: Deserializer<'a>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Name<'_, N> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        if let Some(index) = self.0.iter().position(|name| *name == key) {
            return Ok(Key::Named(index));
        }
        // Nearly every key is in small letters, and then there is nothing to compare.
        if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            return Ok(Key::Other);
        }
        let same = self.0.iter().position(|name| key.chars().map(folded).eq(name.chars()));
        Ok(same.map_or(Key::Other, Key::InOtherLetters))
    }
}

/// The small letter that a reader who cares for no case takes a character for. Besides the plain ones, Go's JSON
/// reader knows two that fold into ASCII: the long s and the sign of the Kelvin.
fn folded(letter: char) -> char {
    match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{elements, members, span, string};

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn the_elements_of_a_list_come_in_order() {
        let list = raw(r#"[1, "two",[3] ]"#);
        let mut found = Vec::new();
        elements(&list, |element| found.push(element.get())).unwrap();
        assert_eq!(found, ["1", "\"two\"", "[3]"]);
        assert!(elements(&raw("{}"), |_| ()).is_err());
    }

    #[test]
    fn a_string_is_read_without_its_escapes() {
        assert_eq!(string(&raw(r#""a b""#)).unwrap(), "a b");
        assert_eq!(string(&raw(r#""\u0061\"""#)).unwrap(), "a\"");
        for none in ["1", "null", r#""\ud800""#, "[\"a\"]"] {
            assert_eq!(string(&raw(none)), None, "{none}");
        }
    }

    #[test]
    fn named_members_are_found_and_others_are_skipped() {
        let found = members(r#"{"x":[1,{"a":9}],"b" : "two","a":1}"#, ["a", "b", "c"]).unwrap();
        let [a, b, c] = found.values;
        assert_eq!((a.unwrap().get(), b.unwrap().get()), ("1", "\"two\""));
        assert!(c.is_none() && found.repeated.is_none() && !found.empty);
    }

    #[test]
    fn a_repeated_name_is_told_even_if_spelled_with_escapes() {
        assert_eq!(members(r#"{"a":1,"\u0061":2}"#, ["a"]).unwrap().repeated, Some("a"));
        assert_eq!(members(r#"{"b":1,"b":2}"#, ["a"]).unwrap().repeated, None);
    }

    #[test]
    fn a_name_in_other_letters_is_told_and_is_not_the_name() {
        for key in ["Max_Token\u{17f}", "MAX_TOKENS", "max_to\u{212a}ens", "M\\u0061x_tokens"] {
            let json = format!(r#"{{"{key}":1}}"#);
            let found = members(&json, ["a", "max_tokens"]).unwrap();
            assert_eq!(
                (found.in_other_letters, found.values[1].is_some()),
                (Some("max_tokens"), false),
                "{key}"
            );
        }
        for key in ["MaxTokens", "max_tokenß", "Max_token", "x"] {
            let json = format!(r#"{{"{key}":1,"max_tokens":2}}"#);
            assert_eq!(members(&json, ["a", "max_tokens"]).unwrap().in_other_letters, None, "{key}");
        }
    }

    #[test]
    fn a_value_knows_its_place() {
        let json = r#" { "a" :  [1, 2] } "#;
        let [a] = members(json, ["a"]).unwrap().values;
        assert_eq!(&json[span(json, a.unwrap())], "[1, 2]");
    }

    #[test]
    fn what_is_no_object_is_a_matter_of_type_not_of_syntax() {
        for json in ["[]", "1", "\"secret\"", "null"] {
            assert!(members(json, ["a"]).unwrap_err().is_data(), "{json}");
        }
        for json in ["", "{", "{}x", "{\"a\":}", "{\"a\":1,}"] {
            assert!(!members(json, ["a"]).unwrap_err().is_data(), "{json}");
        }
    }
}
