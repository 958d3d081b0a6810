//! What the control plane is made of, and its table of routes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use domain::destination::Network;
use domain::edit::{Change, Context};
use domain::{Admission, Clock, Endpoint, Rejection, Unpriced, Usage, Webhook};
use limits::Engine;
use storage::Store;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Right, Viewer};
use crate::error::Error;
use crate::rate::RateLimit;
use crate::waits::Waits;
use crate::{
    decisions, endpoints, events, explain, governance, groups, history, keys, ledger, management_keys,
    manners, openapi, prices, secrets, webhook, workspaces,
};

/// Paths that belong to the control plane, each with everything below it.
const ROOTS: [&str; 5] = ["/v1/gateway", "/v1/prices", "/v1/secrets", "/v1/workspaces", manners::GOVERNANCE];

/// Whether a new group has to state its place in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hierarchy {
    /// Both fields of `hierarchy` must be there.
    #[default]
    Required,
    /// Both may be left out: a child takes its parent's mode, a root is INDEPENDENT.
    Optional,
}

/// Whether `externalCustomerId` is told, the older name of `externalEntityId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LegacyCustomerId {
    /// With the same value.
    #[default]
    Told,
    /// No more.
    LeftOut,
}

/// Where a webhook may point. Link-local and reserved addresses are refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receivers {
    /// At public addresses, by https.
    Public,
    /// At private and loopback addresses as well, and by plain HTTP.
    PrivateToo,
}

/// What an operator may choose about the control plane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How calls are admitted where neither endpoint nor group says otherwise.
    pub admission: Admission,
    /// In the mode `hard`: the smallest output that is worth a call, in tokens.
    pub hard_min_output: u64,
    /// What becomes of a call that a budget applies to, where its route has no price.
    pub unpriced: Unpriced,
    /// Whether every call has to be made for an end user.
    pub user_required: bool,
    /// The status of a refusal by a budget: 402 or 429.
    pub budget_status: u16,
    /// Whether a new group has to state its place in a tree.
    pub hierarchy: Hierarchy,
    /// The smallest threshold: 1, or 0 where a limit may block altogether.
    pub threshold_min: u64,
    /// Longest body that is read, in bytes.
    pub body_max: usize,
    /// Whether a `base_url` may be plain HTTP.
    pub allow_http: bool,
    /// Private networks that a target may point at when no operator writes it.
    pub allow_networks: Vec<Network>,
    /// Requests that one key may make on one route in a second; 0 is no limit.
    pub rate_limit_per_second: u32,
    /// How long events are held back from whoever does not say until when, so that none comes late.
    pub events_holdback: Duration,
    /// Whether events tell `externalCustomerId` as well, the older name of `externalEntityId`.
    pub events_legacy_customer_id: LegacyCustomerId,
    /// Variables of the environment that a target may use as its secret.
    pub secrets_env_allow: Vec<String>,
    /// Where a webhook may point.
    pub receivers: Receivers,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admission: Admission::Estimate,
            hard_min_output: 64,
            unpriced: Unpriced::Refused,
            user_required: false,
            budget_status: 402,
            hierarchy: Hierarchy::Required,
            threshold_min: 1,
            body_max: 8 << 20,
            allow_http: false,
            allow_networks: Vec::new(),
            rate_limit_per_second: 100,
            events_holdback: Duration::from_secs(60),
            events_legacy_customer_id: LegacyCustomerId::Told,
            secrets_env_allow: Vec::new(),
            receivers: Receivers::Public,
        }
    }
}

/// What one call to an endpoint's target showed.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// Milliseconds to the first byte of the answer.
    pub ttft_ms: Option<u64>,
    /// What the model server says it used.
    pub usage: Option<Usage>,
}

/// Calls an endpoint's target once. The data plane knows how; the control plane only asks.
pub trait Prober: Send + Sync {
    /// One upstream call, charged to nobody.
    fn probe(&self, endpoint: Arc<Endpoint>) -> Pin<Box<dyn Future<Output = Probe> + Send>>;
}

/// What one trial of a webhook showed.
#[derive(Debug, Clone, Default)]
pub struct HookTested {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// The beginning of its body.
    pub body: String,
    /// Milliseconds to the end of the attempt.
    pub duration_ms: u64,
    /// What went wrong, for people.
    pub error: Option<String>,
}

/// Sends a webhook one sample event. Delivery knows how; the control plane only asks.
pub trait HookTester: Send + Sync {
    /// One attempt, of which nothing is kept.
    fn test(&self, webhook: Arc<Webhook>) -> Pin<Box<dyn Future<Output = HookTested> + Send>>;
}

/// Those who can call others for the control plane.
pub struct Outward {
    /// Calls model servers.
    pub prober: Arc<dyn Prober>,
    /// Calls webhooks.
    pub hooks: Arc<dyn HookTester>,
}

impl fmt::Debug for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outward(..)")
    }
}

/// The control plane: everything its handlers rely on.
pub struct Admin {
    pub(crate) store: Store,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) hooks: Arc<dyn HookTester>,
    pub(crate) rate: RateLimit,
    pub(crate) waits: Waits,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Admin {
    /// The control plane over a store, its live counters, a clock, and those who can call upstreams and webhooks.
    pub fn new(
        store: Store,
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        Outward { prober, hooks }: Outward,
    ) -> Self {
        let rate = RateLimit::new(settings.rate_limit_per_second);
        Self { store, engine, clock, settings, prober, hooks, rate, waits: Waits::default() }
    }

    /// The control plane as a service.
    pub fn router(self) -> Router {
        let (router, _) = routes().split_for_parts();
        router
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn(manners::by_root))
            .with_state(Arc::new(self))
    }

    /// The control plane as a document: its very routes, with what they read and answer.
    #[must_use]
    pub fn openapi() -> OpenApi {
        openapi::with_what_all_share(routes().into_openapi())
    }

    /// Whether a path belongs to the control plane.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        ROOTS.iter().any(|root| {
            path.strip_prefix(root).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }
}

impl Admin {
    /// Makes an edit, and answers once it is on disk and in force.
    ///
    /// # Errors
    /// What the edit says; a right that holds no more; a store that cannot write.
    pub(crate) async fn edit<T, F>(&self, right: Right, edit: F) -> Result<T, Error>
    where
        F: FnOnce(&Context<'_>) -> Result<(Change, T), Rejection> + Send + 'static,
        T: Send + 'static,
    {
        let checked = move |cx: &Context<'_>| match right.still_holds(cx.snapshot) {
            Ok(()) => edit(cx).map(|(change, made)| (change, Ok(made))),
            Err(error) => Ok((Change::none(cx), Err(error))),
        };
        self.store.edit(self.clock.now(), checked).await?
    }
}

/// The table of routes. A handler states its own method and path, beside what it reads and answers.
fn routes() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::with_openapi(openapi::begun())
        .routes(routes!(groups::create::group_create, groups::list::group_list))
        .routes(routes!(groups::list::group_get, groups::update::group_update, groups::delete::group_delete))
        .routes(routes!(groups::usage::group_usage))
        .routes(routes!(groups::limits::group_limits))
        .routes(routes!(explain::explain))
        .routes(routes!(decisions::decision_get))
        .routes(routes!(events::event_list))
        .routes(routes!(history::group_history))
        .routes(routes!(ledger::ledger_get))
        .routes(routes!(ledger::correct::ledger_correct))
        .routes(routes!(keys::mint::key_mint, keys::key_list))
        .routes(routes!(keys::register::key_register))
        .routes(routes!(keys::key_get, keys::key_revoke))
        .routes(routes!(endpoints::create::endpoint_create, endpoints::endpoint_list))
        .routes(routes!(
            endpoints::endpoint_get,
            endpoints::update::endpoint_update,
            endpoints::endpoint_delete
        ))
        .routes(routes!(endpoints::test::endpoint_test))
        .routes(routes!(secrets::secret_put, secrets::secret_list))
        .routes(routes!(secrets::secret_delete))
        .routes(routes!(webhook::webhook_put, webhook::webhook_get, webhook::webhook_delete))
        .routes(routes!(webhook::rotate::webhook_rotate_secret))
        .routes(routes!(webhook::test::webhook_test))
        .routes(routes!(webhook::dead_letters::dead_letter_list))
        .routes(routes!(webhook::redrive::dead_letter_redrive))
        .routes(routes!(prices::price_list, prices::prices_put, prices::prices_delete))
        .routes(routes!(workspaces::create::workspace_create, workspaces::workspace_list))
        .routes(routes!(workspaces::workspace_get, workspaces::workspace_update))
        .routes(routes!(management_keys::mint::management_key_mint, management_keys::management_key_list))
        .routes(routes!(management_keys::management_key_delete))
        .routes(routes!(governance::create::model_config_create, governance::list::model_config_list))
        .routes(routes!(
            governance::list::model_config_get,
            governance::update::model_config_update,
            governance::delete::model_config_delete
        ))
        .routes(routes!(governance::lines::budget_list))
        .routes(routes!(governance::lines::rate_limit_list))
        .routes(routes!(governance::reset::budget_reset))
        .routes(routes!(governance::reset::rate_limit_reset))
        .routes(routes!(governance::providers::provider_list))
        .routes(routes!(governance::providers::provider_put, governance::providers::provider_delete))
        .routes(routes!(governance::quota::quota_get))
}

// Strangers learn nothing here, not even which paths exist: a key is asked for first.

async fn no_such_path(_: Viewer) -> Error {
    Error::NotFound("No such path; compare it with the API reference.")
}

async fn no_such_method(_: Viewer) -> Error {
    Error::MethodNotAllowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn management_paths_are_the_roots_and_what_is_below_them() {
        for ours in
            ["/v1/gateway", "/v1/gateway/groups/x", "/v1/secrets", "/v1/prices", "/api/governance/budgets"]
        {
            assert!(Admin::serves(ours), "{ours}");
        }
        for other in ["/", "/v1", "/v1/chat/completions", "/v1/gatewayed", "/v1/secretsauce", "/healthz"] {
            assert!(!Admin::serves(other), "{other}");
        }
    }
}
