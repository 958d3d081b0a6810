//! `GET /api/governance/virtual-keys/quota`: what a key may still spend, for whoever holds the key.
//!
//! Only what is the key's own is shown: its model configs, and the counters that its group's own limits are checked
//! against. A pool that others share would reveal their traffic.

use std::sync::Arc;

use axum::extract::State;
use domain::{ANY_MODEL, ConfigCaller, ConfigIdentity, ConfigScope, ModelConfig, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use super::configs_of;
use super::customer::Customer;
use super::view::{LimitsView, Live};
use crate::admin::Admin;
use crate::error::Error;
use crate::groups::limits::standings;
use crate::json::Answer;
use crate::standing::{StandingView, at_latest};

/// What a key may still spend.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaView {
    /// The key's name; its prefix where it has none.
    virtual_key_name: Arc<str>,
    /// Always `true`: a revoked key is answered 401.
    is_active: bool,
    #[serde(flatten)]
    limits_of_all_models: LimitsView,
    /// The key's other model configs.
    model_configs: Vec<KeyConfigView>,
    /// The limits whose counters nobody else's calls are in, by slug: those of the key's group, and of its own configs.
    limits: Vec<StandingView>,
}

/// What a key may spend on a model, from a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaModelConfig)]
struct KeyConfigView {
    model_name: Arc<str>,
    /// Left out for every provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<Arc<str>>,
    #[serde(flatten)]
    limits: LimitsView,
}

/// Read what the key that asks may still spend.
///
/// The credential is the key itself, in any header that a call may carry it in. `budgets` and `rate_limit` are those of
/// the key's config for all models from every provider.
#[utoipa::path(
    get,
    path = "/api/governance/virtual-keys/quota",
    tag = "governance",
    responses((status = 200, description = "What the key may still spend.", body = QuotaView)),
)]
pub(crate) async fn quota_get(
    customer: Customer,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<QuotaView>, Error> {
    let now = admin.clock.now();
    let quota = |snapshot: &Snapshot| {
        let Customer { key, group } = &customer;
        let caller = ConfigCaller { group, key: Some(&key.prefix), user: key.user_id.as_deref() };
        let limits = standings(&admin, snapshot, caller, now);
        let own = |limits: Vec<StandingView>| limits.into_iter().filter(StandingView::is_own).collect();
        Ok(limits.map(|limits| QuotaView::of(Live::at(&admin, snapshot), &customer, own(limits))))
    };
    at_latest(&admin, quota).map(Answer)
}

impl QuotaView {
    fn of(live: Live<'_>, customer: &Customer, limits: Vec<StandingView>) -> Self {
        let Customer { key, group } = customer;
        let scope = ConfigScope::VirtualKey(Arc::clone(&key.prefix));
        let all_models =
            ConfigIdentity { scope: scope.clone(), model_name: ANY_MODEL.into(), provider: None };
        let configs = configs_of(live.snapshot(), group.workspace);
        let of_key: Vec<_> = configs.filter(|config| config.identity.scope == scope).collect();
        let (of_all, others): (Vec<_>, Vec<_>) =
            of_key.into_iter().partition(|config| config.identity == all_models);
        Self {
            virtual_key_name: key.name.clone().unwrap_or_else(|| Arc::clone(&key.prefix)),
            is_active: true,
            limits_of_all_models: of_all
                .first()
                .map_or_else(LimitsView::none, |config| LimitsView::of(live, config)),
            model_configs: others.into_iter().map(|config| KeyConfigView::of(live, config)).collect(),
            limits,
        }
    }
}

impl KeyConfigView {
    fn of(live: Live<'_>, config: &ModelConfig) -> Self {
        Self {
            model_name: Arc::clone(&config.identity.model_name),
            provider: config.identity.provider.clone(),
            limits: LimitsView::of(live, config),
        }
    }
}
