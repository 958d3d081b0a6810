//! By what groups and keys are found: the indexes that grow with the number of customers.

use std::sync::Arc;

use super::Version;
use super::layered::Index;
use super::ordered::Order;
use crate::credential::{Credential, Key, KeyHash};
use crate::group::Group;
use crate::id::{GroupId, WorkspaceId};

/// Groups by id.
pub(super) struct ById;

impl Index for ById {
    type Value = Arc<Group>;
    type Key<'a> = GroupId;

    fn key(group: &Arc<Group>) -> GroupId {
        group.id
    }

    fn is_of(id: GroupId, group: &Arc<Group>) -> bool {
        id == group.id
    }
}

/// Groups by the customer's identifier, which is one group's in a workspace.
pub(super) struct ByExternalId;

impl Index for ByExternalId {
    type Value = Arc<Group>;
    type Key<'a> = (WorkspaceId, &'a str);

    fn key(group: &Arc<Group>) -> (WorkspaceId, &str) {
        (group.workspace, &group.metadata.external_entity_id)
    }

    fn is_of(key: (WorkspaceId, &str), group: &Arc<Group>) -> bool {
        key == Self::key(group)
    }
}

/// Groups of a workspace in order of creation.
pub(super) struct InOrder;

impl Order for InOrder {
    type Value = Arc<Group>;
    type Key = (WorkspaceId, Version);

    fn key(group: &Arc<Group>) -> Self::Key {
        (group.workspace, group.serial)
    }
}

/// Groups by the one above them.
pub(super) struct ByParent;

impl Order for ByParent {
    type Value = Arc<Group>;
    /// Roots are in no such index.
    type Key = (Option<GroupId>, GroupId);

    fn key(group: &Arc<Group>) -> Self::Key {
        (group.parent, group.id)
    }
}

/// Credentials by the hash of the whole.
pub(super) struct ByHash;

impl Index for ByHash {
    type Value = Credential;
    type Key<'a> = &'a KeyHash;

    fn key(credential: &Credential) -> &KeyHash {
        match credential {
            Credential::Federated(key) => &key.hash,
            Credential::Management(key) => &key.hash,
        }
    }

    fn is_of(hash: &KeyHash, credential: &Credential) -> bool {
        hash == Self::key(credential)
    }
}

/// Keys by the characters that may be shown, which are one key's in a workspace.
pub(super) struct ByPrefix;

impl Index for ByPrefix {
    type Value = Arc<Key>;
    type Key<'a> = (WorkspaceId, &'a str);

    fn key(key: &Arc<Key>) -> (WorkspaceId, &str) {
        (key.workspace, &key.prefix)
    }

    fn is_of(prefix: (WorkspaceId, &str), key: &Arc<Key>) -> bool {
        prefix == Self::key(key)
    }
}

/// Keys of a group in order of creation.
pub(super) struct OfGroup;

impl Order for OfGroup {
    type Value = Arc<Key>;
    type Key = (GroupId, Version);

    fn key(key: &Arc<Key>) -> Self::Key {
        (key.group, key.serial)
    }
}
