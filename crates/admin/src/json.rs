//! JSON in and out: a body is read whole and within bounds, and whatever is wrong with it is said by name.
//!
//! serde is lenient where our contract is not: it takes an array for a struct and `{"TOKEN": null}` for a word.
//! [`Object`] and [`Word`] take neither.
//!
//! Begins at [`parse`].

mod amount;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use domain::edit::group::NAME_LEN_MAX;
use domain::{SecretValue, THRESHOLD_MAX};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

pub(crate) use self::amount::Amount;
use crate::admin::Admin;
use crate::authenticate::recognized;
use crate::error::Error;

/// A body may take this long however small it is, and then a second more for each [`PACE_BYTES`].
const PATIENCE: Duration = Duration::from_secs(10);
const PACE_BYTES: usize = 1024;

/// A body, read whole and not looked at yet. It may hold a secret, so it has no `Debug`.
pub(crate) struct Received(pub Bytes);

impl FromRequest<Arc<Admin>> for Received {
    type Rejection = Error;
    async fn from_request(request: Request, admin: &Arc<Admin>) -> Result<Self, Error> {
        if request.headers().contains_key(CONTENT_ENCODING) {
            return Err(Error::UnsupportedMediaType);
        }
        // Whoever has come so far has been let in; here is only asked who it was.
        let (key, _) = recognized(request.headers(), admin)?;
        let reading = read(request.into_body(), admin.settings.body_max);
        admin.waits.during(key.workspace, reading).await?.map(Self)
    }
}

/// Reads a body whole: no longer than `max` bytes, and no slower than its pace.
async fn read(body: Body, max: usize) -> Result<Bytes, Error> {
    let mut body = Limited::new(body, max);
    let mut whole = BytesMut::new();
    let began = Instant::now();
    loop {
        let pace = Duration::from_secs(u64::try_from(whole.len() / PACE_BYTES).unwrap_or(u64::MAX));
        let frame = timeout_at(began + PATIENCE + pace, body.frame()).await;
        match frame.map_err(|_| Error::RequestTimeout)? {
            None => return Ok(whole.freeze()),
            Some(Ok(frame)) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(Error::PayloadTooLarge(max)),
            Some(Err(_)) => return Err(Error::invalid("The body broke off; send it again.")),
        }
    }
}

/// A success: always 200, always JSON.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).expect("our views have text for keys and cannot fail");
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Reads a body as one JSON object.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    parse_as("The body", body)
}

/// Reads one JSON object, under the name that errors give it.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub(crate) fn parse_as<T: DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, Error> {
    if std::str::from_utf8(text).is_err() {
        return Err(Error::invalid(format!("{name} is not UTF-8; send JSON in UTF-8.")));
    }
    if wire::nests_too_deep(text) {
        return Err(Error::invalid(format!("{name} nests deeper than 128 levels; send a flatter one.")));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| explain(name, &error))?;
    json.end().map_err(|error| malformed(name, &error))?;
    Ok(value)
}

fn explain(name: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let (path, inner) = (error.path(), error.inner());
    if !inner.is_data() {
        return malformed(name, inner);
    }
    // The position helps with broken syntax only; here the path says more.
    let position = format!(" at line {} column {}", inner.line(), inner.column());
    let what = inner.to_string();
    let what = what.strip_suffix(&position).unwrap_or(&what);
    match path.iter().next() {
        Some(_) => Error::invalid(format!("{path}: {what}.")),
        None => Error::invalid(format!("{name} is not as expected: {what}.")),
    }
}

fn malformed(name: &str, error: &serde_json::Error) -> Error {
    Error::invalid(format!("{name} is not valid JSON: {error}."))
}

/// A JSON object, and not an array in its place.
#[derive(Debug)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            // A text in the place of a body may be the secret itself, so the error does not repeat it.
            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<T, E> {
                Err(E::invalid_type(Unexpected::Other("text"), &self))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        // Not `deserialize_map`, which would repeat a text without asking the visitor.
        deserializer.deserialize_any(Fields(PhantomData)).map(Self)
    }
}

/// One word out of a fixed set, written as a string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        T::deserialize(StringDeserializer::new(word)).map(Self)
    }
}

/// A name that says something: 1 to 255 characters.
#[derive(Debug, DeriveDeserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 255)]
pub(crate) struct Text(pub Arc<str>);

impl TryFrom<String> for Text {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > NAME_LEN_MAX {
            return Err(format!("expected text of 1 to {NAME_LEN_MAX} characters"));
        }
        Ok(Self(text.into()))
    }
}

/// Text that no error repeats, not even one about its type.
pub(crate) struct Hidden(pub SecretValue);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer) {
            Ok(serde_json::Value::String(text)) => Ok(Self(SecretValue::new(&text))),
            _ => Err(D::Error::custom("expected text")),
        }
    }
}

/// A whole number, 0 or more; never a float, however whole it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {THRESHOLD_MAX}")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
                match number {
                    0..=THRESHOLD_MAX => Ok(number),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_u64(Number).map(Self)
    }
}

/// Tells a field that is `null` from one that is absent. Use with `#[serde(default)]`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
