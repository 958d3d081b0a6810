//! Where a workspace wants its billing events: `/v1/gateway/webhook`. Its secret is shown once, when it is made.

pub(crate) mod dead_letters;
pub(crate) mod delivery;
pub(crate) mod redrive;
pub(crate) mod rotate;
mod shape;
pub(crate) mod test;

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::edit::webhook::NO_WEBHOOK;
use domain::{SecretValue, Snapshot, Webhook, WorkspaceId, edit};
use storage::random_bytes;

use self::shape::{DeletedView, PutBody, PutView, WebhookView};
use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};

/// What stands before the base64 of a secret, by which stock verifiers know it.
const SECRET_MARK: &str = "whsec_";
/// Random bytes of a secret; Standard Webhooks wants 24 to 64.
const SECRET_LEN: usize = 32;

/// Make the webhook of the workspace, or change it.
///
/// The secret is in the answer when it is made, and never again. A new webhook begins with the next event; of one that is
/// changed, what is still to be delivered goes to the new URL.
#[utoipa::path(
    put,
    path = "/v1/gateway/webhook",
    tag = "webhooks",
    request_body = PutBody,
    responses((status = 200, description = "The webhook, with its secret where it is new.", body = PutView)),
)]
pub(crate) async fn webhook_put(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<PutView>, Error> {
    let draft = parse::<PutBody>(&body)?.draft(admin.settings.receivers)?;
    let fresh = new_secret();
    let put = move |cx: &edit::Context<'_>| Ok(edit::webhook::put(cx, manager.workspace, draft, fresh));
    let put = admin.edit(manager.right, put).await?;
    tracing::info!(workspace = %manager.workspace, new = put.is_new, "webhook put");
    Ok(Answer(PutView::of(&put)))
}

/// Read the webhook of the workspace, without its secret.
#[utoipa::path(
    get,
    path = "/v1/gateway/webhook",
    tag = "webhooks",
    responses((status = 200, description = "The webhook.", body = WebhookView)),
)]
pub(crate) async fn webhook_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<WebhookView>, Error> {
    let snapshot = admin.store.snapshot();
    Ok(Answer(WebhookView::of(existing(&snapshot, viewer.workspace)?)))
}

/// Delete the webhook of the workspace.
///
/// Events that it has not delivered become dead letters; a webhook that is put later can have them redriven.
#[utoipa::path(
    delete,
    path = "/v1/gateway/webhook",
    tag = "webhooks",
    responses((status = 200, description = "The webhook is gone.", body = DeletedView)),
)]
pub(crate) async fn webhook_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<DeletedView>, Error> {
    let delete = move |cx: &edit::Context<'_>| edit::webhook::delete(cx, manager.workspace);
    let webhook = admin.edit(manager.right, delete).await?;
    tracing::info!(workspace = %manager.workspace, "webhook deleted");
    Ok(Answer(DeletedView::of(&webhook)))
}

fn existing(snapshot: &Snapshot, workspace: WorkspaceId) -> Result<&Arc<Webhook>, Error> {
    snapshot.webhook(workspace).ok_or(Error::NotFound(NO_WEBHOOK))
}

fn new_secret() -> SecretValue {
    SecretValue::new(&format!("{SECRET_MARK}{}", STANDARD.encode(random_bytes::<SECRET_LEN>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_base64_of_32_random_bytes_behind_its_mark() {
        let (one, two) = (new_secret(), new_secret());
        let bytes = STANDARD.decode(one.expose().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_ne!(one, two);
    }
}
