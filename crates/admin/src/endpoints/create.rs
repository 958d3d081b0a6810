//! `POST /v1/gateway/endpoints`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::EndpointView;
use super::shape::CreateBody;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};

pub(crate) async fn endpoint_create(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<EndpointView>, Error> {
    let draft = parse::<CreateBody>(&body)?.draft(manager, &admin.settings)?;
    let created = move |cx: &edit::Context<'_>| edit::endpoint::create(cx, draft);
    let endpoint = admin.store.edit(admin.clock.now(), created).await?;
    tracing::info!(endpoint.id = %endpoint.id, endpoint.slug = %endpoint.slug, "endpoint created");
    Ok(Answer(EndpointView::of(&endpoint)))
}
