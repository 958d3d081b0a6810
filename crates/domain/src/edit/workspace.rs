//! Workspaces: create and update, and the rule that a prefix has one owner.

use std::collections::HashSet;
use std::sync::Arc;

use super::management_key::{ManagementKeyDraft, mint_first};
use super::{Change, Context, Record, Rejection};
use crate::credential::ManagementKey;
use crate::id::WorkspaceId;
use crate::snapshot::{Snapshot, Version};
use crate::workspace::{Prefix, Prefixes, Workspace};

/// Most prefixes of one workspace.
pub const PREFIXES_MAX: usize = 1_000;

/// For the client of an id that names no workspace.
pub const NO_WORKSPACE: &str = "No workspace has this id; list the workspaces to see those there are.";

/// A workspace as an operator writes it.
#[derive(Debug, Clone)]
pub struct WorkspaceDraft {
    /// For people.
    pub name: Arc<str>,
    /// Whether it may manage and call from the start.
    pub onboarded: bool,
    /// The slug prefixes it is to own.
    pub org_prefixes: Prefixes,
    /// What its registered keys are signed with.
    pub ed25519_public_key: Option<[u8; 32]>,
}

/// A workspace that was just made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The workspace.
    pub workspace: Arc<Workspace>,
    /// Its first management key.
    pub key: Arc<ManagementKey>,
}

/// A change to a workspace as an operator writes it. At least one field is set.
#[derive(Debug, Clone, Default)]
pub struct WorkspacePatch {
    /// A new name.
    pub name: Option<Arc<str>>,
    /// Whether it may manage and call.
    pub onboarded: Option<bool>,
    /// The new complete set of prefixes.
    pub org_prefixes: Option<Prefixes>,
    /// A new public key, or none.
    pub ed25519_public_key: Option<Option<[u8; 32]>>,
}

/// The tenant an empty store begins with: it owns every prefix.
#[must_use]
pub fn first(cx: &Context<'_>) -> Change {
    let draft = WorkspaceDraft {
        name: "default".into(),
        onboarded: true,
        org_prefixes: Prefixes::Rest,
        ed25519_public_key: None,
    };
    change(cx, vec![Record::Workspace(Arc::new(made(cx, draft)))])
}

/// Creates a workspace with its first management key.
///
/// # Errors
/// A prefix that has an owner or is in use; a key that is taken.
pub fn create(
    cx: &Context<'_>,
    draft: WorkspaceDraft,
    key: ManagementKeyDraft,
) -> Result<(Change, Created), Rejection> {
    let workspace = Arc::new(made(cx, draft));
    check_prefixes(cx.snapshot, workspace.id, &workspace.org_prefixes)?;
    let key = mint_first(cx, workspace.id, key)?;
    let records = vec![Record::Workspace(Arc::clone(&workspace)), Record::ManagementKey(Arc::clone(&key))];
    Ok((change(cx, records), Created { workspace, key }))
}

/// Updates a workspace.
///
/// # Errors
/// An unknown workspace; a prefix that has another owner, or is in use by an endpoint that would lose it.
pub fn update(
    cx: &Context<'_>,
    id: WorkspaceId,
    patch: WorkspacePatch,
) -> Result<(Change, Arc<Workspace>), Rejection> {
    let before = cx.snapshot.workspace(id).ok_or(Rejection::NotFound(NO_WORKSPACE))?;
    let mut after = Workspace::clone(before);
    after.name = patch.name.unwrap_or(after.name);
    after.onboarded = patch.onboarded.unwrap_or(after.onboarded);
    after.ed25519_public_key = patch.ed25519_public_key.unwrap_or(after.ed25519_public_key);
    if let Some(prefixes) = patch.org_prefixes {
        check_prefixes(cx.snapshot, id, &prefixes)?;
        check_still_owned(cx.snapshot, id, &prefixes)?;
        after.org_prefixes = prefixes;
    }
    let after = Arc::new(after);
    Ok((change(cx, vec![Record::Workspace(Arc::clone(&after))]), after))
}

fn made(cx: &Context<'_>, draft: WorkspaceDraft) -> Workspace {
    Workspace {
        id: WorkspaceId(cx.fresh_id),
        name: draft.name,
        onboarded: draft.onboarded,
        org_prefixes: draft.org_prefixes,
        ed25519_public_key: draft.ed25519_public_key,
        serial: cx.version,
        created_s: cx.now_s,
    }
}

/// Whether a workspace may have these prefixes: each owned by nobody else, and not in use by the owner of the rest.
fn check_prefixes(snapshot: &Snapshot, id: WorkspaceId, prefixes: &Prefixes) -> Result<(), Rejection> {
    let Prefixes::Listed(prefixes) = prefixes else { return check_first(snapshot, id) };
    let mut seen = HashSet::new();
    for prefix in &**prefixes {
        if !seen.insert(prefix) {
            return Err(Rejection::invalid(format!("org_prefixes lists `{prefix}` twice.")));
        }
        check_free(snapshot, id, prefix)?;
    }
    Ok(())
}

fn check_first(snapshot: &Snapshot, id: WorkspaceId) -> Result<(), Rejection> {
    match snapshot.workspaces().next() {
        Some(first) if first.id != id => Err(Rejection::invalid(
            "org_prefixes: `*`, every prefix that nobody else owns, is for the first workspace; list prefixes.",
        )),
        _ => Ok(()),
    }
}

fn check_free(snapshot: &Snapshot, id: WorkspaceId, prefix: &Prefix) -> Result<(), Rejection> {
    match snapshot.prefix_owner(prefix.as_str()) {
        None => Ok(()),
        Some(owner) if owner == id => Ok(()),
        Some(owner) if listed_by(snapshot, owner, prefix) => Err(Rejection::invalid(format!(
            "org_prefixes: the prefix `{prefix}` has an owner; choose another."
        ))),
        // Out of the rest, then.
        Some(owner) => match in_use(snapshot, owner, prefix.as_str()) {
            true => Err(Rejection::invalid(format!(
                "org_prefixes: endpoints of the first workspace use the prefix `{prefix}`; rename or delete them \
                 first."
            ))),
            false => Ok(()),
        },
    }
}

fn listed_by(snapshot: &Snapshot, owner: WorkspaceId, prefix: &Prefix) -> bool {
    snapshot.workspace(owner).is_some_and(|owner| owner.org_prefixes.listed().contains(prefix))
}

fn in_use(snapshot: &Snapshot, workspace: WorkspaceId, prefix: &str) -> bool {
    snapshot.endpoints_after(workspace, Version(0)).any(|endpoint| endpoint.slug.prefix() == prefix)
}

/// Whether every endpoint of a workspace would keep a prefix that the workspace owns.
fn check_still_owned(snapshot: &Snapshot, id: WorkspaceId, after: &Prefixes) -> Result<(), Rejection> {
    let Prefixes::Listed(kept) = after else { return Ok(()) };
    let kept: HashSet<&str> = kept.iter().map(Prefix::as_str).collect();
    let mut endpoints = snapshot.endpoints_after(id, Version(0));
    match endpoints.find(|endpoint| !kept.contains(endpoint.slug.prefix())) {
        Some(endpoint) => Err(Rejection::invalid(format!(
            "org_prefixes leaves out `{}`, which the endpoint `{}` uses; rename or delete that endpoint first.",
            endpoint.slug.prefix(),
            endpoint.slug
        ))),
        None => Ok(()),
    }
}

fn change(cx: &Context<'_>, records: Vec<Record>) -> Change {
    Change { version: cx.version, records, trees: Vec::new(), workspaces: Vec::new() }
}
