//! Who may speak to us: federated keys, management keys, and the secrets we speak to others with.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{GroupId, ManagementKeyId, WorkspaceId};
use crate::snapshot::Version;

/// The longest name of an end user, in bytes.
pub const USER_LEN_MAX: usize = 256;

/// The keyed hash of a whole credential. The credential itself is never kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// A federated API key: the credential of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// First characters, safe to show; unique in the workspace, revoked keys included.
    pub prefix: Arc<str>,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// The tenant of its group.
    pub workspace: WorkspaceId,
    /// The one group it speaks for.
    pub group: GroupId,
    /// For display only.
    pub name: Option<Arc<str>>,
    /// The end user whose calls it makes; none if calls may say so themselves.
    pub user_id: Option<Arc<str>>,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
}

/// What a management key may do.
///
/// A scope is above those that come before it: it may do all that they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nothing: for tests, and for people who are suspended.
    None,
    /// Reading, in its workspace.
    View,
    /// Everything in its workspace.
    Manage,
    /// Everything, in every workspace.
    Operator,
}

/// The credential of someone who runs the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementKey {
    /// Opaque, given by us.
    pub id: ManagementKeyId,
    /// For display only.
    pub name: Option<Arc<str>>,
    /// First characters, safe to show.
    pub prefix: Arc<str>,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// Where it acts.
    pub workspace: WorkspaceId,
    /// What it may do.
    pub scope: Scope,
    /// Whether the environment gives it; then the next start replaces it.
    pub from_environment: bool,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
}

/// What a credential turned out to be.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A customer's key.
    Federated(Arc<Key>),
    /// An operator's key.
    Management(Arc<ManagementKey>),
}

/// A named secret of a workspace: what an upstream wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The tenant it belongs to.
    pub workspace: WorkspaceId,
    /// Its name, unique in the workspace; targets refer to it.
    pub name: Arc<str>,
    /// The value.
    pub value: SecretValue,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
}

/// A value that never shows itself: not in a log, an error or a debugger's print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<str>);

impl SecretValue {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}
