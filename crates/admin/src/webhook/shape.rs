//! What is sent and answered about a webhook.

use std::net::IpAddr;
use std::sync::Arc;

use domain::destination::{Reach, reach};
use domain::edit::webhook::{Put, WebhookDraft};
use domain::{HookUrl, WEBHOOK_BATCH_MAX, WEBHOOK_URL_LEN_MAX, Webhook};
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Receivers;
use crate::error::Error;
use crate::json::Whole;
use crate::time::Timestamp;

/// Longest description, in characters.
const DESCRIPTION_LEN_MAX: usize = 1_000;

/// What the webhook shall be; what is left out is not kept from before.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WebhookPut)]
pub(super) struct PutBody {
    /// Where events are sent: https, without credentials and fragment.
    #[schema(min_length = 1, max_length = 2_048)]
    url: String,
    /// For people.
    #[schema(max_length = 1_000)]
    description: Option<String>,
    /// Most events of one delivery.
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 1_000, default = 1)]
    batch_max: Option<Whole>,
}

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookView {
    url: String,
    #[schema(required)]
    description: Option<Arc<str>>,
    batch_max: u16,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A webhook after it was put.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAfterPut)]
pub(crate) struct PutView {
    url: String,
    #[schema(required)]
    description: Option<Arc<str>>,
    batch_max: u16,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// What deliveries are signed with; there only when it was made now. Keep it: it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
}

/// A webhook that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeleted)]
pub(crate) struct DeletedView {
    url: String,
}

impl PutBody {
    /// The webhook that is wanted.
    ///
    /// # Errors
    /// The first rule that the body breaks.
    pub(super) fn draft(self, receivers: Receivers) -> Result<WebhookDraft, Error> {
        let Self { url, description, batch_max } = self;
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_LEN_MAX) {
            return Err(Error::invalid(format!(
                "description is longer than {DESCRIPTION_LEN_MAX} characters; shorten it."
            )));
        }
        let batch_max = batch_max.map_or(Some(1), |Whole(most)| u16::try_from(most).ok());
        let batch_max = batch_max.filter(|most| (1..=WEBHOOK_BATCH_MAX).contains(most));
        let batch_max = batch_max.ok_or_else(|| {
            Error::invalid(format!("batch_max is not a whole number from 1 to {WEBHOOK_BATCH_MAX}."))
        })?;
        Ok(WebhookDraft {
            url: checked(&url, receivers)?,
            description: description.map(Arc::from),
            batch_max,
        })
    }
}

/// A URL that may be called, as far as can be seen from it. A name is looked at again when it is called.
fn checked(url: &str, receivers: Receivers) -> Result<HookUrl, Error> {
    if url.len() > WEBHOOK_URL_LEN_MAX {
        return Err(Error::invalid(format!("url is longer than {WEBHOOK_URL_LEN_MAX} bytes; shorten it.")));
    }
    let parsed: HookUrl =
        url.parse().map_err(|why| Error::invalid(format!("url cannot be called: {why}.")))?;
    if parsed.target.parse::<PathAndQuery>().is_err() {
        return Err(Error::invalid("url has characters in its path or query that must be escaped."));
    }
    if !parsed.origin.tls && receivers == Receivers::Public {
        return Err(Error::invalid("url is plain http; use https, or set webhooks.allow_private."));
    }
    match parsed.origin.literal().map(|address: IpAddr| reach(address)) {
        Some(Reach::Never) => Err(Error::invalid("url is an address that is never called; use another.")),
        Some(Reach::Private) if receivers == Receivers::Public => Err(Error::invalid(
            "url is a private or loopback address; use a public one, or set webhooks.allow_private.",
        )),
        Some(Reach::Private | Reach::Public) | None => Ok(parsed),
    }
}

impl WebhookView {
    pub(super) fn of(webhook: &Webhook) -> Self {
        Self {
            url: webhook.url.as_str().to_owned(),
            description: webhook.description.clone(),
            batch_max: webhook.batch_max,
            created_at: Timestamp(webhook.created_s),
            updated_at: Timestamp(webhook.updated_s),
        }
    }
}

impl PutView {
    pub(super) fn of(put: &Put) -> Self {
        let WebhookView { url, description, batch_max, created_at, updated_at } =
            WebhookView::of(&put.webhook);
        let secret = put.is_new.then(|| put.webhook.secret.expose().to_owned());
        Self { url, description, batch_max, created_at, updated_at, secret }
    }
}

impl DeletedView {
    pub(super) fn of(webhook: &Webhook) -> Self {
        Self { url: webhook.url.as_str().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::published;

    #[test]
    fn the_published_bounds_are_those_that_are_kept() {
        assert_eq!(published("WebhookPut", "url", "maxLength"), WEBHOOK_URL_LEN_MAX);
        assert_eq!(published("WebhookPut", "description", "maxLength"), DESCRIPTION_LEN_MAX);
        assert_eq!(published("WebhookPut", "batch_max", "maximum"), usize::from(WEBHOOK_BATCH_MAX));
    }

    #[test]
    fn a_public_https_url_is_taken_and_others_only_where_private_ones_are() {
        for (url, public, private) in [
            ("https://bills.example.com/hook?x=1", true, true),
            ("https://1.1.1.1/", true, true),
            ("http://bills.example.com/hook", false, true),
            ("https://10.0.0.1/", false, true),
            ("https://127.0.0.1:9000/", false, true),
            ("https://[::1]/", false, true),
            ("https://[::ffff:127.0.0.1]/", false, true),
            ("https://169.254.169.254/latest", false, false),
            ("https://0.0.0.0/", false, false),
            ("https://user:pw@example.com/", false, false),
            ("https://example.com/#x", false, false),
            ("ftp://example.com/", false, false),
            ("example.com", false, false),
        ] {
            assert_eq!(checked(url, Receivers::Public).is_ok(), public, "{url}");
            assert_eq!(checked(url, Receivers::PrivateToo).is_ok(), private, "{url}");
        }
        assert!(
            checked(&format!("https://a/{}", "x".repeat(WEBHOOK_URL_LEN_MAX)), Receivers::PrivateToo)
                .is_err()
        );
    }
}
