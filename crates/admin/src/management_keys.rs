//! Management keys: `/v1/workspaces/{id}/management_keys`. Nothing but the prefix of a key can ever be read again.

pub(crate) mod mint;

use std::sync::Arc;

use axum::extract::State;
use domain::edit::management_key::NO_MANAGEMENT_KEY;
use domain::{ManagementKey, ManagementKeyId, Scope, edit};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Keeper;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;
use crate::time::Timestamp;

/// For a keeper who reaches above itself.
const ABOVE: &str = "This key may not make or delete keys whose scope is above its own.";

/// What can be read of a management key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManagementKey)]
pub(crate) struct ManagementKeyView {
    id: ManagementKeyId,
    #[schema(required)]
    name: Option<Arc<str>>,
    scope: Scope,
    prefix: Arc<str>,
    created_at: Timestamp,
    /// `null` until it is used.
    #[schema(required)]
    last_used_at: Option<Timestamp>,
}

/// A management key that works no more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManagementKeyDeleted)]
pub(crate) struct DeletedView {
    id: ManagementKeyId,
}

impl ManagementKeyView {
    fn of(key: &ManagementKey, last_used_s: Option<u64>) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            scope: key.scope,
            prefix: Arc::clone(&key.prefix),
            created_at: Timestamp(key.created_s),
            last_used_at: last_used_s.map(Timestamp),
        }
    }
}

/// List the management keys of a workspace, oldest first.
#[utoipa::path(
    get,
    path = "/v1/workspaces/{id}/management_keys",
    tag = "management keys",
    params(
        ("id" = String, Path, description = "The `id` of a workspace."),
        ListQuery,
    ),
    responses((status = 200, description = "A page of management keys.", body = Page<ManagementKeyView>)),
)]
pub(crate) async fn management_key_list(
    keeper: Keeper,
    State(admin): State<Arc<Admin>>,
    InPath(workspace): InPath<String>,
    query: ListQuery,
) -> Result<Answer<Page<ManagementKeyView>>, Error> {
    let snapshot = admin.store.snapshot();
    let workspace = keeper.workspace(&snapshot, &workspace)?.id;
    let keys = snapshot.management_keys_after(workspace, query.after(Kind::ManagementKey)?);
    let serial = |key: &&Arc<ManagementKey>| key.serial.0.to_string();
    let view = |key: &Arc<ManagementKey>| ManagementKeyView::of(key, admin.store.last_used_s(&key.hash));
    Ok(Answer(Page::cut(Kind::ManagementKey, query.limit()?, keys, serial, view)))
}

/// Delete a management key.
#[utoipa::path(
    delete,
    path = "/v1/workspaces/{id}/management_keys/{key_id}",
    tag = "management keys",
    params(
        ("id" = String, Path, description = "The `id` of a workspace."),
        ("key_id" = String, Path, description = "The `id` of a management key."),
    ),
    responses((status = 200, description = "The key is gone.", body = DeletedView)),
)]
pub(crate) async fn management_key_delete(
    keeper: Keeper,
    State(admin): State<Arc<Admin>>,
    InPath((workspace, id)): InPath<(String, String)>,
) -> Result<Answer<DeletedView>, Error> {
    let snapshot = admin.store.snapshot();
    let workspace = keeper.workspace(&snapshot, &workspace)?.id;
    let key = id.parse().ok().and_then(|id| snapshot.management_key(workspace, id));
    let key = key.ok_or(Error::NotFound(NO_MANAGEMENT_KEY))?;
    if key.scope > keeper.scope {
        return Err(Error::Forbidden(ABOVE));
    }
    let id = key.id;
    let deleted = move |cx: &edit::Context<'_>| edit::management_key::delete(cx, workspace, id);
    let key = admin.edit(keeper.right, deleted).await?;
    tracing::info!(workspace.id = %workspace, key.prefix = %key.prefix, "management key deleted");
    Ok(Answer(DeletedView { id }))
}
