//! What the asker may do: one type for each kind of route, and no other way to reach a handler.
//!
//! | | |
//! | --- | --- |
//! | [`Viewer`] | reads in one workspace, or asks what changes nothing: `view`, `manage`, `operator` |
//! | [`Manager`] | writes in one workspace: `manage`, `operator` |
//! | [`Keeper`] | keeps management keys: `manage` in its own workspace, `operator` in all |
//! | [`Operator`] | keeps workspaces: `operator` |
//!
//! Guarantees: a handler that takes one of these is not entered by anyone who may less, nor, but for the last two, on
//! behalf of a workspace that is not onboarded; and no edit is made by anyone who may do less by then ([`Right`]).
//! Begins at [`acted_on`], which says in which workspace a request acts.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use domain::edit::workspace::NO_WORKSPACE;
use domain::{KeyHash, ManagementKey, Scope, Snapshot, Workspace, WorkspaceId};
use http::HeaderMap;
use http::request::Parts;

use crate::admin::Admin;
use crate::authenticate::authenticate;
use crate::error::Error;

/// Names the workspace that an operator acts on.
pub(crate) const WORKSPACE_HEADER: &str = "x-tollgate-workspace";

const NOT_ITS_OWN: &str =
    "This key acts in its own workspace alone; only an operator's key can name another.";
const NOT_ONBOARDED: &str = "This workspace is not onboarded yet; ask the operator of the gateway.";
const READS_ONLY: &str = "This key may only read; use one with the scope `manage`.";
const MAY_NOTHING: &str = "This key may do nothing; use one with the scope `view` or `manage`.";
const NO_KEEPER: &str = "This key may not see or change management keys; use one with the scope `manage`.";
const NO_OPERATOR: &str = "Only an operator's key may see or change workspaces.";

/// May read in this workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewer {
    pub(crate) workspace: WorkspaceId,
}

/// May write in this workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manager {
    pub(crate) workspace: WorkspaceId,
    /// [`Scope::Manage`] or [`Scope::Operator`].
    pub(crate) scope: Scope,
    pub(crate) right: Right,
}

/// May keep management keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper {
    /// [`Scope::Manage`] or [`Scope::Operator`].
    pub(crate) scope: Scope,
    pub(crate) right: Right,
    own: WorkspaceId,
}

/// May keep workspaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    pub(crate) right: Right,
}

/// By what right an edit is made. It is looked at again inside the edit: a body may take its time, and its key may be
/// deleted meanwhile, or its workspace put out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Right {
    key: KeyHash,
    /// The workspace that has to be onboarded; none for an operator, who onboards.
    acts_in: Option<WorkspaceId>,
}

impl FromRequestParts<Arc<Admin>> for Viewer {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let (key, snapshot) = authenticate(parts, admin)?;
        require(&key, Scope::View)?;
        let workspace = onboarded(acted_on(&key, &parts.headers, &snapshot)?)?.id;
        Ok(Self { workspace })
    }
}

impl FromRequestParts<Arc<Admin>> for Manager {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let (key, snapshot) = authenticate(parts, admin)?;
        require(&key, Scope::Manage)?;
        let workspace = onboarded(acted_on(&key, &parts.headers, &snapshot)?)?.id;
        Ok(Self { workspace, scope: key.scope, right: Right { key: key.hash, acts_in: Some(workspace) } })
    }
}

#[cfg(test)]
impl Manager {
    /// One with this scope, for tests that make no edit.
    pub(crate) const fn of_nobody(scope: Scope) -> Self {
        let workspace = WorkspaceId(1);
        Self { workspace, scope, right: Right { key: KeyHash([0; 32]), acts_in: Some(workspace) } }
    }
}

impl FromRequestParts<Arc<Admin>> for Keeper {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let (key, snapshot) = authenticate(parts, admin)?;
        require(&key, Scope::View)?;
        let acts_in = match key.scope {
            Scope::None | Scope::View => return Err(Error::Forbidden(NO_KEEPER)),
            // An operator comes here to onboard too.
            Scope::Operator => None,
            Scope::Manage => Some(onboarded(acted_on(&key, &parts.headers, &snapshot)?)?.id),
        };
        Ok(Self { scope: key.scope, right: Right { key: key.hash, acts_in }, own: key.workspace })
    }
}

impl Keeper {
    /// The workspace that a path names. To all but operators, every other one is forbidden, whether there is one or not.
    ///
    /// # Errors
    /// A workspace that is not there, or not the keeper's.
    pub(crate) fn workspace<'a>(self, snapshot: &'a Snapshot, id: &str) -> Result<&'a Arc<Workspace>, Error> {
        let named = workspace_named(snapshot, id);
        match self.scope {
            Scope::Operator => named,
            Scope::None | Scope::View | Scope::Manage => {
                named.ok().filter(|named| named.id == self.own).ok_or(Error::Forbidden(NOT_ITS_OWN))
            }
        }
    }
}

impl FromRequestParts<Arc<Admin>> for Operator {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let (key, _) = authenticate(parts, admin)?;
        match key.scope {
            Scope::Operator => Ok(Self { right: Right { key: key.hash, acts_in: None } }),
            Scope::None | Scope::View | Scope::Manage => Err(Error::Forbidden(NO_OPERATOR)),
        }
    }
}

impl Right {
    /// Whether the key is still in force, and its workspace still onboarded.
    ///
    /// # Errors
    /// As at the door.
    pub(crate) fn still_holds(self, snapshot: &Snapshot) -> Result<(), Error> {
        snapshot.credential(&self.key).ok_or(Error::Unauthorized)?;
        let Some(workspace) = self.acts_in else { return Ok(()) };
        onboarded(snapshot.workspace(workspace).ok_or(Error::NotFound(NO_WORKSPACE))?)?;
        Ok(())
    }
}

/// The workspace with this id.
///
/// # Errors
/// When there is none.
pub(crate) fn workspace_named<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a Arc<Workspace>, Error> {
    let workspace = id.parse().ok().and_then(|id| snapshot.workspace(id));
    workspace.ok_or(Error::NotFound(NO_WORKSPACE))
}

pub(crate) fn require(key: &ManagementKey, least: Scope) -> Result<(), Error> {
    match key.scope {
        scope if scope >= least => Ok(()),
        Scope::None => Err(Error::Forbidden(MAY_NOTHING)),
        Scope::View | Scope::Manage | Scope::Operator => Err(Error::Forbidden(READS_ONLY)),
    }
}

/// The key's own workspace, if it may manage and call.
pub(crate) fn home_of<'a>(key: &ManagementKey, snapshot: &'a Snapshot) -> Result<&'a Arc<Workspace>, Error> {
    onboarded(snapshot.workspace(key.workspace).ok_or(Error::NotFound(NO_WORKSPACE))?)
}

/// The workspace a request acts on: the key's own, or the one that an operator names.
fn acted_on<'a>(
    key: &ManagementKey,
    headers: &HeaderMap,
    snapshot: &'a Snapshot,
) -> Result<&'a Arc<Workspace>, Error> {
    let own = snapshot.workspace(key.workspace).ok_or(Error::NotFound(NO_WORKSPACE))?;
    let mut given = headers.get_all(WORKSPACE_HEADER).iter();
    let named = match (given.next(), given.next()) {
        (None, _) => return Ok(own),
        (Some(named), None) => named.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("x-tollgate-workspace is given twice; name one workspace."));
        }
    };
    match key.scope {
        Scope::Operator => workspace_named(snapshot, named),
        Scope::None | Scope::View | Scope::Manage if named == own.id.to_string() => Ok(own),
        Scope::None | Scope::View | Scope::Manage => Err(Error::Forbidden(NOT_ITS_OWN)),
    }
}

/// The workspace, if it may manage and call.
///
/// # Errors
/// When it may not yet, or no longer.
pub(crate) fn onboarded(workspace: &Arc<Workspace>) -> Result<&Arc<Workspace>, Error> {
    if workspace.onboarded { Ok(workspace) } else { Err(Error::Forbidden(NOT_ONBOARDED)) }
}
