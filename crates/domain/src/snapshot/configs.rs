//! Model configs and prices in a snapshot: what is about a call, and what its tokens cost.

use std::sync::Arc;

use super::{Snapshot, Version};
use crate::endpoint::Endpoint;
use crate::id::{ConfigId, GroupId, WorkspaceId};
use crate::model_config::{ConfigIdentity, ConfigScope, ModelConfig};
use crate::price::{PriceBook, PriceSource, Pricing};

/// Reading.
impl Snapshot {
    /// A model config that exists.
    #[must_use]
    pub fn config(&self, id: ConfigId) -> Option<&Arc<ModelConfig>> {
        self.configs.get(&id)
    }

    /// The model config that is about this.
    #[must_use]
    pub fn config_about(
        &self,
        workspace: WorkspaceId,
        identity: ConfigIdentity,
    ) -> Option<&Arc<ModelConfig>> {
        self.configs_by_identity.get(&(workspace, identity)).and_then(|id| self.config(*id))
    }

    /// Model configs in order of creation, those after `after` only.
    pub fn configs_after(
        &self,
        workspace: WorkspaceId,
        after: Version,
    ) -> impl Iterator<Item = &Arc<ModelConfig>> {
        let from = (workspace, Version(after.0.saturating_add(1)));
        self.configs_in_order
            .range(from..=(workspace, Version(u64::MAX)))
            .filter_map(|(_, id)| self.configs.get(id))
    }

    /// Every model config of every tenant, in no particular order.
    pub fn configs(&self) -> impl Iterator<Item = &Arc<ModelConfig>> {
        self.configs.values()
    }

    /// Whether a scope has any model config.
    #[must_use]
    pub fn has_configs(&self, workspace: WorkspaceId, scope: ConfigScope) -> bool {
        !self.scopes.is_empty() && self.scopes.contains_key(&(workspace, scope))
    }

    /// Whether calls by different keys of a group may have to fit different limits.
    #[must_use]
    pub fn keys_apart(&self, group: GroupId) -> bool {
        !self.keys_apart.is_empty() && self.keys_apart.contains(&group)
    }

    /// Whether calls for different users may have to fit different limits.
    #[must_use]
    pub fn users_apart(&self, workspace: WorkspaceId) -> bool {
        !self.users_apart.is_empty() && self.users_apart.contains(&workspace)
    }

    /// What an endpoint's tokens cost: by its own price, or else by the price books.
    #[must_use]
    pub fn price_of(&self, endpoint: &Endpoint) -> Option<Arc<Pricing>> {
        let target = &endpoint.target;
        let in_book =
            |book: &Arc<PriceBook>| book.price(target.served_by(), endpoint.upstream_model()).cloned();
        target.pricing.clone().or_else(|| self.prices.values().find_map(in_book))
    }

    /// The prices of one source.
    #[must_use]
    pub fn prices(&self, source: PriceSource) -> Arc<PriceBook> {
        self.prices.get(&source).cloned().unwrap_or_default()
    }
}

/// Writing.
impl Snapshot {
    pub(super) fn put_config(&mut self, config: &Arc<ModelConfig>) {
        self.drop_config(config.id);
        let (workspace, scope) = (config.workspace, &config.identity.scope);
        self.configs.insert_mut(config.id, Arc::clone(config));
        self.configs_in_order.insert_mut((workspace, config.serial), config.id);
        self.configs_by_identity.insert_mut((workspace, config.identity.clone()), config.id);
        let of_scope = self.scopes.get(&(workspace, scope.clone())).copied().unwrap_or(0);
        self.scopes.insert_mut((workspace, scope.clone()), of_scope.saturating_add(1));
        match scope {
            ConfigScope::VirtualKey(prefix) => {
                if let Some(group) = self.key_by_prefix(workspace, prefix).map(|key| key.group) {
                    self.keys_apart.insert_mut(group);
                }
            }
            ConfigScope::User(_) => self.users_apart.insert_mut(workspace),
            ConfigScope::Global | ConfigScope::Group(_) => {}
        }
    }

    pub(super) fn drop_config(&mut self, id: ConfigId) {
        let Some(config) = self.configs.get(&id).cloned() else { return };
        let scope = (config.workspace, config.identity.scope.clone());
        self.configs.remove_mut(&id);
        self.configs_in_order.remove_mut(&(config.workspace, config.serial));
        self.configs_by_identity.remove_mut(&(config.workspace, config.identity.clone()));
        match self.scopes.get(&scope).copied() {
            Some(of_scope) if of_scope > 1 => self.scopes.insert_mut(scope, of_scope - 1),
            Some(_) | None => {
                self.scopes.remove_mut(&scope);
            }
        }
    }
}
