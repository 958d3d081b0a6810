//! `DELETE /v1/gateway/groups/{group_id}`

use std::sync::Arc;

use axum::extract::State;
use domain::{GroupId, Metadata, edit};
use serde::Serialize;
use utoipa::ToSchema;

use super::named;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;
use crate::time::Timestamp;

/// What is left to say of a deleted group. Those below it are gone too, and not listed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupDeleted)]
pub(crate) struct DeletedView {
    id: GroupId,
    metadata: Metadata,
    deleted_at: Timestamp,
}

/// Delete a group, all groups below it, and their keys.
#[utoipa::path(
    delete,
    path = "/v1/gateway/groups/{id}",
    tag = "groups",
    params(("id" = String, Path, description = "The `id` of a group.")),
    responses((status = 200, description = "What is left to say of the group.", body = DeletedView)),
)]
pub(crate) async fn group_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<DeletedView>, Error> {
    let id = named(&admin.store.snapshot(), manager.workspace, &id)?.id;
    let deleted = move |cx: &edit::Context<'_>| {
        let (change, group) = edit::group::delete(cx, manager.workspace, id)?;
        Ok((change, (group, cx.now_s)))
    };
    let (group, deleted_s) = admin.edit(manager.right, deleted).await?;
    tracing::info!(group.id = %group.id, "group deleted, with all groups below it and their keys");
    let metadata = group.metadata.clone();
    Ok(Answer(DeletedView { id: group.id, metadata, deleted_at: Timestamp(deleted_s) }))
}
