//! From the configuration's sections to each crate's own settings.

use std::collections::HashMap;
use std::net::SocketAddr;

use admin::Hierarchy;
use domain::{SecretValue, Unpriced};
use http::StatusCode;
use limits::Shown;
use proxy::{Bearer, CallLog, DeclaredUsers, Timeouts, UpstreamSettings};

use super::guard::Patience;
use crate::config::{self, BudgetStatus, Config, LogCalls};

const MIB: usize = 1024 * 1024;

/// Settings of the data plane.
pub(super) fn proxy_settings(
    config: &Config,
    own: &[Option<SocketAddr>],
    environment: fn(&str) -> Option<String>,
) -> proxy::Settings {
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
                connect: upstream.connect_timeout,
                first_byte: upstream.first_byte_timeout,
                idle: upstream.idle_timeout,
                total: upstream.total_timeout,
            },
            idle_max: upstream.pool_idle_max,
            allow_networks: upstream.allow_networks.clone(),
            own_listeners: own.iter().flatten().copied().collect(),
            anthropic_base_url: upstream.anthropic_base_url.clone(),
            openai_base_url: upstream.openai_base_url.clone(),
            baseten_url: upstream.baseten_url.clone(),
            baseten_model_api_url: upstream.baseten_model_api_url.clone(),
            environment_secrets,
        },
    }
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

/// Settings of management.
pub(super) fn admin_settings(config: &Config) -> admin::Settings {
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
        secrets_env_allow: config.secrets.env_allow.clone(),
    }
}
