//! Keys: mint and revoke.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::credential::{Key, KeyHash, ManagementKey};
use crate::edit::group::visible;
use crate::id::{GroupId, WorkspaceId};

const NO_KEY: &str = "No key with this prefix exists in this group.";

/// A key that was just made; its secret is known to the caller alone.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// First characters, safe to show.
    pub prefix: Arc<str>,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// For display only.
    pub name: Option<Arc<str>>,
}

/// Gives a group one more key.
///
/// # Errors
/// An unknown group; a prefix that is taken (make another and ask again).
pub fn mint(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    group: GroupId,
    draft: KeyDraft,
) -> Result<(Change, Arc<Key>), Rejection> {
    let group = visible(cx.snapshot, workspace, group)?;
    if cx.snapshot.key_by_prefix(&draft.prefix).is_some() {
        return Err(Rejection::invalid("A key with this prefix exists already."));
    }
    let key = Arc::new(Key {
        prefix: draft.prefix,
        hash: draft.hash,
        group: group.id,
        name: draft.name,
        serial: cx.version,
        created_s: cx.now_s,
    });
    let records = vec![Record::Key(Arc::clone(&key))];
    Ok((Change { version: cx.version, records, trees: Vec::new() }, key))
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
    let key = cx.snapshot.key_by_prefix(prefix).filter(|key| key.group == group.id);
    let key = key.ok_or(Rejection::NotFound(NO_KEY))?;
    let records = vec![Record::KeyRevoked { hash: key.hash, at_s: cx.now_s }];
    Ok((Change { version: cx.version, records, trees: vec![group.root] }, Arc::clone(key)))
}

/// Puts an operator's key in force, if there is a new one, in place of those in `replaced`.
#[must_use]
pub fn put_operator_key(cx: &Context<'_>, key: Option<ManagementKey>, replaced: &[KeyHash]) -> Change {
    let gone = replaced.iter().map(|hash| Record::ManagementKeyDeleted { hash: *hash });
    let records = gone.chain(key.map(|key| Record::ManagementKey(Arc::new(key)))).collect();
    Change { version: cx.version, records, trees: Vec::new() }
}
