//! Which model configs a call has to fit: every one whose scope and model match. They add up; none goes before another.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::group::Group;
use crate::model_config::{ANY_MODEL, ConfigIdentity, ConfigScope, ModelConfig};
use crate::snapshot::Snapshot;

/// Who makes a call, as far as configs tell callers apart.
#[derive(Debug, Clone, Copy)]
pub struct ConfigCaller<'a> {
    /// The calling group.
    pub group: &'a Arc<Group>,
    /// The prefix of its key; none where a question is about no key in particular.
    pub key: Option<&'a str>,
    /// The end user, if one is known.
    pub user: Option<&'a str>,
}

/// Every config that a call served by `endpoint` has to fit: those of its key, of its group and the groups above, of its
/// user, and of everybody, in this order; in each scope the more exact name first.
#[must_use]
pub fn matching_configs<'a>(
    snapshot: &'a Snapshot,
    caller: ConfigCaller<'_>,
    endpoint: &Endpoint,
) -> Vec<&'a Arc<ModelConfig>> {
    let workspace = caller.group.workspace;
    let scopes = scopes(snapshot, caller);
    let matching = scopes.into_iter().filter(|scope| snapshot.has_configs(workspace, scope.clone()));
    matching.flat_map(|scope| in_scope(snapshot, caller.group, &scope, endpoint)).collect()
}

fn scopes(snapshot: &Snapshot, caller: ConfigCaller<'_>) -> Vec<ConfigScope> {
    let key = caller.key.map(|key| ConfigScope::VirtualKey(key.into()));
    let groups = snapshot.lineage(caller.group).map(|group| ConfigScope::Group(group.id));
    let user = caller.user.map(|user| ConfigScope::User(user.into()));
    key.into_iter().chain(groups).chain(user).chain([ConfigScope::Global]).collect()
}

fn in_scope<'a>(
    snapshot: &'a Snapshot,
    group: &Group,
    scope: &ConfigScope,
    endpoint: &Endpoint,
) -> Vec<&'a Arc<ModelConfig>> {
    let mut names = vec![endpoint.slug.as_str(), endpoint.upstream_model(), ANY_MODEL];
    names.dedup();
    let provider: Arc<str> = endpoint.target.served_by().into();
    let about = names.into_iter().flat_map(|name| [(name, Some(Arc::clone(&provider))), (name, None)]);
    let found = about.filter_map(|(name, provider)| {
        let identity = ConfigIdentity { scope: scope.clone(), model_name: name.into(), provider };
        snapshot.config_about(group.workspace, identity)
    });
    found.collect()
}
