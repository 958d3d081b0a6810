//! Reads the fields that requests of several dialects have in common, and says what is wrong with them.

use std::borrow::Cow;

use domain::USER_LEN_MAX;
use serde_json::value::RawValue;

use super::plain::is_plain;
use super::{METADATA_LEN_MAX, Malformed, Model};
use crate::depth::{DEPTH_MAX, nests_too_deep};
use crate::members::{Members, members, span, string};

/// A name of [`USER_LEN_MAX`] bytes has at most as many letters, each written as `\u0061`, and quotes around them.
const USER_JSON_LEN_MAX: usize = 6 * USER_LEN_MAX + 2;

/// The body as text, if it is worth parsing.
pub(super) fn readable(body: &[u8]) -> Result<&str, Malformed> {
    let json = std::str::from_utf8(body).map_err(|_| invalid("is not valid UTF-8", "send JSON in UTF-8"))?;
    if nests_too_deep(body) {
        return Err(invalid(&format!("nests deeper than {DEPTH_MAX} levels"), "send a flatter one"));
    }
    Ok(json)
}

/// The values of the body's members with these names, none of which may repeat.
pub(super) fn read_members<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], Malformed> {
    once(members(json, names), "")
}

/// The values of an object that repeats no name, not in other letters either: servers written in Go take `Model` for
/// `model`. `parent` is put before the name in the sentence.
pub(super) fn once<'a, const N: usize>(
    object: Result<Members<'a, N>, serde_json::Error>,
    parent: &str,
) -> Result<[Option<&'a RawValue>; N], Malformed> {
    match object {
        Ok(Members { repeated: Some(name), .. }) => {
            Err(invalid(&format!("repeats the key `{parent}{name}`"), "send it once"))
        }
        Ok(Members { in_other_letters: Some(name), .. }) => {
            Err(invalid(&format!("has the key `{parent}{name}` in other letters"), "send it as written here"))
        }
        Ok(Members { values, .. }) => Ok(values),
        // An error of type would quote the value; one of syntax tells only what was expected, and where.
        Err(error) if error.is_data() => Err(invalid("is not a JSON object", "send one object")),
        Err(error) => Err(invalid(&format!("is not valid JSON ({error})"), "send one JSON object")),
    }
}

pub(super) fn read_model<'a>(json: &str, model: Option<&'a RawValue>) -> Result<Model<'a>, Malformed> {
    let raw = model.ok_or(Malformed::MissingModel)?;
    let name = string(raw).ok_or(Malformed::MissingModel)?;
    Ok(Model { name, at: span(json, raw) })
}

pub(super) fn read_flag(param: &'static str, value: Option<&RawValue>) -> Result<bool, Malformed> {
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
pub(super) fn whole_number(param: &'static str, value: Option<&RawValue>) -> Result<u64, Malformed> {
    let Some(number) = value.map(RawValue::get).filter(|json| *json != "null") else { return Ok(0) };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{param}` is not a whole number; send 0 or more, or leave it out.");
        return Err(Malformed::InvalidRequest { param, message });
    }
    Ok(number.parse().unwrap_or(u64::MAX))
}

/// An object of bearable size that whoever is sent it can read; any other is none.
pub(super) fn read_metadata(metadata: Option<&RawValue>) -> Option<&str> {
    let object = metadata.map(RawValue::get).filter(|json| json.starts_with('{'));
    object.filter(|json| json.len() <= METADATA_LEN_MAX && is_plain(json))
}

/// The end user that a call is made for: the first of these members that names one. What does not is none.
pub(super) fn read_user<'a, const N: usize>(members: [Option<&'a RawValue>; N]) -> Option<Cow<'a, str>> {
    members.into_iter().flatten().find_map(user_name)
}

/// A text of 1 to [`USER_LEN_MAX`] bytes. A longer one is not read to its end.
fn user_name(json: &RawValue) -> Option<Cow<'_, str>> {
    let name = Some(json).filter(|json| json.get().len() <= USER_JSON_LEN_MAX).and_then(string)?;
    (1..=USER_LEN_MAX).contains(&name.len()).then_some(name)
}

fn invalid(what: &str, remedy: &str) -> Malformed {
    Malformed::InvalidJson(format!("The request body {what}; {remedy}."))
}
