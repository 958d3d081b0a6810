//! `PATCH /v1/gateway/endpoints/{endpoint_id}`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::shape::UpdateBody;
use super::{EndpointView, named};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::governance::prices;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// Change an endpoint.
///
/// `targets` replaces the whole list.
#[utoipa::path(
    patch,
    path = "/v1/gateway/endpoints/{id}",
    tag = "endpoints",
    params(("id" = String, Path, description = "The `id` of an endpoint.")),
    request_body = UpdateBody,
    responses((status = 200, description = "The endpoint as it now stands.", body = EndpointView)),
)]
pub(crate) async fn endpoint_update(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<EndpointView>, Error> {
    let id = named(&admin.store.snapshot(), manager.workspace, &id)?.id;
    let patch = parse::<UpdateBody>(&body)?.patch(manager, &admin.settings)?;
    let updated = move |cx: &edit::Context<'_>| edit::endpoint::update(cx, manager.workspace, id, patch);
    let endpoint = admin.edit(manager.right, updated).await?;
    tracing::info!(endpoint.id = %id, endpoint.slug = %endpoint.slug, "endpoint updated");
    prices::warn_of(&admin.store.snapshot(), &endpoint, admin.settings.unpriced);
    Ok(Answer(EndpointView::of(&endpoint)))
}
