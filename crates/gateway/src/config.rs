//! Configuration: the defaults that are compiled in, the operator's file over them, the environment over both.
//!
//! Read once, at start, and handed down as values. Unknown settings are errors that name the file and the key.
//! Begins at [`load`].

mod behind;
mod ledger;
mod overlay;
mod sections;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use self::behind::{AuditSection, EventsSection, TelemetrySection, WebhooksSection};
pub use self::ledger::{LedgerSection, LedgerSync};
pub use self::sections::{
    BudgetStatus, Config, DataPlaneSection, LimitsSection, LogCalls, LogFormat, LogLevel, LogSection,
    ManagementSection, OnClientGone, PricesSection, SecretsSection, ServerSection, Unpriced, UpstreamSection,
    UsersSection, read_duration,
};

/// Every setting with its default.
pub const DEFAULTS: &str = include_str!("../../../config/tollgate.default.toml");
/// The file that is read where none is named, if it is there.
pub const FILE_BY_DEFAULT: &str = "tollgate.toml";
const ENVIRONMENT_PREFIX: &str = "TOLLGATE__";

/// Loads the configuration. `file` is the file that was named; without one `./tollgate.toml` is read if it is there.
///
/// # Errors
/// A file that cannot be read, or a setting that is unknown or has no sensible value; named by file and key.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<Config> {
    let mut table: toml::Table = toml::from_str(DEFAULTS).context("the compiled-in defaults are broken")?;
    let mut sources = vec!["defaults".to_owned()];
    if let Some(path) = chosen(file) {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let own: toml::Table =
            toml::from_str(&text).with_context(|| format!("{} is not TOML", path.display()))?;
        overlay::put(&mut table, own).with_context(|| format!("in {}", path.display()))?;
        sources.push(path.display().to_string());
    }
    for (name, value) in environment {
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        overlay::put_one(&mut table, key, &value).with_context(|| format!("in the environment: {name}"))?;
        sources.push(name);
    }
    let config: Config = serde_path_to_error::deserialize(table)
        .map_err(|error| anyhow::anyhow!("{}: {}", error.path(), plain(error.inner().message())))
        .with_context(|| format!("in the configuration ({})", sources.join(", ")))?;
    config.checked()
}

impl Config {
    /// The configuration without a file and without an environment.
    ///
    /// # Errors
    /// Never, unless the compiled-in defaults are broken; a test sees to that.
    pub fn defaults() -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(DEFAULTS).context("the compiled-in defaults are broken")?;
        Ok(table.try_into()?)
    }
}

/// A number of the wrong kind, without the name of the type that it does not fit.
fn plain(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, "u16" | "u32" | "u64" | "usize")) => {
            format!("{found}, expected a whole number, 0 or more")
        }
        Some(_) | None => message.to_owned(),
    }
}

fn chosen(file: Option<&Path>) -> Option<PathBuf> {
    match file {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(FILE_BY_DEFAULT)).filter(|path| path.exists()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage::Sync;

    use super::*;

    fn with(environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(Path::new("/dev/null")), pairs)
    }

    #[test]
    fn the_defaults_are_a_whole_configuration() {
        let config = with(&[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.server.admin_listen, None);
        assert_eq!(config.upstream.total_timeout.as_secs(), 1_200);
    }

    #[test]
    fn the_environment_sets_values_of_every_type() {
        let config = with(&[
            ("TOLLGATE__LIMITS__ADMISSION", "observed"),
            ("TOLLGATE__SERVER__MAX_BODY_MB", "7"),
            ("TOLLGATE__DATA_PLANE__STRICT_BEARER", "true"),
            ("TOLLGATE__SECRETS__ENV_ALLOW", r#"["A"]"#),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.limits.admission, domain::Admission::Observed);
        assert_eq!(config.server.max_body_mb, 7);
        assert!(config.data_plane.strict_bearer);
        assert_eq!(config.secrets.env_allow, ["A"]);
    }

    #[test]
    fn declared_users_are_trusted_prices_wanted_and_budgets_answered_402_unless_it_is_said_otherwise() {
        let config = with(&[]).unwrap();
        assert!(config.users.trust_declared && !config.users.required);
        assert_eq!((config.prices.file, config.prices.unpriced), (None, Unpriced::Refuse));
        assert_eq!(config.limits.budget_status.code(), 402);
        let config = with(&[
            ("TOLLGATE__USERS__TRUST_DECLARED", "false"),
            ("TOLLGATE__USERS__REQUIRED", "true"),
            ("TOLLGATE__PRICES__FILE", "prices.json"),
            ("TOLLGATE__PRICES__UNPRICED", "allow"),
            ("TOLLGATE__LIMITS__BUDGET_STATUS", "429"),
        ])
        .unwrap();
        assert!(!config.users.trust_declared && config.users.required);
        assert_eq!(config.prices.file.as_deref(), Some(Path::new("prices.json")));
        assert_eq!(config.prices.unpriced, Unpriced::Allow);
        assert_eq!(config.limits.budget_status.code(), 429);
    }

    #[test]
    fn traces_are_for_a_program_that_was_built_with_them() {
        let config = with(&[("TOLLGATE__TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:4318")]);
        match config {
            Ok(config) => assert!(cfg!(feature = "otel") && config.telemetry.sample_one_in == 1),
            Err(error) => {
                assert!(!cfg!(feature = "otel") && format!("{error:#}").contains("--features otel"));
            }
        }
    }

    #[test]
    fn the_ledger_keeps_what_is_present_and_no_longer_than_a_hundred_years() {
        let config = with(&[]).unwrap();
        assert_eq!((config.ledger.retain_days, config.events.holdback.as_secs()), (400, 60));
        assert!(config.events.legacy_customer_id);
        for (days, fits) in [("1", false), ("2", true), ("36500", true), ("36501", false), ("-1", false)] {
            assert_eq!(with(&[("TOLLGATE__LEDGER__RETAIN_DAYS", days)]).is_ok(), fits, "{days}");
        }
    }

    #[test]
    fn a_loss_of_power_loses_ten_milliseconds_unless_it_is_said_otherwise() {
        let ledger = with(&[]).unwrap().ledger;
        assert_eq!(ledger.retain_days, 400);
        let ten = Sync::Interval(Duration::from_millis(10));
        assert_eq!((ledger.journal([3; 16]).sync, ledger.journal([3; 16]).boot_id), (ten, [3; 16]));
        let ledger = with(&[("TOLLGATE__LEDGER__SYNC", "always")]).unwrap().ledger;
        assert_eq!(ledger.journal([3; 16]).sync, Sync::Always);
    }

    #[test]
    fn a_section_that_nobody_knows_is_refused_even_if_it_is_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[limitz]\n").unwrap();
        let error = format!("{:#}", load(Some(file.path()), std::iter::empty()).unwrap_err());
        assert!(error.contains("there is no section [limitz]"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_by_file_and_key() {
        for (name, value, expected) in [
            ("TOLLGATE__SERVER__LISTEM", "x", "server.listem"),
            ("TOLLGATE__SERVER__MAX_BODY_MB", "many", "TOLLGATE__SERVER__MAX_BODY_MB"),
            ("TOLLGATE__LIMITS__ADMISSION", "soft", "limits.admission"),
            ("TOLLGATE__LIMITS__ON_CLIENT_GONE", "stop", "limits.on_client_gone"),
            ("TOLLGATE__LIMITS__BUDGET_STATUS", "403", "limits.budget_status: 403 is none of 402, 429"),
            ("TOLLGATE__LIMITS__BUDGET_STATUS", "-1", "limits.budget_status"),
            ("TOLLGATE__PRICES__UNPRICED", "free", "prices.unpriced"),
            ("TOLLGATE__USERS__REQUIRED", "sometimes", "true or false is wanted"),
            ("TOLLGATE__SERVER__TLS_CERT", "/cert.pem", "server.tls_key"),
            ("TOLLGATE__SERVER__MAX_BUFFERED_MB", "99", "server.max_buffered_mb"),
            ("TOLLGATE__SERVER__HEADER_TIMEOUT", "0s", "server.header_timeout"),
            ("TOLLGATE__LIMITS__HARD_MIN_OUTPUT", "0", "limits.hard_min_output: 0"),
            ("TOLLGATE__LIMITS__DECISIONS", "1000001", "limits.decisions"),
            ("TOLLGATE__LIMITS__DECISIONS_DISK_MB", "4097", "limits.decisions_disk_mb"),
            ("TOLLGATE__LIMITS__DECISIONS_DISK_MB", "-1", "expected a whole number, 0 or more"),
            ("TOLLGATE__TELEMETRY__OTLP_ENDPOINT", "localhost:4318", "telemetry.otlp_endpoint"),
            ("TOLLGATE__TELEMETRY__SAMPLE_ONE_IN", "-1", "telemetry.sample_one_in"),
            ("TOLLGATE__LEDGER__SYNC", "never", "ledger.sync"),
            ("TOLLGATE__LEDGER__SYNC_INTERVAL", "0ms", "ledger.sync_interval"),
            ("TOLLGATE__LEDGER__SYNC_INTERVAL", "2m", "ledger.sync_interval"),
            ("TOLLGATE__LEDGER__RETAIN_DAYS", "0", "ledger.retain_days"),
            ("TOLLGATE__UPSTREAM__CONNECT_TIMEOUT", "5", "upstream.connect_timeout"),
            ("TOLLGATE__UPSTREAM__OPENAI_BASE_URL", "ftp://x", "upstream.openai_base_url"),
            ("TOLLGATE__SECRETS__ENV_ALLOW", r#"["TOLLGATE_MASTER_KEY"]"#, "secrets.env_allow"),
            ("TOLLGATE__WEBHOOKS__SCHEDULE", r#"["1s", "soon"]"#, "webhooks.schedule"),
            ("TOLLGATE__WEBHOOKS__SCHEDULE", r#"["169h"]"#, "webhooks.schedule"),
        ] {
            let error = format!("{:#}", with(&[(name, value)]).unwrap_err());
            assert!(error.contains(expected), "{name}={value}: {error}");
        }
    }
}
