//! Workspaces: `/v1/workspaces`. Here is what one looks like from outside; an operator alone sees it.

pub(crate) mod create;
mod shape;

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Prefix, Prefixes, Workspace, WorkspaceId, edit};
use serde::Serialize;
use utoipa::ToSchema;

use self::shape::{ANY_PREFIX, UpdateBody};
use crate::access::{Operator, workspace_named};
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;
use crate::time::Timestamp;

/// A workspace as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceView {
    id: WorkspaceId,
    name: Arc<str>,
    /// Whether its keys may manage and call.
    onboarded: bool,
    /// The prefixes of slugs that it owns; `*` alone is every prefix that nobody else owns.
    org_prefixes: Vec<String>,
    /// Base64 of the raw public key that registered keys are signed with; `null`, and none can be registered.
    #[schema(required)]
    ed25519_public_key: Option<String>,
    created_at: Timestamp,
}

impl WorkspaceView {
    fn of(workspace: &Workspace) -> Self {
        let org_prefixes = match &workspace.org_prefixes {
            Prefixes::Rest => vec![ANY_PREFIX.to_owned()],
            Prefixes::Listed(prefixes) => prefixes.iter().map(Prefix::to_string).collect(),
        };
        Self {
            id: workspace.id,
            name: Arc::clone(&workspace.name),
            onboarded: workspace.onboarded,
            org_prefixes,
            ed25519_public_key: workspace.ed25519_public_key.map(|key| STANDARD.encode(key)),
            created_at: Timestamp(workspace.created_s),
        }
    }
}

/// List all workspaces, oldest first.
#[utoipa::path(
    get,
    path = "/v1/workspaces",
    tag = "workspaces",
    params(ListQuery),
    responses((status = 200, description = "A page of workspaces.", body = Page<WorkspaceView>)),
)]
pub(crate) async fn workspace_list(
    _: Operator,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<WorkspaceView>>, Error> {
    let (limit, after) = (query.limit()?, query.after(Kind::Workspace)?);
    let snapshot = admin.store.snapshot();
    let workspaces = snapshot.workspaces_after(after);
    let serial = |workspace: &&Arc<Workspace>| workspace.serial.0.to_string();
    Ok(Answer(Page::cut(Kind::Workspace, limit, workspaces, serial, |workspace| {
        WorkspaceView::of(workspace)
    })))
}

/// Read a workspace.
#[utoipa::path(
    get,
    path = "/v1/workspaces/{id}",
    tag = "workspaces",
    params(("id" = String, Path, description = "The `id` of a workspace.")),
    responses((status = 200, description = "The workspace.", body = WorkspaceView)),
)]
pub(crate) async fn workspace_get(
    _: Operator,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<WorkspaceView>, Error> {
    Ok(Answer(WorkspaceView::of(workspace_named(&admin.store.snapshot(), &id)?)))
}

/// Change a workspace.
#[utoipa::path(
    patch,
    path = "/v1/workspaces/{id}",
    tag = "workspaces",
    params(("id" = String, Path, description = "The `id` of a workspace.")),
    request_body = UpdateBody,
    responses((status = 200, description = "The workspace as it now stands.", body = WorkspaceView)),
)]
pub(crate) async fn workspace_update(
    operator: Operator,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<WorkspaceView>, Error> {
    let id = workspace_named(&admin.store.snapshot(), &id)?.id;
    let patch = parse::<UpdateBody>(&body)?.patch()?;
    let updated = move |cx: &edit::Context<'_>| edit::workspace::update(cx, id, patch);
    let workspace = admin.edit(operator.right, updated).await?;
    tracing::info!(workspace.id = %id, "workspace updated");
    Ok(Answer(WorkspaceView::of(&workspace)))
}
