//! `PUT /api/governance/model-configs/{id}`

use std::sync::Arc;

use axum::extract::State;
use domain::edit::{self, model_config};
use storage::random_bytes;

use super::shape::UpdateBody;
use super::view::{Live, ModelConfigView};
use super::{WrittenView, named, prices};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// Change a model config.
///
/// What is left out or `null` stays; a list that is sent is the whole new list. A budget that stays, by its id or else by
/// its length, keeps what it has used; a new one begins with what the longest of the shorter ones has used.
#[utoipa::path(
    put,
    path = "/api/governance/model-configs/{id}",
    tag = "governance",
    params(("id" = String, Path, description = "The `id` of a model config.")),
    request_body = UpdateBody,
    responses((status = 200, description = "The config as it now stands.", body = WrittenView)),
)]
pub(crate) async fn model_config_update(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<WrittenView>, Error> {
    // What the body repeats of an answer is compared with the config as it stands; the rest is checked inside the edit.
    let config = Arc::clone(named(&admin.store.snapshot(), manager.workspace, &id)?);
    let patch = parse::<UpdateBody>(&body)?.patch(&config)?;
    let updated = move |cx: &edit::Context<'_>| {
        let (change, config) =
            model_config::update(cx, manager.workspace, config.id, patch, &mut || random_bytes())?;
        let snapshot = cx.snapshot.apply(&change);
        Ok((change, (snapshot, config)))
    };
    let (snapshot, config) = admin.edit(manager.right, updated).await?;
    tracing::info!(model_config.id = %config.id, "model config updated");
    prices::warn(&snapshot, &config, admin.settings.unpriced);
    let model_config = ModelConfigView::of(Live::at(&admin, &snapshot), &config);
    Ok(Answer(WrittenView { message: "Model config updated.", model_config }))
}
