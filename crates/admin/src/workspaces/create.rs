//! `POST /v1/workspaces`: a tenant and its first management key, which is shown once.

use std::sync::Arc;

use axum::extract::State;
use domain::edit::workspace::Created;
use domain::{Scope, edit};
use serde::Serialize;
use utoipa::ToSchema;

use super::WorkspaceView;
use super::shape::CreateBody;
use crate::access::Operator;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::management_keys::mint::new_management_key;

/// The only answer that ever holds the first key.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceCreated)]
pub(crate) struct CreatedView {
    #[serde(flatten)]
    workspace: WorkspaceView,
    /// The whole first key, with the scope `manage`. Keep it: it is never shown again.
    management_key: String,
}

/// Create a workspace and its first management key.
///
/// The answer is the only one that ever holds the key.
#[utoipa::path(
    post,
    path = "/v1/workspaces",
    tag = "workspaces",
    request_body = CreateBody,
    responses((status = 200, description = "The workspace, and its first key, shown once.", body = CreatedView)),
)]
pub(crate) async fn workspace_create(
    operator: Operator,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<CreatedView>, Error> {
    let draft = parse::<CreateBody>(&body)?.draft()?;
    let (key, management_key) = new_management_key(admin.store.vault(), None, Scope::Manage);
    let created = move |cx: &edit::Context<'_>| edit::workspace::create(cx, draft, key);
    let Created { workspace, key } = admin.edit(operator.right, created).await?;
    tracing::info!(workspace.id = %workspace.id, key.prefix = %key.prefix, "workspace created");
    Ok(Answer(CreatedView { workspace: WorkspaceView::of(&workspace), management_key }))
}
