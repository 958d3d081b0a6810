//! `PATCH /v1/gateway/groups/{group_id}`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::shape::UpdateBody;
use super::{GroupView, named, warn};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// Change a group.
///
/// `models` replaces the whole list. What is used already stays counted. Its identifier and its place cannot change.
#[utoipa::path(
    patch,
    path = "/v1/gateway/groups/{id}",
    tag = "groups",
    params(("id" = String, Path, description = "The `id` of a group.")),
    request_body = UpdateBody,
    responses((status = 200, description = "The group as it now stands.", body = GroupView)),
)]
pub(crate) async fn group_update(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<GroupView>, Error> {
    // What the body is compared with here can never change; the rest is checked inside the edit.
    let group = Arc::clone(named(&admin.store.snapshot(), manager.workspace, &id)?);
    let patch = parse::<UpdateBody>(&body)?.patch(&group, &admin.settings)?;
    let updated = move |cx: &edit::Context<'_>| {
        let (change, group) = edit::group::update(cx, manager.workspace, group.id, patch)?;
        let snapshot = cx.snapshot.apply(&change);
        Ok((change, (snapshot, group)))
    };
    let (snapshot, group) = admin.edit(manager.right, updated).await?;
    tracing::info!(group.id = %group.id, "group updated");
    warn(&snapshot, &group, &admin.settings);
    Ok(Answer(GroupView::of(&snapshot, &group)))
}
