//! Secrets: put and delete.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::credential::{Secret, SecretValue};
use crate::id::WorkspaceId;
use crate::snapshot::Version;

/// Creates a secret or replaces its value.
#[must_use]
pub fn put(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    name: &str,
    value: SecretValue,
) -> (Change, Arc<Secret>) {
    let secret = Arc::new(Secret { workspace, name: name.into(), value, created_s: cx.now_s });
    let records = vec![Record::Secret(Arc::clone(&secret))];
    (Change { version: cx.version, records, trees: Vec::new(), workspaces: Vec::new() }, secret)
}

/// Deletes a secret.
///
/// # Errors
/// An unknown secret, or one that an endpoint still uses.
pub fn delete(cx: &Context<'_>, workspace: WorkspaceId, name: &str) -> Result<Change, Rejection> {
    let secret = cx.snapshot.secret(workspace, name);
    let secret = secret.ok_or(Rejection::NotFound("No secret with this name exists in this workspace."))?;
    let user = cx
        .snapshot
        .endpoints_after(workspace, Version(0))
        .find(|endpoint| endpoint.target.secret_name() == Some(name));
    if let Some(endpoint) = user {
        return Err(Rejection::invalid(format!(
            "The endpoint `{}` uses this secret; point it elsewhere or delete it first.",
            endpoint.slug
        )));
    }
    let records = vec![Record::SecretDeleted { workspace, name: Arc::clone(&secret.name) }];
    Ok(Change { version: cx.version, records, trees: Vec::new(), workspaces: Vec::new() })
}
