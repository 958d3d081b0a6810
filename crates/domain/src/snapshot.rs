//! The whole configuration at one version: immutable, shared, never half-made.
//!
//! A node serves from one snapshot and swaps it whole. The maps share structure, so a copy that differs in one group
//! costs a few nodes, whatever the number of groups and keys. Those that grow with the number of customers are compact
//! where they were loaded, and persistent where they were edited since.
//!
//! Begins at [`Snapshot::advance`], the only way a snapshot changes.

mod configs;
mod indexes;
mod layered;
mod loading;
mod ordered;

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::{HashTrieMapSync, HashTrieSetSync, RedBlackTreeMapSync};
use serde::{Deserialize, Serialize};

use self::indexes::{ByExternalId, ByHash, ById, ByParent, ByPrefix, InOrder, OfGroup};
use self::layered::{Index as _, Layered};
pub use self::loading::Stored;
use self::ordered::{Order as _, Ordered};
use crate::credential::{Credential, Key, KeyHash, ManagementKey, Scope, Secret};
use crate::edit::{Change, Record};
use crate::endpoint::Endpoint;
use crate::group::Group;
use crate::id::{ConfigId, EndpointId, GroupId, ManagementKeyId, Slug, WorkspaceId};
use crate::model_config::{ConfigIdentity, ConfigScope, ModelConfig};
use crate::price::{PriceBook, PriceSource};
use crate::webhook::Webhook;
use crate::workspace::{Prefix, Prefixes, Workspace};

/// The number of an edit of the configuration. Given by the store, one higher for each edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Version(pub u64);

/// The configuration at one version.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    version: Version,
    /// The version that was loaded when the node started: no tree is older to its counters.
    loaded: Version,
    workspaces: HashTrieMapSync<WorkspaceId, Arc<Workspace>>,
    workspaces_in_order: RedBlackTreeMapSync<Version, WorkspaceId>,
    /// Owners of listed prefixes.
    prefix_owners: HashTrieMapSync<Prefix, WorkspaceId>,
    /// Who owns every other prefix.
    rest_owner: Option<WorkspaceId>,
    management_keys: HashTrieMapSync<WorkspaceId, RedBlackTreeMapSync<Version, Arc<ManagementKey>>>,
    groups: Layered<ById>,
    groups_in_order: Ordered<InOrder>,
    groups_by_external_id: Layered<ByExternalId>,
    children: Ordered<ByParent>,
    tree_epochs: HashTrieMapSync<GroupId, Version>,
    credentials: Layered<ByHash>,
    keys_of_group: Ordered<OfGroup>,
    keys_by_prefix: Layered<ByPrefix>,
    endpoints: HashTrieMapSync<EndpointId, Arc<Endpoint>>,
    endpoints_in_order: RedBlackTreeMapSync<(WorkspaceId, Version), EndpointId>,
    endpoints_by_slug: HashTrieMapSync<Slug, EndpointId>,
    secrets: RedBlackTreeMapSync<(WorkspaceId, Arc<str>), Arc<Secret>>,
    webhooks: HashTrieMapSync<WorkspaceId, Arc<Webhook>>,
    configs: HashTrieMapSync<ConfigId, Arc<ModelConfig>>,
    configs_in_order: RedBlackTreeMapSync<(WorkspaceId, Version), ConfigId>,
    configs_by_identity: HashTrieMapSync<(WorkspaceId, ConfigIdentity), ConfigId>,
    /// How many configs each scope has that has any.
    scopes: HashTrieMapSync<(WorkspaceId, ConfigScope), usize>,
    /// Groups of whose keys one has a config, or had one since the node started.
    keys_apart: HashTrieSetSync<GroupId>,
    /// Workspaces in which a user has a config, or had one since the node started.
    users_apart: HashTrieSetSync<WorkspaceId>,
    workspace_epochs: HashTrieMapSync<WorkspaceId, Version>,
    prices: BTreeMap<PriceSource, Arc<PriceBook>>,
}

/// Reading.
impl Snapshot {
    /// The edit that made this snapshot.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The tenants in order of creation.
    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<Workspace>> {
        self.workspaces_after(Version(0))
    }

    /// The tenants in order of creation, those after `after` only.
    pub fn workspaces_after(&self, after: Version) -> impl Iterator<Item = &Arc<Workspace>> {
        let from = Version(after.0.saturating_add(1));
        self.workspaces_in_order.range(from..).filter_map(|(_, id)| self.workspaces.get(id))
    }

    /// A tenant that exists.
    #[must_use]
    pub fn workspace(&self, id: WorkspaceId) -> Option<&Arc<Workspace>> {
        self.workspaces.get(&id)
    }

    /// The tenant whose endpoints may have slugs with this prefix.
    #[must_use]
    pub fn prefix_owner(&self, prefix: &str) -> Option<WorkspaceId> {
        self.prefix_owners.get(prefix).copied().or(self.rest_owner)
    }

    /// Management keys of a workspace in order of creation, those after `after` only.
    pub fn management_keys_after(
        &self,
        workspace: WorkspaceId,
        after: Version,
    ) -> impl Iterator<Item = &Arc<ManagementKey>> {
        let from = Version(after.0.saturating_add(1));
        let keys = self.management_keys.get(&workspace).into_iter();
        keys.flat_map(move |keys| keys.range(from..).map(|(_, key)| key))
    }

    /// A management key of a workspace.
    #[must_use]
    pub fn management_key(&self, workspace: WorkspaceId, id: ManagementKeyId) -> Option<&Arc<ManagementKey>> {
        self.management_keys_after(workspace, Version(0)).find(|key| key.id == id)
    }

    /// Every operator's key, in any workspace.
    pub fn operator_keys(&self) -> impl Iterator<Item = &Arc<ManagementKey>> {
        let keys = self.management_keys.values().flat_map(RedBlackTreeMapSync::values);
        keys.filter(|key| key.scope == Scope::Operator)
    }

    /// A group that exists.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// The group with this identifier, exactly.
    #[must_use]
    pub fn group_by_external_id(&self, workspace: WorkspaceId, external: &str) -> Option<&Arc<Group>> {
        self.groups_by_external_id.get((workspace, external))
    }

    /// Groups in order of creation, those after `after` only.
    pub fn groups_after(&self, workspace: WorkspaceId, after: Version) -> impl Iterator<Item = &Arc<Group>> {
        let from = (workspace, Version(after.0.saturating_add(1)));
        self.groups_in_order.range(from..=(workspace, Version(u64::MAX)))
    }

    /// The group itself, then its ancestors up to the root.
    pub fn lineage<'a>(&'a self, group: &'a Arc<Group>) -> impl Iterator<Item = &'a Arc<Group>> {
        std::iter::successors(Some(group), |group| group.parent.and_then(|id| self.group(id)))
    }

    /// Every group below this one, in no particular order.
    #[must_use]
    pub fn descendants(&self, id: GroupId) -> Vec<&Arc<Group>> {
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(parent) = open.pop() {
            for child in self.children.range((Some(parent), GroupId(0))..=(Some(parent), GroupId(u64::MAX))) {
                found.push(child);
                open.push(child.id);
            }
        }
        found
    }

    /// The last edit that touched the tree of this root: a path compiled before it is stale.
    #[must_use]
    pub fn tree_epoch(&self, root: GroupId) -> Version {
        self.tree_epochs.get(&root).copied().unwrap_or(self.loaded)
    }

    /// The last edit that touched all trees of this workspace: a path compiled before it is stale.
    #[must_use]
    pub fn workspace_epoch(&self, workspace: WorkspaceId) -> Version {
        self.workspace_epochs.get(&workspace).copied().unwrap_or(self.loaded)
    }

    /// What the credential with this hash is, if it is one of ours and not revoked.
    #[must_use]
    pub fn credential(&self, hash: &KeyHash) -> Option<&Credential> {
        self.credentials.get(hash)
    }

    /// Keys of a group in order of creation, those after `after` only.
    pub fn keys_after(&self, group: GroupId, after: Version) -> impl Iterator<Item = &Arc<Key>> {
        let from = (group, Version(after.0.saturating_add(1)));
        self.keys_of_group.range(from..=(group, Version(u64::MAX)))
    }

    /// The key of a workspace with this prefix, if it is not revoked.
    #[must_use]
    pub fn key_by_prefix(&self, workspace: WorkspaceId, prefix: &str) -> Option<&Arc<Key>> {
        self.keys_by_prefix.get((workspace, prefix))
    }

    /// An endpoint that exists.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&id)
    }

    /// The endpoint that serves this slug.
    #[must_use]
    pub fn endpoint_by_slug(&self, slug: &Slug) -> Option<&Arc<Endpoint>> {
        self.endpoints_by_slug.get(slug).and_then(|id| self.endpoint(*id))
    }

    /// The endpoint that a group reaches under this slug: one of its own workspace.
    #[must_use]
    pub fn endpoint_of(&self, group: &Group, slug: &Slug) -> Option<&Arc<Endpoint>> {
        self.endpoint_by_slug(slug).filter(|endpoint| endpoint.workspace == group.workspace)
    }

    /// Endpoints in order of creation, those after `after` only.
    pub fn endpoints_after(
        &self,
        workspace: WorkspaceId,
        after: Version,
    ) -> impl Iterator<Item = &Arc<Endpoint>> {
        let from = (workspace, Version(after.0.saturating_add(1)));
        self.endpoints_in_order
            .range(from..=(workspace, Version(u64::MAX)))
            .filter_map(|(_, id)| self.endpoints.get(id))
    }

    /// A secret by name.
    #[must_use]
    pub fn secret(&self, workspace: WorkspaceId, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(&(workspace, name.into()))
    }

    /// Where a workspace wants its billing events.
    #[must_use]
    pub fn webhook(&self, workspace: WorkspaceId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&workspace)
    }

    /// Every webhook, in no particular order.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<Webhook>> {
        self.webhooks.values()
    }

    /// Secrets of a workspace by name, those after `after` only.
    pub fn secrets_after(&self, workspace: WorkspaceId, after: &str) -> impl Iterator<Item = &Arc<Secret>> {
        let after: Arc<str> = after.into();
        self.secrets
            .range((workspace, Arc::clone(&after))..)
            .take_while(move |((owner, _), _)| *owner == workspace)
            .filter(move |((_, name), _)| **name > *after)
            .map(|(_, secret)| secret)
    }
}

/// Writing.
impl Snapshot {
    /// The snapshot after `change`. The change must have been made from this very snapshot.
    #[must_use]
    pub fn apply(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.advance(change);
        next
    }

    /// Becomes the snapshot after `change`. For many changes one after the other: nothing is copied but what other
    /// snapshots share.
    pub fn advance(&mut self, change: &Change) {
        self.version = change.version;
        for record in &change.records {
            self.put(record);
        }
        for root in &change.trees {
            self.tree_epochs.insert_mut(*root, change.version);
        }
        for workspace in &change.workspaces {
            self.workspace_epochs.insert_mut(*workspace, change.version);
        }
    }

    fn put(&mut self, record: &Record) {
        match record {
            Record::Workspace(workspace) => self.put_workspace(workspace),
            Record::Group(group) => self.put_group(group),
            Record::GroupDeleted { id, .. } => self.drop_group(*id),
            Record::Key(key) => self.put_key(key),
            Record::KeyRevoked { hash, .. } => self.drop_key(hash),
            Record::ManagementKey(key) => self.put_management_key(key),
            Record::ManagementKeyDeleted { hash, .. } => self.drop_management_key(hash),
            Record::Endpoint(endpoint) => self.put_endpoint(endpoint),
            Record::EndpointDeleted { id } => self.drop_endpoint(*id),
            Record::Secret(secret) => {
                self.secrets.insert_mut((secret.workspace, Arc::clone(&secret.name)), Arc::clone(secret));
            }
            Record::SecretDeleted { workspace, name } => {
                self.secrets.remove_mut(&(*workspace, Arc::clone(name)));
            }
            Record::Webhook(webhook) => {
                self.webhooks.insert_mut(webhook.workspace, Arc::clone(webhook));
            }
            Record::WebhookDeleted { workspace, .. } => {
                self.webhooks.remove_mut(workspace);
            }
            Record::ModelConfig { config, .. } => self.put_config(config),
            Record::ModelConfigDeleted { id } => self.drop_config(*id),
            Record::LineReset { .. } => {}
            Record::Prices { source, book } => {
                self.prices.insert(*source, Arc::clone(book));
            }
        }
    }

    fn put_workspace(&mut self, workspace: &Arc<Workspace>) {
        let id = workspace.id;
        if let Some(before) = self.workspaces.get(&id).cloned() {
            before.org_prefixes.listed().iter().for_each(|prefix| {
                self.prefix_owners.remove_mut(prefix);
            });
            self.rest_owner = self.rest_owner.filter(|owner| *owner != id);
        }
        match &workspace.org_prefixes {
            Prefixes::Rest => self.rest_owner = Some(id),
            Prefixes::Listed(prefixes) => prefixes.iter().for_each(|prefix| {
                self.prefix_owners.insert_mut(prefix.clone(), id);
            }),
        }
        self.workspaces_in_order.insert_mut(workspace.serial, id);
        self.workspaces.insert_mut(id, Arc::clone(workspace));
    }

    fn put_group(&mut self, group: &Arc<Group>) {
        self.groups.insert(Arc::clone(group));
        self.groups_in_order.insert(Arc::clone(group));
        self.groups_by_external_id.insert(Arc::clone(group));
        if group.parent.is_some() {
            self.children.insert(Arc::clone(group));
        }
    }

    /// The groups below it and their keys have records of their own.
    fn drop_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id).cloned() else { return };
        self.groups.remove(id);
        self.groups_in_order.remove(InOrder::key(&group));
        self.groups_by_external_id.remove(ByExternalId::key(&group));
        self.children.remove(ByParent::key(&group));
    }

    fn put_key(&mut self, key: &Arc<Key>) {
        self.credentials.insert(Credential::Federated(Arc::clone(key)));
        self.keys_by_prefix.insert(Arc::clone(key));
        self.keys_of_group.insert(Arc::clone(key));
    }

    fn drop_key(&mut self, hash: &KeyHash) {
        let Some(Credential::Federated(key)) = self.credentials.get(hash).cloned() else { return };
        self.credentials.remove(hash);
        self.keys_by_prefix.remove(ByPrefix::key(&key));
        self.keys_of_group.remove(OfGroup::key(&key));
    }

    fn put_management_key(&mut self, key: &Arc<ManagementKey>) {
        self.drop_management_key(&key.hash);
        self.credentials.insert(Credential::Management(Arc::clone(key)));
        let keys = self.management_keys.get(&key.workspace).cloned().unwrap_or_default();
        self.management_keys.insert_mut(key.workspace, keys.insert(key.serial, Arc::clone(key)));
    }

    fn drop_management_key(&mut self, hash: &KeyHash) {
        let Some(Credential::Management(key)) = self.credentials.get(hash).cloned() else { return };
        self.credentials.remove(hash);
        if let Some(keys) = self.management_keys.get(&key.workspace).cloned() {
            self.management_keys.insert_mut(key.workspace, keys.remove(&key.serial));
        }
    }

    fn put_endpoint(&mut self, endpoint: &Arc<Endpoint>) {
        self.drop_endpoint(endpoint.id);
        self.endpoints.insert_mut(endpoint.id, Arc::clone(endpoint));
        self.endpoints_in_order.insert_mut((endpoint.workspace, endpoint.serial), endpoint.id);
        self.endpoints_by_slug.insert_mut(endpoint.slug.clone(), endpoint.id);
    }

    fn drop_endpoint(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id).cloned() else { return };
        self.endpoints.remove_mut(&id);
        self.endpoints_in_order.remove_mut(&(endpoint.workspace, endpoint.serial));
        self.endpoints_by_slug.remove_mut(&endpoint.slug);
    }
}
