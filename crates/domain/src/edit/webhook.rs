//! Webhooks: put, delete, and replacing the secret.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::credential::SecretValue;
use crate::id::WorkspaceId;
use crate::webhook::{HookUrl, PreviousSecret, SECRET_OVERLAP_S, Webhook};

/// For the client that asks for a webhook where there is none.
pub const NO_WEBHOOK: &str = "This workspace has no webhook; put one first.";

/// What a webhook shall be.
#[derive(Debug, Clone)]
pub struct WebhookDraft {
    /// Where events go.
    pub url: HookUrl,
    /// For people.
    pub description: Option<Arc<str>>,
    /// Most events of one delivery.
    pub batch_max: u16,
}

/// A webhook as it stands after an edit, and whether its secret was made by it.
#[derive(Debug, Clone)]
pub struct Put {
    /// The webhook.
    pub webhook: Arc<Webhook>,
    /// Whether its secret is the fresh one.
    pub is_new: bool,
}

/// Makes the webhook of a workspace with this fresh secret, or changes it; then it keeps the secret it has.
#[must_use]
pub fn put(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    draft: WebhookDraft,
    fresh: SecretValue,
) -> (Change, Put) {
    let before = cx.snapshot.webhook(workspace);
    let WebhookDraft { url, description, batch_max } = draft;
    let webhook = Arc::new(Webhook {
        workspace,
        url,
        description,
        batch_max,
        secret: before.map_or(fresh, |before| before.secret.clone()),
        previous: before.and_then(|before| before.previous.clone()),
        created_s: before.map_or(cx.now_s, |before| before.created_s),
        updated_s: cx.now_s,
    });
    let is_new = before.is_none();
    (Change::of(cx, Record::Webhook(Arc::clone(&webhook))), Put { webhook, is_new })
}

/// Deletes a webhook. What it has not delivered becomes dead letters.
///
/// # Errors
/// When there is none.
pub fn delete(cx: &Context<'_>, workspace: WorkspaceId) -> Result<(Change, Arc<Webhook>), Rejection> {
    let webhook = cx.snapshot.webhook(workspace).ok_or(Rejection::NotFound(NO_WEBHOOK))?;
    let record = Record::WebhookDeleted { workspace, at_ms: cx.now_ms };
    Ok((Change::of(cx, record), Arc::clone(webhook)))
}

/// Replaces the secret by this fresh one. The former one signs as well for a day; one before that no longer.
///
/// # Errors
/// When there is no webhook.
pub fn rotate_secret(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    fresh: SecretValue,
) -> Result<(Change, Arc<Webhook>), Rejection> {
    let before = cx.snapshot.webhook(workspace).ok_or(Rejection::NotFound(NO_WEBHOOK))?;
    let until_s = cx.now_s.saturating_add(SECRET_OVERLAP_S);
    let webhook = Arc::new(Webhook {
        secret: fresh,
        previous: Some(PreviousSecret { secret: before.secret.clone(), until_s }),
        updated_s: cx.now_s,
        ..Webhook::clone(before)
    });
    Ok((Change::of(cx, Record::Webhook(Arc::clone(&webhook))), webhook))
}
