//! Which limits bind a call: the inheritance rules of a tree.
//!
//! INDEPENDENT: for each (type, unit) the closest group that declares it, counted by the caller alone.
//! CASCADING: everything the caller and its ancestors declare, each counted by the group that declared it.

use std::sync::Arc;

use crate::group::{Enforcement, Group};
use crate::id::GroupId;
use crate::limit::Limit;
use crate::snapshot::{Snapshot, Version};

/// A limit that a call must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingLimit {
    /// Type, unit and threshold. `since` is how long it has bound this counter without a break.
    pub limit: Limit,
    /// The group that declares it.
    pub source: GroupId,
    /// The group whose counter it is checked against.
    pub owner: GroupId,
}

/// A ceiling on calls in flight that a call must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// The most calls in flight at once.
    pub calls: u64,
    /// The group that declares it.
    pub source: GroupId,
    /// The group whose calls are counted.
    pub owner: GroupId,
}

/// Every limit that binds a call by `group` for `slug`: the group's own in declared order, then upward.
#[must_use]
pub fn binding_limits(snapshot: &Snapshot, group: &Arc<Group>, slug: &str) -> Vec<BindingLimit> {
    let mut binding: Vec<BindingLimit> = Vec::new();
    for declarer in snapshot.lineage(group) {
        for limit in declarer.model(slug).into_iter().flat_map(|model| model.limits()) {
            match group.enforcement {
                Enforcement::Cascading => {
                    binding.push(BindingLimit { limit: *limit, source: declarer.id, owner: declarer.id });
                }
                Enforcement::Independent => inherit(&mut binding, *limit, declarer.id, group.id),
            }
        }
    }
    binding
}

/// Every ceiling on calls in flight that binds a call by `group` for `slug`, by the same rules, the closest first.
#[must_use]
pub fn ceilings(snapshot: &Snapshot, group: &Arc<Group>, slug: &str) -> Vec<Ceiling> {
    let declared = snapshot.lineage(group).filter_map(|declarer| {
        let calls = declarer.model(slug)?.max_concurrent_requests?;
        Some((calls, declarer.id))
    });
    match group.enforcement {
        Enforcement::Cascading => {
            declared.map(|(calls, source)| Ceiling { calls, source, owner: source }).collect()
        }
        Enforcement::Independent => {
            declared.take(1).map(|(calls, source)| Ceiling { calls, source, owner: group.id }).collect()
        }
    }
}

/// Adds `limit` unless a closer group declares the same window; a farther declaration still shows that the window
/// has bound this counter for longer.
fn inherit(binding: &mut Vec<BindingLimit>, limit: Limit, source: GroupId, owner: GroupId) {
    match binding.iter_mut().find(|closer| closer.limit.same_window(&limit)) {
        Some(closer) => closer.limit.since = Version(closer.limit.since.0.min(limit.since.0)),
        None => binding.push(BindingLimit { limit, source, owner }),
    }
}
