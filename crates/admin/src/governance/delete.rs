//! `DELETE /api/governance/model-configs/{id}`

use std::sync::Arc;

use axum::extract::State;
use domain::edit::{self, model_config};

use super::{DoneView, named};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;

/// Delete a model config with its budgets and rate limits.
///
/// They bind no call from now on, and what they have used is forgotten.
#[utoipa::path(
    delete,
    path = "/api/governance/model-configs/{id}",
    tag = "governance",
    params(("id" = String, Path, description = "The `id` of a model config.")),
    responses((status = 200, description = "The config is gone.", body = DoneView)),
)]
pub(crate) async fn model_config_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<DoneView>, Error> {
    let id = named(&admin.store.snapshot(), manager.workspace, &id)?.id;
    let deleted = move |cx: &edit::Context<'_>| model_config::delete(cx, manager.workspace, id);
    let config = admin.edit(manager.right, deleted).await?;
    tracing::info!(model_config.id = %config.id, "model config deleted");
    Ok(Answer(DoneView { message: "Model config deleted." }))
}
