//! `PATCH /v1/gateway/endpoints/{endpoint_id}`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::shape::UpdateBody;
use super::{EndpointView, named};
use crate::admin::Admin;
use crate::authenticate::Operator;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

pub(crate) async fn endpoint_update(
    operator: Operator,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<EndpointView>, Error> {
    let id = named(&admin.store.snapshot(), operator.workspace, &id)?.id;
    let patch = parse::<UpdateBody>(&body)?.patch(&admin.settings)?;
    let updated = move |cx: &edit::Context<'_>| edit::endpoint::update(cx, operator.workspace, id, patch);
    let endpoint = admin.store.edit(admin.clock.now(), updated).await?;
    tracing::info!(endpoint.id = %id, endpoint.slug = %endpoint.slug, "endpoint updated");
    Ok(Answer(EndpointView::of(&endpoint)))
}
