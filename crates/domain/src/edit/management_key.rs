//! Management keys: mint, delete, and the operator's keys that a start puts in force.

use std::sync::Arc;

use super::workspace::NO_WORKSPACE;
use super::{Change, Context, Record, Rejection, key};
use crate::credential::{KeyHash, ManagementKey, Scope};
use crate::id::{ManagementKeyId, WorkspaceId};
use crate::snapshot::Version;

/// Most management keys of one workspace in force at once. Whatever is kept for each is bounded by it.
pub const MANAGEMENT_KEYS_MAX: usize = 1_000;

/// For the client of an id that names no key of the workspace.
pub const NO_MANAGEMENT_KEY: &str =
    "No management key of this workspace has this id; list its keys to see those there are.";

/// A management key that was just made; the whole of it is known to its maker alone.
#[derive(Debug, Clone)]
pub struct ManagementKeyDraft {
    /// First characters, safe to show.
    pub prefix: Arc<str>,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// For display only.
    pub name: Option<Arc<str>>,
    /// What it may do.
    pub scope: Scope,
}

/// Gives a workspace one more management key.
///
/// # Errors
/// An unknown workspace; one that has [`MANAGEMENT_KEYS_MAX`] keys; a key that is one already.
pub fn mint(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    draft: ManagementKeyDraft,
) -> Result<(Change, Arc<ManagementKey>), Rejection> {
    if cx.snapshot.workspace(workspace).is_none() {
        return Err(Rejection::NotFound(NO_WORKSPACE));
    }
    if cx.snapshot.management_keys_after(workspace, Version(0)).count() >= MANAGEMENT_KEYS_MAX {
        return Err(Rejection::invalid(format!(
            "This workspace has {MANAGEMENT_KEYS_MAX} management keys; delete one that is not used."
        )));
    }
    let key = mint_first(cx, workspace, draft)?;
    Ok((change(cx, vec![Record::ManagementKey(Arc::clone(&key))]), key))
}

/// The key of a workspace that is only being made.
pub(super) fn mint_first(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    draft: ManagementKeyDraft,
) -> Result<Arc<ManagementKey>, Rejection> {
    match cx.snapshot.credential(&draft.hash) {
        Some(_) => Err(Rejection::invalid(key::TAKEN)),
        None => Ok(Arc::new(made(cx, workspace, draft))),
    }
}

/// Deletes a management key.
///
/// # Errors
/// An unknown key; the last operator's key.
pub fn delete(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: ManagementKeyId,
) -> Result<(Change, Arc<ManagementKey>), Rejection> {
    let key = cx.snapshot.management_key(workspace, id).ok_or(Rejection::NotFound(NO_MANAGEMENT_KEY))?;
    if key.scope == Scope::Operator && cx.snapshot.operator_keys().nth(1).is_none() {
        return Err(Rejection::invalid(
            "This is the last operator's key, and without it nobody could manage the gateway; mint another first.",
        ));
    }
    Ok((change(cx, vec![gone(cx, key.hash)]), Arc::clone(key)))
}

/// An operator's key that a start puts in force.
#[derive(Debug, Clone)]
pub struct OperatorKey {
    /// The key; an operator's, whatever it says.
    pub draft: ManagementKeyDraft,
    /// Whether the environment gives it; then a later start may replace it.
    pub from_environment: bool,
}

/// Puts an operator's key in force in the first workspace, if there is a new one, in place of those in `replaced`.
///
/// # Errors
/// A key that is a customer's.
pub fn put_operator_key(
    cx: &Context<'_>,
    new: Option<OperatorKey>,
    replaced: &[KeyHash],
) -> Result<Change, Rejection> {
    let mut records: Vec<Record> = replaced.iter().map(|hash| gone(cx, *hash)).collect();
    if let Some(OperatorKey { draft, from_environment }) = new {
        let first = cx.snapshot.workspaces().next().ok_or(Rejection::NotFound(NO_WORKSPACE))?;
        if cx.snapshot.credential(&draft.hash).is_some() {
            return Err(Rejection::invalid(key::TAKEN));
        }
        let draft = ManagementKeyDraft { scope: Scope::Operator, ..draft };
        let key = ManagementKey { from_environment, ..made(cx, first.id, draft) };
        records.push(Record::ManagementKey(Arc::new(key)));
    }
    Ok(change(cx, records))
}

fn made(cx: &Context<'_>, workspace: WorkspaceId, draft: ManagementKeyDraft) -> ManagementKey {
    ManagementKey {
        id: id_of(&draft.hash),
        name: draft.name,
        prefix: draft.prefix,
        hash: draft.hash,
        workspace,
        scope: draft.scope,
        from_environment: false,
        serial: cx.version,
        created_s: cx.now_s,
    }
}

/// A piece of the keyed hash: as random as a fresh number, and the same again for a key that comes back from the
/// environment.
fn id_of(hash: &KeyHash) -> ManagementKeyId {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    ManagementKeyId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

fn gone(cx: &Context<'_>, hash: KeyHash) -> Record {
    Record::ManagementKeyDeleted { hash, at_s: cx.now_s }
}

fn change(cx: &Context<'_>, records: Vec<Record>) -> Change {
    Change { version: cx.version, records, trees: Vec::new(), workspaces: Vec::new() }
}
