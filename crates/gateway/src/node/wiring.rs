//! From the configuration's sections to each crate's own settings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use admin::{Hierarchy, LegacyCustomerId, Receivers};
use domain::{EventForm, SecretValue, Unpriced};
use http::StatusCode;
use limits::Shown;
use outbound::DialerSettings;
use proxy::{Bearer, CallLog, DeclaredUsers, Shared, Timeouts, UpstreamSettings};
use webhooks::{Schedule, Tally, Way};

use super::guard::Patience;
use super::scrape::{Readers, Scrape};
use super::{Door, Parts};
use crate::config::{self, BudgetStatus, Config, LogCalls};
use crate::metrics::{Metrics, Source};

const MIB: usize = 1024 * 1024;

/// Settings of the data plane.
pub(super) fn proxy_settings(config: &Config, environment: fn(&str) -> Option<String>) -> proxy::Settings {
    let secret = |name: &String| Some((name.clone(), SecretValue::new(&environment(name)?)));
    let environment_secrets: HashMap<String, SecretValue> =
        config.secrets.env_allow.iter().filter_map(secret).collect();
    let upstream = &config.upstream;
    proxy::Settings {
        admission: config.limits.admission,
        hard_min_output: config.limits.hard_min_output,
        body_max: config.server.max_body_mb.saturating_mul(MIB),
        buffered_max: config.server.max_buffered_mb.saturating_mul(MIB),
        declared_users: if config.users.trust_declared {
            DeclaredUsers::Trusted
        } else {
            DeclaredUsers::Ignored
        },
        user_required: config.users.required,
        unpriced: unpriced(config),
        budget_status: match config.limits.budget_status {
            BudgetStatus::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
            BudgetStatus::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        },
        bearer: if config.data_plane.strict_bearer { Bearer::Refused } else { Bearer::Accepted },
        shown: if config.limits.reveal_ancestors { Shown::All } else { Shown::Own },
        on_client_gone: match config.limits.on_client_gone {
            config::OnClientGone::Cancel => proxy::OnClientGone::Cancel,
            config::OnClientGone::Drain => proxy::OnClientGone::Drain,
        },
        drain_timeout: config.limits.drain_timeout,
        calls: match config.log.calls {
            LogCalls::Off => CallLog::Off,
            LogCalls::Errors => CallLog::Errors,
            LogCalls::All => CallLog::All,
        },
        upstream: UpstreamSettings {
            timeouts: Timeouts {
                first_byte: upstream.first_byte_timeout,
                idle: upstream.idle_timeout,
                total: upstream.total_timeout,
            },
            idle_max: upstream.pool_idle_max,
            anthropic_base_url: upstream.anthropic_base_url.clone(),
            openai_base_url: upstream.openai_base_url.clone(),
            baseten_url: upstream.baseten_url.clone(),
            baseten_model_api_url: upstream.baseten_model_api_url.clone(),
            environment_secrets,
        },
    }
}

/// How model servers are dialled; `own` is where we listen ourselves.
pub(super) fn dialer_settings(config: &Config, own: &[SocketAddr]) -> DialerSettings {
    DialerSettings {
        connect_timeout: config.upstream.connect_timeout,
        allow_networks: config.upstream.allow_networks.clone(),
        own_listeners: own.to_vec(),
    }
}

/// Which receivers of billing events may be called.
pub(super) fn way_to_receivers(config: &Config, own: &[SocketAddr]) -> Way {
    Way {
        allow_private: config.webhooks.allow_private,
        own_listeners: own.to_vec(),
        attempt_max: webhooks::ATTEMPT_MAX,
    }
}

/// How billing events are delivered.
pub(super) fn webhook_settings(config: &Config) -> webhooks::Settings {
    let waits = &config.webhooks.schedule;
    let schedule =
        if waits.is_empty() { Schedule::Published } else { Schedule::Waits(waits.as_slice().into()) };
    let legacy_customer_id = config.events.legacy_customer_id;
    webhooks::Settings { schedule, form: EventForm { metadata: true, legacy_customer_id } }
}

fn unpriced(config: &Config) -> Unpriced {
    match config.prices.unpriced {
        config::Unpriced::Refuse => Unpriced::Refused,
        config::Unpriced::Allow => Unpriced::Allowed,
    }
}

/// How long callers may take on their connections.
pub(super) fn patience(config: &Config) -> Patience {
    let server = &config.server;
    Patience {
        first_byte: server.first_byte_timeout,
        header: server.header_timeout,
        idle: server.idle_timeout,
        write: server.write_timeout,
    }
}

/// What `/metrics` reads, and for whom.
pub(super) fn scrape(
    parts: &Parts<'_>,
    shared: &Arc<Shared>,
    door: &Door,
    deliveries: &Arc<Tally>,
) -> Scrape {
    let server = &parts.config.server;
    let source = Source {
        shared: Arc::clone(shared),
        store: parts.store.clone(),
        door: door.clone(),
        bodies_max: server.max_buffered_mb.saturating_mul(MIB),
        deliveries: Arc::clone(deliveries),
        outbox: Arc::default(),
    };
    Scrape {
        metrics: Metrics::of(source),
        store: parts.store.clone(),
        clock: Arc::clone(&parts.clock),
        readers: if server.admin_listen.is_some() { Readers::All } else { Readers::WithKey },
    }
}

/// Settings of management.
pub(crate) fn admin_settings(config: &Config) -> admin::Settings {
    let management = &config.management;
    admin::Settings {
        admission: config.limits.admission,
        hard_min_output: config.limits.hard_min_output,
        unpriced: unpriced(config),
        user_required: config.users.required,
        budget_status: config.limits.budget_status.code(),
        hierarchy: if management.hierarchy_optional { Hierarchy::Optional } else { Hierarchy::Required },
        threshold_min: if management.accept_zero_threshold { 0 } else { 1 },
        body_max: management.max_body_mb.saturating_mul(MIB),
        allow_http: config.upstream.allow_http,
        allow_networks: config.upstream.allow_networks.clone(),
        rate_limit_per_second: management.rate_limit_per_second,
        events_holdback: config.events.holdback,
        events_legacy_customer_id: if config.events.legacy_customer_id {
            LegacyCustomerId::Told
        } else {
            LegacyCustomerId::LeftOut
        },
        secrets_env_allow: config.secrets.env_allow.clone(),
        receivers: if config.webhooks.allow_private { Receivers::PrivateToo } else { Receivers::Public },
    }
}
