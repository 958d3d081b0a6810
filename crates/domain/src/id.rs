//! Names of things: opaque ids, slugs and request ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Digits of an opaque id. Base 62 keeps ids short and safe in a path, a shell and a CSV cell.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Every `u64` in base 62 fits in eleven digits, and ids are always written with all eleven.
const DIGITS: usize = 11;

/// The text is not an id that we ever gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

fn write_base62(mut value: u64, out: &mut [u8; DIGITS]) {
    for digit in out.iter_mut().rev() {
        *digit = BASE62[usize::from(u8::try_from(value % 62).unwrap_or(0))];
        value /= 62;
    }
}

fn read_base62(text: &str) -> Result<u64, NotAnId> {
    if text.len() != DIGITS {
        return Err(NotAnId);
    }
    text.bytes().try_fold(0_u64, |value, byte| {
        let digit = BASE62.iter().position(|&d| d == byte).ok_or(NotAnId)?;
        let digit = u64::try_from(digit).map_err(|_| NotAnId)?;
        value.checked_mul(62).and_then(|v| v.checked_add(digit)).ok_or(NotAnId)
    })
}

/// What every id is besides: shown by its name, and text to whoever writes or reads it.
macro_rules! id_as_text {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse().map_err(|_| "not an id of this gateway")
            }
        }
    };
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schema(value_type = String, pattern = "^[0-9A-Za-z]{11}$", examples("0G7uY2kQ9fa"))]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; DIGITS];
                write_base62(self.0, &mut digits);
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                read_base62(text).map(Self)
            }
        }

        id_as_text!($name);
    };
}

opaque_id!(
    /// A tenant of the gateway.
    WorkspaceId
);
opaque_id!(
    /// The credential of someone who runs the gateway, or a part of it.
    ManagementKeyId
);
opaque_id!(
    /// A node of the customer tree.
    GroupId
);
opaque_id!(
    /// A public model name and where it goes.
    EndpointId
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schema(value_type = String, format = "uuid")]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A new id: a UUID version 4 (RFC 9562) of these random bytes.
            #[must_use]
            pub fn new(random: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(random).into_uuid())
            }

            /// The id with these sixteen bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Uuid::from_bytes(bytes))
            }

            /// As it is kept.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.parse().map(Self).map_err(|_| NotAnId)
            }
        }

        id_as_text!($name);
    };
}

uuid_id!(
    /// A model config.
    ConfigId
);
uuid_id!(
    /// A budget or a rate limit of a model config: what is used is counted under it, whatever else is edited.
    LineId
);

/// The name callers put into `model`: `prefix/name`, case-sensitive.
///
/// Both halves are drawn from `A-Z a-z 0-9 . _ ~ -` and there is exactly one slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(
    value_type = String,
    max_length = 255,
    pattern = "^[A-Za-z0-9._~-]+/[A-Za-z0-9._~-]+$",
    examples("acme/chat"),
)]
pub struct Slug(Arc<str>);

/// The text is not of the form `prefix/name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASlug;

impl Slug {
    /// Longest slug that is accepted, in bytes; it bounds index keys and log lines.
    pub const LEN_MAX: usize = 255;

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash, which a workspace must own.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.split_once('/').map_or("", |(prefix, _)| prefix)
    }
}

impl FromStr for Slug {
    type Err = NotASlug;
    fn from_str(text: &str) -> Result<Self, NotASlug> {
        let url_safe = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
        };
        match text.split_once('/') {
            Some((prefix, name)) if url_safe(prefix) && url_safe(name) && text.len() <= Self::LEN_MAX => {
                Ok(Self(text.into()))
            }
            _ => Err(NotASlug),
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.0)
    }
}

impl From<&Slug> for Arc<str> {
    fn from(slug: &Slug) -> Self {
        Arc::clone(&slug.0)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.as_str().to_owned()
    }
}

impl TryFrom<String> for Slug {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|NotASlug| "not a slug of the form prefix/name")
    }
}

/// One call, from its first header to its ledger entry. A UUID version 7 (RFC 9562): its time is the time of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(uuid::Uuid);

impl RequestId {
    /// The id of a call that arrived at `wall_ms` (milliseconds since 1970 UTC).
    #[must_use]
    pub fn new(wall_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(wall_ms, &random).into_uuid())
    }

    /// Length of an id as text.
    pub const TEXT_LEN: usize = uuid::fmt::Hyphenated::LENGTH;

    /// The id as text, written into `room`.
    pub fn text(self, room: &mut [u8; Self::TEXT_LEN]) -> &str {
        self.0.as_hyphenated().encode_lower(room)
    }

    /// The same id with another time: that of admission, once a call is admitted. Nobody has been told the former one.
    #[must_use]
    pub fn at(self, wall_ms: u64) -> Self {
        let mut bytes = *self.as_bytes();
        let [_, _, time @ ..] = wall_ms.to_be_bytes();
        bytes[..time.len()].copy_from_slice(&time);
        Self::from_bytes(bytes)
    }

    /// The id with these sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes, in the order that sorts by time.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for RequestId {
    type Err = NotAnId;

    /// Reads the one form in which ids are shown; others that UUIDs have are not ours.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match uuid::Uuid::try_parse(text) {
            Ok(id) if text.len() == uuid::fmt::Hyphenated::LENGTH => Ok(Self(id)),
            Ok(_) | Err(_) => Err(NotAnId),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_being_written_and_read() {
        for value in [0, 1, 61, 62, u64::MAX] {
            let id = GroupId(value);
            assert_eq!(id.to_string().len(), DIGITS);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let call = RequestId::new(1_778_673_600_000, [7; 10]);
        assert_eq!(call.to_string().parse(), Ok(call));
        assert_eq!("cust_42".parse::<RequestId>(), Err(NotAnId));
    }

    #[test]
    fn a_request_id_takes_the_time_of_admission_and_stays_itself_otherwise() {
        let (arrived, admitted) = (1_778_673_600_000, 1_778_673_601_234);
        let random = [0xff; 10];
        assert_eq!(RequestId::new(arrived, random).at(admitted), RequestId::new(admitted, random));
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in ["", "cust_42", "zzzzzzzzzzz", "0000000000-", "000000000000"] {
            assert_eq!(text.parse::<GroupId>(), Err(NotAnId), "{text}");
        }
    }

    #[test]
    fn slugs_have_one_slash_and_url_safe_halves() {
        for good in ["acme/m1", "a/b", "A.b_c~d-e/1"] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "acme", "/m1", "acme/", "a/b/c", "a b/c", "acme/m\u{e9}", "acme/m%31"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
        assert!(format!("a/{}", "b".repeat(254)).parse::<Slug>().is_err());
    }

    #[test]
    fn a_request_id_sorts_by_its_time() {
        let (early, late) = (RequestId::new(1_000, [255; 10]), RequestId::new(1_001, [0; 10]));
        assert!(early < late);
        assert_eq!(early.to_string().as_bytes()[14], b'7');
    }

    #[test]
    fn a_request_id_is_read_as_it_is_shown_and_in_no_other_form() {
        let id = RequestId::new(1_000, [7; 10]);
        let shown = id.to_string();
        assert_eq!(shown.parse(), Ok(id));
        for other in
            [shown.replace('-', ""), format!("{{{shown}}}"), format!("urn:uuid:{shown}"), String::new()]
        {
            assert_eq!(other.parse::<RequestId>(), Err(NotAnId), "{other}");
        }
        assert_eq!(shown.replace('-', "_").parse::<RequestId>(), Err(NotAnId));
    }
}
