//! The settings, as typed values. What they mean stands in `config/tollgate.default.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use domain::Admission;
use domain::destination::{BaseUrl, Network};
use serde::{Deserialize, Deserializer};
use storage::DecisionBounds;

use super::behind::{AuditSection, EventsSection, TelemetrySection, WebhooksSection};
use super::ledger::LedgerSection;

/// Largest `limits.decisions`.
const DECISIONS_MAX: usize = 1_000_000;
/// Largest `limits.decisions_disk_mb`.
const DECISIONS_DISK_MB_MAX: u64 = 4_096;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerSection,
    pub data_plane: DataPlaneSection,
    pub limits: LimitsSection,
    pub ledger: LedgerSection,
    pub events: EventsSection,
    pub users: UsersSection,
    pub prices: PricesSection,
    pub upstream: UpstreamSection,
    pub webhooks: WebhooksSection,
    pub secrets: SecretsSection,
    pub management: ManagementSection,
    pub audit: AuditSection,
    pub log: LogSection,
    pub telemetry: TelemetrySection,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSection {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "optional_address")]
    pub admin_listen: Option<SocketAddr>,
    #[serde(deserialize_with = "optional_path")]
    pub tls_cert: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    pub tls_key: Option<PathBuf>,
    pub workers: usize,
    pub max_body_mb: usize,
    pub max_buffered_mb: usize,
    pub max_connections: usize,
    #[serde(deserialize_with = "duration")]
    pub first_byte_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub write_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub drain_delay: Duration,
    #[serde(deserialize_with = "duration")]
    pub shutdown_grace: Duration,
}

/// `[data_plane]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPlaneSection {
    pub strict_bearer: bool,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    #[serde(deserialize_with = "admission")]
    pub admission: Admission,
    pub hard_min_output: u64,
    pub decisions: usize,
    pub decisions_disk_mb: u64,
    pub on_client_gone: OnClientGone,
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Duration,
    pub reveal_ancestors: bool,
    pub budget_status: BudgetStatus,
}

/// `limits.on_client_gone`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnClientGone {
    Cancel,
    Drain,
}

/// `limits.budget_status`: what a call is answered that a budget in USD has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub enum BudgetStatus {
    PaymentRequired,
    TooManyRequests,
}

/// `[users]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersSection {
    pub trust_declared: bool,
    pub required: bool,
}

/// `[prices]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricesSection {
    #[serde(deserialize_with = "optional_path")]
    pub file: Option<PathBuf>,
    pub unpriced: Unpriced,
}

/// `prices.unpriced`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpriced {
    Refuse,
    Allow,
}

/// `[upstream]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSection {
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub first_byte_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub total_timeout: Duration,
    pub pool_idle_max: usize,
    pub allow_http: bool,
    #[serde(deserialize_with = "networks")]
    pub allow_networks: Vec<Network>,
    pub openai_base_url: String,
    pub anthropic_base_url: String,
    pub baseten_url: String,
    pub baseten_model_api_url: String,
}

/// `[secrets]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsSection {
    pub env_allow: Vec<String>,
}

/// `[management]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagementSection {
    pub hierarchy_optional: bool,
    pub accept_zero_threshold: bool,
    pub rate_limit_per_second: u32,
    pub max_body_mb: usize,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
    pub level: LogLevel,
    pub format: LogFormat,
    pub calls: LogCalls,
}

/// `log.level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
    Auto,
}

/// `log.calls`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogCalls {
    Errors,
    All,
    Off,
}

impl Config {
    /// The same configuration, if its values make sense together.
    pub(super) fn checked(self) -> anyhow::Result<Self> {
        let urls = [
            ("openai_base_url", self.upstream.openai_base_url.clone()),
            ("anthropic_base_url", self.upstream.anthropic_base_url.clone()),
            (
                "baseten_url",
                self.upstream.baseten_url.replace("{model_id}", "m").replace("{environment}", "e"),
            ),
            ("baseten_model_api_url", self.upstream.baseten_model_api_url.clone()),
        ];
        for (key, url) in urls {
            if let Err(why) = url.parse::<BaseUrl>() {
                bail!("upstream.{key}: `{url}` cannot be called: {why}");
            }
        }
        if let Some(name) = self.secrets.env_allow.iter().find(|name| name.starts_with("TOLLGATE_")) {
            bail!("secrets.env_allow: `{name}` is one of our own variables and cannot be given to targets");
        }
        for (key, value) in [
            ("server.max_body_mb", self.server.max_body_mb),
            ("server.max_buffered_mb", self.server.max_buffered_mb),
            ("server.max_connections", self.server.max_connections),
            ("management.max_body_mb", self.management.max_body_mb),
        ] {
            if !(1..=1_000_000).contains(&value) {
                bail!("{key}: {value} is not from 1 to 1000000");
            }
        }
        self.limits.check()?;
        self.telemetry.check()?;
        self.ledger.check()?;
        self.webhooks.check()?;
        if self.server.tls_cert.is_some() != self.server.tls_key.is_some() {
            bail!("server.tls_cert and server.tls_key: one without the other; give both, or neither");
        }
        if self.server.max_buffered_mb < self.server.max_body_mb {
            bail!(
                "server.max_buffered_mb: less than server.max_body_mb, so that the longest body would never fit"
            );
        }
        for (key, value) in [
            ("server.first_byte_timeout", self.server.first_byte_timeout),
            ("server.header_timeout", self.server.header_timeout),
            ("server.idle_timeout", self.server.idle_timeout),
            ("server.write_timeout", self.server.write_timeout),
        ] {
            if value.is_zero() {
                bail!("{key}: nothing arrives in no time at all; give it some seconds");
            }
        }
        Ok(self)
    }
}

impl LimitsSection {
    /// Whether the values make sense.
    fn check(&self) -> anyhow::Result<()> {
        let Self { hard_min_output, decisions, decisions_disk_mb, .. } = *self;
        if hard_min_output == 0 {
            bail!(
                "limits.hard_min_output: 0 lets calls go out that may write nothing, and some model servers take a bound of 0 for none; give 1 or more"
            );
        }
        if decisions > DECISIONS_MAX {
            bail!(
                "limits.decisions: {decisions} is more than {DECISIONS_MAX}, which take a gigabyte of memory and more"
            );
        }
        if decisions_disk_mb > DECISIONS_DISK_MB_MAX {
            bail!(
                "limits.decisions_disk_mb: {decisions_disk_mb} is more than {DECISIONS_DISK_MB_MAX}, which take seconds to read"
            );
        }
        Ok(())
    }

    /// How many decisions on calls are kept.
    #[must_use]
    pub fn decision_bounds(&self) -> DecisionBounds {
        DecisionBounds {
            in_memory: self.decisions,
            on_disk: self.decisions_disk_mb.saturating_mul(1024 * 1024),
        }
    }
}

impl BudgetStatus {
    /// The status.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::PaymentRequired => 402,
            Self::TooManyRequests => 429,
        }
    }
}

impl TryFrom<u16> for BudgetStatus {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        let known = [Self::PaymentRequired, Self::TooManyRequests].into_iter().find(|its| its.code() == code);
        known.ok_or_else(|| format!("{code} is none of 402, 429; give one of them"))
    }
}

fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| serde::de::Error::custom(format!("`{text}` is not an address and port")))
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let texts: Vec<String> = Vec::deserialize(deserializer)?;
    let network = |text: &String| {
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a network such as 10.0.0.0/8")))
    };
    texts.iter().map(network).collect()
}

fn admission<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Admission, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "estimate" => Ok(Admission::Estimate),
        "learned" => Ok(Admission::Learned),
        "hard" => Ok(Admission::Hard),
        "observed" => Ok(Admission::Observed),
        other => Err(serde::de::Error::custom(format!(
            "`{other}` is none of `estimate`, `learned`, `hard`, `observed`"
        ))),
    }
}

/// A duration: a whole number and `ms`, `s`, `m` or `h`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is not a duration such as 250ms, 10s, 5m or 1h"))
    })
}

/// A whole number and `ms`, `s`, `m` or `h`; none where the text is anything else, or longer than 2^64 ms.
#[must_use]
pub fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis_per_unit).map(Duration::from_millis)
}
