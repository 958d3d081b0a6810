//! `POST /v1/gateway/webhook/rotate_secret`: a new secret, beside which the former one signs for a day.

use std::sync::Arc;

use axum::extract::State;
use domain::edit;
use serde::Serialize;
use utoipa::ToSchema;

use super::new_secret;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::time::Timestamp;

/// A new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub(crate) struct RotatedView {
    /// The whole secret. Keep it: it is never shown again.
    secret: String,
    /// Until when `webhook-signature` carries a signature with the former secret as well.
    previous_valid_until: Timestamp,
}

/// Replace the secret of the webhook.
///
/// For 24 hours `webhook-signature` carries two signatures, with the new secret and with the former one;
/// `X-Baseten-Signature` is made with the new one at once. A secret before the former one is forgotten.
#[utoipa::path(
    post,
    path = "/v1/gateway/webhook/rotate_secret",
    tag = "webhooks",
    responses((status = 200, description = "The new secret, shown once.", body = RotatedView)),
)]
pub(crate) async fn webhook_rotate_secret(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<RotatedView>, Error> {
    let fresh = new_secret();
    let rotate = move |cx: &edit::Context<'_>| edit::webhook::rotate_secret(cx, manager.workspace, fresh);
    let webhook = admin.edit(manager.right, rotate).await?;
    tracing::info!(workspace = %manager.workspace, "secret of the webhook replaced");
    let until_s = webhook.previous.as_ref().map_or(webhook.updated_s, |previous| previous.until_s);
    let secret = webhook.secret.expose().to_owned();
    Ok(Answer(RotatedView { secret, previous_valid_until: Timestamp(until_s) }))
}
