//! Groups: `/v1/gateway/groups`. Here is what a group looks like from outside; a file for each thing done to one.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod limits;
pub(crate) mod list;
mod shape;
pub(crate) mod update;
pub(crate) mod usage;

use std::sync::Arc;

use domain::{
    Admission, BindingLimit, Ceiling, Enforcement, Group, GroupId, Limit, LimitType, Metadata, Model, Slug,
    Snapshot, Unit, WorkspaceId, advice, binding_limits, ceilings,
};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::shape::GroupLine;
use crate::admin::Settings;
use crate::error::{ELSEWHERE, Error};
use crate::time::Timestamp;

/// A customer, or one part of a customer, and what it may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(crate) struct GroupView {
    id: GroupId,
    metadata: Metadata,
    models: Vec<ModelView>,
    effective_models: Vec<EffectiveModelView>,
    hierarchy: HierarchyView,
    created_at: Timestamp,
}

/// What a group itself declares for a slug.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupModel)]
struct ModelView {
    slug: Slug,
    rate_limits: Vec<LimitView>,
    usage_limits: Vec<LimitView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    admission: Option<Admission>,
    /// The most calls in flight at once; left out where none was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_concurrent_requests: Option<u64>,
}

/// What binds a group for a slug, whoever declares it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveModel)]
struct EffectiveModelView {
    slug: Slug,
    rate_limits: Vec<EffectiveLimitView>,
    usage_limits: Vec<EffectiveLimitView>,
    /// Ceilings on calls in flight; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    concurrency_limits: Vec<CeilingView>,
}

/// A ceiling on requests or tokens within a span.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limit)]
struct LimitView {
    #[serde(rename = "type")]
    kind: LimitType,
    unit: Unit,
    threshold: u64,
}

/// A limit, and the group that declares it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveLimit)]
struct EffectiveLimitView {
    #[serde(flatten)]
    limit: LimitView,
    source_group: GroupId,
}

/// The most calls in flight at once, and the group that says so.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConcurrencyLimit)]
struct CeilingView {
    threshold: u64,
    source_group: GroupId,
}

/// A place in the customer tree.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hierarchy)]
struct HierarchyView {
    limit_enforcement: Enforcement,
    /// `null` for a root.
    #[schema(required)]
    parent_group_id: Option<GroupId>,
}

impl GroupView {
    /// The group as it stands in this snapshot.
    pub(crate) fn of(snapshot: &Snapshot, group: &Arc<Group>) -> Self {
        let effective = |model: &Model| EffectiveModelView::of(snapshot, group, &model.slug);
        Self {
            id: group.id,
            metadata: group.metadata.clone(),
            models: group.models.iter().map(ModelView::of).collect(),
            effective_models: group.models.iter().map(effective).collect(),
            hierarchy: HierarchyView { limit_enforcement: group.enforcement, parent_group_id: group.parent },
            created_at: Timestamp(group.created_s),
        }
    }
}

impl ModelView {
    fn of(model: &Model) -> Self {
        let Model { slug, rate_limits, usage_limits, admission, max_concurrent_requests } = model;
        Self {
            slug: slug.clone(),
            rate_limits: rate_limits.iter().map(LimitView::of).collect(),
            usage_limits: usage_limits.iter().map(LimitView::of).collect(),
            admission: *admission,
            max_concurrent_requests: *max_concurrent_requests,
        }
    }
}

impl EffectiveModelView {
    fn of(snapshot: &Snapshot, group: &Arc<Group>, slug: &Slug) -> Self {
        let binding = binding_limits(snapshot, group, slug.as_str());
        let daily = |binding: &&BindingLimit| binding.limit.unit == Unit::Day;
        Self {
            slug: slug.clone(),
            rate_limits: binding.iter().filter(|b| !daily(b)).map(EffectiveLimitView::of).collect(),
            usage_limits: binding.iter().filter(daily).map(EffectiveLimitView::of).collect(),
            concurrency_limits: ceilings(snapshot, group, slug.as_str())
                .iter()
                .map(CeilingView::of)
                .collect(),
        }
    }
}

impl LimitView {
    fn of(limit: &Limit) -> Self {
        let Limit { kind, unit, threshold, since: _ } = *limit;
        Self { kind, unit, threshold }
    }
}

impl EffectiveLimitView {
    fn of(binding: &BindingLimit) -> Self {
        let BindingLimit { limit, source, owner: _ } = binding;
        Self { limit: LimitView::of(limit), source_group: *source }
    }
}

impl CeilingView {
    fn of(ceiling: &Ceiling) -> Self {
        let Ceiling { calls, source, owner: _ } = *ceiling;
        Self { threshold: calls, source_group: source }
    }
}

/// Most sentences of advice that one write puts into the log.
const ADVICE_MAX: usize = 8;

/// Says in the log what may surprise whoever wrote these limits.
fn warn(snapshot: &Snapshot, group: &Arc<Group>, settings: &Settings) {
    let said = group.models.iter().flat_map(|model| {
        let sentences = advice(snapshot, group, model, settings.admission);
        sentences.into_iter().map(move |sentence| (&model.slug, sentence))
    });
    for (slug, sentence) in said.take(ADVICE_MAX) {
        tracing::warn!(group.id = %group.id, %slug, "{sentence}");
    }
}

/// The group that a path names.
///
/// # Errors
/// When there is none, or it is another workspace's.
pub(crate) fn named<'a>(
    snapshot: &'a Snapshot,
    workspace: WorkspaceId,
    id: &str,
) -> Result<&'a Arc<Group>, Error> {
    let group = id.parse().ok().and_then(|id| snapshot.group(id));
    let group = group.ok_or(Error::NotFound("No group has this id; use the `id` that create answered."))?;
    if group.workspace == workspace { Ok(group) } else { Err(Error::Forbidden(ELSEWHERE)) }
}
