//! `POST /v1/gateway/webhook/test`: does the receiver answer?

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::existing;
use crate::access::Manager;
use crate::admin::{Admin, HookTested};
use crate::error::Error;
use crate::json::Answer;

/// What one attempt showed. A receiver that does not answer is a finding, not an error of ours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTested)]
pub(crate) struct TestedView {
    /// Status of the answer, if there was one.
    #[schema(required)]
    status: Option<u16>,
    /// The beginning of the answer's body, up to 1 KiB.
    body: String,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// What went wrong, for people.
    #[schema(required)]
    error: Option<String>,
}

/// Send the webhook a signed sample event, once.
///
/// The event is of no tokens and has the sequence 0; it is not in the ledger and is not tried again.
#[utoipa::path(
    post,
    path = "/v1/gateway/webhook/test",
    tag = "webhooks",
    responses((status = 200, description = "What the attempt showed. A receiver that does not answer is a finding, not an error.", body = TestedView)),
)]
pub(crate) async fn webhook_test(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<TestedView>, Error> {
    let webhook = Arc::clone(existing(&admin.store.snapshot(), manager.workspace)?);
    let HookTested { status, body, duration_ms, error } =
        admin.waits.during(manager.workspace, admin.hooks.test(webhook)).await?;
    Ok(Answer(TestedView { status, body, duration_ms, error }))
}
