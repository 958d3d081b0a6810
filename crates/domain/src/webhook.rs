//! Where a workspace wants its billing events sent, and what they are signed with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::credential::SecretValue;
use crate::destination::{BadUrl, BaseUrl};
use crate::id::{NotAnId, RequestId, WorkspaceId};

/// Longest URL, in bytes.
pub const WEBHOOK_URL_LEN_MAX: usize = 2_048;
/// Most events of one delivery.
pub const WEBHOOK_BATCH_MAX: u16 = 1_000;
/// How long a secret that was replaced still signs, in seconds: a day, in which its receivers change over.
pub const SECRET_OVERLAP_S: u64 = 86_400;

/// The webhook of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The tenant. It has one webhook at most.
    pub workspace: WorkspaceId,
    /// Where events go.
    pub url: HookUrl,
    /// For people.
    pub description: Option<Arc<str>>,
    /// Most events of one delivery, from 1 to [`WEBHOOK_BATCH_MAX`].
    pub batch_max: u16,
    /// What deliveries are signed with, the whole text of it.
    pub secret: SecretValue,
    /// The secret before it, if that was replaced.
    pub previous: Option<PreviousSecret>,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
    /// Seconds since 1970 UTC.
    pub updated_s: u64,
}

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The whole text of it.
    pub secret: SecretValue,
    /// Until when it signs as well, in seconds since 1970 UTC.
    pub until_s: u64,
}

impl Webhook {
    /// What a delivery at this time, in milliseconds since 1970 UTC, is signed with: the newest secret first.
    pub fn secrets(&self, at_ms: u64) -> impl Iterator<Item = &SecretValue> {
        let still = move |previous: &&PreviousSecret| at_ms < previous.until_s.saturating_mul(1_000);
        [&self.secret]
            .into_iter()
            .chain(self.previous.as_ref().filter(still).map(|previous| &previous.secret))
    }
}

/// The URL of a receiver: as it was written, and taken apart. Equal if it was written equally.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl {
    written: Arc<str>,
    /// Scheme, host and port.
    pub origin: BaseUrl,
    /// Path and query, as they are sent.
    pub target: Arc<str>,
}

impl HookUrl {
    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl FromStr for HookUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
        let origin: BaseUrl = base.parse()?;
        let allowed = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
        if !query.unwrap_or_default().bytes().all(allowed) {
            return Err(BadUrl::QueryOrFragment);
        }
        let after_scheme = base.find("://").map_or(0, |at| at + 3);
        let path = base[after_scheme..].find('/').map_or("", |at| &base[after_scheme + at..]);
        let path = if path.is_empty() { "/" } else { path };
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        Ok(Self { written: text.into(), origin, target: target.into() })
    }
}

impl fmt::Debug for HookUrl {
    /// Without path and query: some receivers are known by a secret in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookUrl({})", self.origin.authority())
    }
}

/// The name of one delivery, the same for all of its attempts: a `UUIDv7`, in order of making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(RequestId);

impl DeliveryId {
    /// The id of a delivery that is made at `wall_ms`, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn new(wall_ms: u64, random: [u8; 10]) -> Self {
        Self(RequestId::new(wall_ms, random))
    }

    /// The id with these sixteen bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(RequestId::from_bytes(bytes))
    }

    /// The sixteen bytes, in the order that sorts by time.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeliveryId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_as_written_and_sent_as_written() {
        for (text, target) in [
            ("https://bills.example.com", "/"),
            ("https://bills.example.com/", "/"),
            ("https://bills.example.com/hooks/", "/hooks/"),
            ("https://bills.example.com:8443/a/b?from=tollgate&x=%20", "/a/b?from=tollgate&x=%20"),
            ("https://bills.example.com?x=1", "/?x=1"),
        ] {
            let url: HookUrl = text.parse().unwrap();
            assert_eq!((url.as_str(), &*url.target), (text, target));
        }
    }

    #[test]
    fn urls_that_hide_something_are_refused() {
        for (text, why) in [
            ("ftp://a/", BadUrl::Scheme),
            ("https://user:pw@a/", BadUrl::UserInfo),
            ("https://user@a/?x=1", BadUrl::UserInfo),
            ("https://a/#top", BadUrl::QueryOrFragment),
            ("https://a/?x#top", BadUrl::QueryOrFragment),
            ("https://a/?x y", BadUrl::QueryOrFragment),
            ("https:///x", BadUrl::Host),
            ("https://a/\u{e9}", BadUrl::Path),
            ("", BadUrl::Scheme),
        ] {
            assert_eq!(text.parse::<HookUrl>().unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn a_replaced_secret_signs_for_its_day_and_no_longer() {
        let hook = Webhook {
            workspace: WorkspaceId(1),
            url: "https://a/".parse().unwrap(),
            description: None,
            batch_max: 1,
            secret: SecretValue::new("new"),
            previous: Some(PreviousSecret { secret: SecretValue::new("old"), until_s: 100 }),
            created_s: 0,
            updated_s: 0,
        };
        let at = |ms| hook.secrets(ms).map(SecretValue::expose).collect::<Vec<_>>();
        assert_eq!(at(99_999), ["new", "old"]);
        assert_eq!(at(100_000), ["new"]);
    }

    #[test]
    fn no_secret_of_a_webhook_is_ever_printed() {
        let url: HookUrl = "https://hooks.example.com/T0/secret?token=secret".parse().unwrap();
        assert_eq!(format!("{url:?}"), "HookUrl(hooks.example.com)");
    }
}
