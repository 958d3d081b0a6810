//! The view of a provider: the config of everybody's calls to any model of it, under the provider's name.

use std::sync::Arc;

use super::{
    BudgetDraft, Change, ConfigDraft, ConfigPatch, Context, Fresh, RatesDraft, Rejection, create,
    looked_at_again, put, updated,
};
use crate::edit::Record;
use crate::id::WorkspaceId;
use crate::model_config::{ConfigIdentity, ModelConfig};

const NO_PROVIDER: &str = "No endpoint of this workspace is served by a provider with this name.";

/// A change to what may be spent at a provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderPatch {
    /// All of its budgets.
    pub budgets: Option<Vec<BudgetDraft>>,
    /// All of its rate limits.
    pub rate_limits: Option<RatesDraft>,
    /// Whether its periods follow the calendar.
    pub calendar_aligned: Option<bool>,
}

/// Sets what may be spent at a provider. With nothing left its config goes: `None`.
///
/// # Errors
/// A provider that no endpoint of the workspace has; lines as with [`super::update`].
pub fn put_provider(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    provider: &str,
    patch: ProviderPatch,
    fresh: Fresh<'_>,
) -> Result<(Change, Option<Arc<ModelConfig>>), Rejection> {
    let serves = |endpoint: &Arc<crate::Endpoint>| endpoint.target.served_by() == provider;
    if !cx.snapshot.endpoints_after(workspace, Default::default()).any(serves) {
        return Err(Rejection::NotFound(NO_PROVIDER));
    }
    let identity = ConfigIdentity::of_provider(provider.into());
    let ProviderPatch { budgets, rate_limits, calendar_aligned } = patch;
    let Some(before) = cx.snapshot.config_about(workspace, identity.clone()) else {
        let draft = ConfigDraft {
            workspace,
            identity,
            calendar_aligned: calendar_aligned.unwrap_or(false),
            budgets: budgets.unwrap_or_default(),
            rate_limits: rate_limits.unwrap_or_default(),
        };
        let (change, config) = create(cx, draft, fresh)?;
        return Ok(if config.is_limited() { (change, Some(config)) } else { (Change::none(cx), None) });
    };
    let patch = ConfigPatch { budgets, rate_limits, calendar_aligned, ..ConfigPatch::default() };
    let (after, inherits) = updated(cx, before, patch, fresh)?;
    if !after.is_limited() {
        return Ok((looked_at_again(cx, before, Record::ModelConfigDeleted { id: before.id }), None));
    }
    let after = Arc::new(after);
    Ok((put(cx, &after, inherits), Some(after)))
}

/// Takes every limit of a provider away. There may be none.
#[must_use]
pub fn delete_provider(cx: &Context<'_>, workspace: WorkspaceId, provider: &str) -> Change {
    match cx.snapshot.config_about(workspace, ConfigIdentity::of_provider(provider.into())) {
        Some(config) => looked_at_again(cx, config, Record::ModelConfigDeleted { id: config.id }),
        None => Change::none(cx),
    }
}
