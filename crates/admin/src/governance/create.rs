//! `POST /api/governance/model-configs`

use std::sync::Arc;

use axum::extract::State;
use domain::edit::{self, model_config};
use storage::random_bytes;

use super::shape::CreateBody;
use super::view::{Live, ModelConfigView};
use super::{WrittenView, prices};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};

/// Create a model config: budgets and rate limits on a model, from a provider, within a scope.
///
/// All configs that match a call bind it together. A new budget has used nothing, whatever was spent before.
#[utoipa::path(
    post,
    path = "/api/governance/model-configs",
    tag = "governance",
    request_body = CreateBody,
    responses((status = 200, description = "The config as it now stands.", body = WrittenView)),
)]
pub(crate) async fn model_config_create(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<WrittenView>, Error> {
    let draft = parse::<CreateBody>(&body)?.draft(manager.workspace)?;
    let created = move |cx: &edit::Context<'_>| {
        let (change, config) = model_config::create(cx, draft, &mut || random_bytes())?;
        // Rendered from the very configuration this edit makes, whatever the next edit does.
        let snapshot = cx.snapshot.apply(&change);
        Ok((change, (snapshot, config)))
    };
    let (snapshot, config) = admin.edit(manager.right, created).await?;
    tracing::info!(model_config.id = %config.id, "model config created");
    prices::warn(&snapshot, &config, admin.settings.unpriced);
    let model_config = ModelConfigView::of(Live::at(&admin, &snapshot), &config);
    Ok(Answer(WrittenView { message: "Model config created.", model_config }))
}
