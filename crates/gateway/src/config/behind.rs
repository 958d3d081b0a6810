//! What goes on behind the calls: `[events]`, `[webhooks]`, `[audit]`, `[telemetry]`.

use std::time::Duration;

use anyhow::bail;
use domain::destination::BaseUrl;
use serde::{Deserialize, Deserializer};

use super::sections::{duration, read_duration};

/// `[events]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSection {
    #[serde(deserialize_with = "duration")]
    pub holdback: Duration,
    pub legacy_customer_id: bool,
}

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhooksSection {
    pub allow_private: bool,
    #[serde(deserialize_with = "durations")]
    pub schedule: Vec<Duration>,
}

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// Nought: never.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
}

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySection {
    pub otlp_endpoint: String,
    pub sample_one_in: u32,
}

impl WebhooksSection {
    /// Whether the values make sense.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.schedule.len() > webhooks::WAITS_MAX {
            bail!("webhooks.schedule: more than {} waits; give fewer, longer ones", webhooks::WAITS_MAX);
        }
        if self.schedule.iter().any(|wait| *wait > webhooks::WAIT_MAX) {
            bail!("webhooks.schedule: a wait is longer than a week (168h); give more of them, shorter ones");
        }
        Ok(())
    }
}

impl TelemetrySection {
    /// Whether this program can do it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.otlp_endpoint.is_empty() {
            return Ok(());
        }
        if !cfg!(feature = "otel") {
            bail!(
                "telemetry.otlp_endpoint: this program was built without traces; leave it empty, or build with `--features otel`"
            );
        }
        if let Err(why) = self.otlp_endpoint.parse::<BaseUrl>() {
            bail!("telemetry.otlp_endpoint: `{}` cannot be called: {why}", self.otlp_endpoint);
        }
        Ok(())
    }
}

fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts: Vec<String> = Vec::deserialize(deserializer)?;
    let read = |text: &String| {
        read_duration(text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a duration such as 250ms, 10s, 5m or 1h"))
        })
    };
    texts.iter().map(read).collect()
}
