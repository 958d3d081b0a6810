//! `GET /v1/gateway/groups/{group_id}/limits`: every limit that binds a group, and how it stands now.

use std::sync::Arc;

use axum::extract::State;
use domain::{ConfigCaller, GroupId, Now, Snapshot, Tariff};
use limits::{Ask, Need};
use serde::Serialize;
use storage::PathOf;
use utoipa::ToSchema;

use super::named;
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;
use crate::standing::{StandingView, at_latest};
use crate::time::Moment;

/// The limits of a group, slug by slug as the group lists them, its own before those of the groups above.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupLimits)]
pub(crate) struct LimitsView {
    group_id: GroupId,
    at: Moment,
    limits: Vec<StandingView>,
}

/// Read every limit that binds a group, and how it stands now.
///
/// Its own limits and, in a CASCADING tree, those of all groups above it; then those of the model configs that apply to
/// all of its calls, whichever key makes them and for whom. With all numbers in full: an ancestor's include the traffic
/// of siblings.
#[utoipa::path(
    get,
    path = "/v1/gateway/groups/{id}/limits",
    tag = "limits",
    params(("id" = String, Path, description = "The `id` of a group.")),
    responses((status = 200, description = "The limits with live numbers.", body = LimitsView)),
)]
pub(crate) async fn group_limits(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<LimitsView>, Error> {
    let now = admin.clock.now();
    let limits = |snapshot: &Snapshot| {
        let group = named(snapshot, viewer.workspace, &id)?;
        let caller = ConfigCaller { group, key: None, user: None };
        let limits = standings(&admin, snapshot, caller, now);
        Ok(limits.map(|limits| LimitsView { group_id: group.id, at: Moment(now.wall_ms), limits }))
    };
    at_latest(&admin, limits).map(Answer)
}

/// Slug by slug, so that calls never wait for more than one path. `None`: the tree was edited meanwhile.
pub(crate) fn standings(
    admin: &Admin,
    snapshot: &Snapshot,
    caller: ConfigCaller<'_>,
    now: Now,
) -> Option<Vec<StandingView>> {
    let group = caller.group;
    let mut standings = Vec::new();
    for model in &group.models {
        let slug = &model.slug;
        let endpoint = snapshot.endpoint_of(group, slug).map(|endpoint| &**endpoint);
        let spec = admin.store.path_spec(snapshot, PathOf { caller, slug, endpoint }, now);
        let ask = Ask { need: Need::Observed, tariff: Tariff::default() };
        let explained = admin.engine.explain(&spec, ask, now)?;
        let rows = spec.all_limits().zip(&explained.limits);
        standings.extend(rows.map(|(limit, state)| StandingView::of(slug, limit, state, &explained)));
    }
    Some(standings)
}
