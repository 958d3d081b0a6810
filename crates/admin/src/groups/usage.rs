//! `GET /v1/gateway/groups/{group_id}/usage`: what a group has used today of its daily limits.
//!
//! One entry for each type that has a daily limit on a slug: the closest one, counted where it is enforced. The
//! number is the live counter's; where no counter is open it is the ledger's, which has forgotten nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use domain::{BindingLimit, Group, LimitType, Now, Slug, Snapshot, Unit, binding_limits};
use limits::{CounterKey, Home, Measure, Owner};
use serde::Serialize;
use storage::UseScope;
use utoipa::ToSchema;

use super::named;
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;
use crate::time::Timestamp;

/// The answer. `customer_id` is the older name of `external_entity_id`; this route has kept it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupUsage)]
pub(crate) struct UsageView {
    customer_id: Arc<str>,
    usage: BTreeMap<Slug, Vec<EntryView>>,
}

/// One daily limit, and what is used of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DailyUse)]
struct EntryView {
    #[serde(rename = "type")]
    kind: LimitType,
    unit: Unit,
    threshold: u64,
    /// `null` until the first request ever.
    #[schema(required)]
    current_usage: Option<u64>,
    /// `null` until the first request ever.
    #[schema(required)]
    reset_at: Option<Timestamp>,
}

/// Read what a group has used today of its daily limits.
///
/// For each type the closest daily limit that binds, by slug. A slug without a daily limit is left out.
#[utoipa::path(
    get,
    path = "/v1/gateway/groups/{id}/usage",
    tag = "groups",
    params(("id" = String, Path, description = "The `id` of a group.")),
    responses((status = 200, description = "Use of today, in UTC.", body = UsageView)),
)]
pub(crate) async fn group_usage(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<UsageView>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, viewer.workspace, &id)?;
    let now = admin.clock.now();
    let mut usage = BTreeMap::new();
    for model in &group.models {
        let mut entries = Vec::new();
        for binding in daily_limits(&snapshot, group, &model.slug) {
            let current_usage = used(&admin, group, &model.slug, (binding, now)).await?;
            let BindingLimit { limit, .. } = binding;
            entries.push(EntryView {
                kind: limit.kind,
                unit: limit.unit,
                threshold: limit.threshold,
                current_usage,
                reset_at: current_usage.map(|_| Timestamp(now.day().end_ms() / 1_000)),
            });
        }
        if !entries.is_empty() {
            usage.insert(model.slug.clone(), entries);
        }
    }
    Ok(Answer(UsageView { customer_id: Arc::clone(&group.metadata.external_entity_id), usage }))
}

/// The closest daily limit of each type: binding limits come from the group itself upward.
fn daily_limits(snapshot: &Snapshot, group: &Arc<Group>, slug: &Slug) -> Vec<BindingLimit> {
    let mut closest: Vec<BindingLimit> = Vec::new();
    for binding in binding_limits(snapshot, group, slug.as_str()) {
        let seen = closest.iter().any(|closer| closer.limit.same_window(&binding.limit));
        if binding.limit.unit == Unit::Day && !seen {
            closest.push(binding);
        }
    }
    closest
}

/// Settled use of today, or `None` if nothing was ever used.
async fn used(
    admin: &Admin,
    group: &Group,
    slug: &Slug,
    (BindingLimit { limit, owner, .. }, now): (BindingLimit, Now),
) -> Result<Option<u64>, Error> {
    let measure = Measure::Use(limit.kind, limit.unit);
    let counter = CounterKey { owner: Owner::Model(owner, slug.clone()), measure };
    let live = admin.engine.peek(Home::Tree(group.root), &counter, limit.since, now);
    if let Some(reading) = live.filter(|reading| reading.touched) {
        return Ok(Some(reading.used));
    }
    let scope = UseScope::of(group.enforcement);
    let today = admin.store.used_today(owner, scope, slug, now.day()).of(limit.kind);
    // A zero may mean a quiet day, or a customer who never called.
    let known =
        today > 0 || admin.store.ever_used(owner, scope, slug).await.map_err(|_| Error::Unavailable)?;
    Ok(known.then_some(today))
}
