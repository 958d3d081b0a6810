//! Keys: mint or register, and revoke.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::credential::{Key, KeyHash};
use crate::edit::group::visible;
use crate::id::{GroupId, WorkspaceId};

/// For the client of a key that is taken, in whole or by its prefix. Those that were revoked are taken too.
pub const TAKEN: &str = "A key with this prefix exists, or existed, in this workspace; choose another key.";

const NO_KEY: &str = "No key with this prefix exists in this group.";

/// A key that was just made, here or by the client; the whole of it is known to the client alone.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// First characters, safe to show.
    pub prefix: Arc<str>,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// For display only.
    pub name: Option<Arc<str>>,
    /// The end user whose calls it makes.
    pub user_id: Option<Arc<str>>,
}

/// Gives a group one more key. What was revoked is not in the snapshot: the store refuses that, with [`TAKEN`] too.
///
/// # Errors
/// An unknown group; a prefix that is taken in the workspace, or a key that is one already anywhere ([`TAKEN`]).
pub fn mint(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    group: GroupId,
    draft: KeyDraft,
) -> Result<(Change, Arc<Key>), Rejection> {
    let group = visible(cx.snapshot, workspace, group)?;
    let known = cx.snapshot.credential(&draft.hash).is_some();
    if known || cx.snapshot.key_by_prefix(workspace, &draft.prefix).is_some() {
        return Err(Rejection::invalid(TAKEN));
    }
    let key = Arc::new(Key {
        prefix: draft.prefix,
        hash: draft.hash,
        workspace,
        group: group.id,
        name: draft.name,
        user_id: draft.user_id,
        serial: cx.version,
        created_s: cx.now_s,
    });
    let records = vec![Record::Key(Arc::clone(&key))];
    Ok((Change { version: cx.version, records, trees: Vec::new(), workspaces: Vec::new() }, key))
}

/// Revokes a key for good. Calls that have not been admitted yet look again and are refused.
///
/// # Errors
/// An unknown group or key.
pub fn revoke(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    group: GroupId,
    prefix: &str,
) -> Result<(Change, Arc<Key>), Rejection> {
    let group = visible(cx.snapshot, workspace, group)?;
    let key = cx.snapshot.key_by_prefix(workspace, prefix).filter(|key| key.group == group.id);
    let key = key.ok_or(Rejection::NotFound(NO_KEY))?;
    let records = vec![Record::KeyRevoked { hash: key.hash, at_s: cx.now_s }];
    Ok((
        Change { version: cx.version, records, trees: vec![group.root], workspaces: Vec::new() },
        Arc::clone(key),
    ))
}
