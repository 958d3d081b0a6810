//! `POST /v1/gateway/endpoints`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::EndpointView;
use super::shape::CreateBody;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::governance::prices;
use crate::json::{Answer, Received, parse};

/// Create an endpoint: a public model name and where it goes.
#[utoipa::path(
    post,
    path = "/v1/gateway/endpoints",
    tag = "endpoints",
    request_body = CreateBody,
    responses((status = 200, description = "The endpoint as it now stands.", body = EndpointView)),
)]
pub(crate) async fn endpoint_create(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<EndpointView>, Error> {
    let draft = parse::<CreateBody>(&body)?.draft(manager, &admin.settings)?;
    let created = move |cx: &edit::Context<'_>| edit::endpoint::create(cx, draft);
    let endpoint = admin.edit(manager.right, created).await?;
    tracing::info!(endpoint.id = %endpoint.id, endpoint.slug = %endpoint.slug, "endpoint created");
    prices::warn_of(&admin.store.snapshot(), &endpoint, admin.settings.unpriced);
    Ok(Answer(EndpointView::of(&endpoint)))
}
