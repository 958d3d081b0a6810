//! Compiled paths, remembered: which limits a call by a group for a slug must fit.
//!
//! A path is compiled at its first use in a configuration version. Whether it is still the right one is the engine's
//! to say: it answers `Stale` when the tree was edited since, and then the path is compiled anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Group, GroupId, Now, Slug, Snapshot, Version};
use limits::{Path, PathSpec, Usual};

use crate::worker::Shared;

/// Groups whose paths one worker remembers; past this it forgets all and begins anew.
const GROUPS_MAX: usize = 100_000;

/// A path, and the groups it runs through.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) slug: Slug,
    /// The edit of its tree at which it was compiled.
    pub(crate) epoch: Version,
    pub(crate) path: Arc<Path>,
    /// Whether any of its limits is on tokens: only then is it worth counting a prompt well.
    pub(crate) limits_tokens: bool,
    /// How long the answers usually are.
    pub(crate) usual: Usual,
    /// The calling group first, the root last.
    pub(crate) groups: Arc<[GroupId]>,
}

/// The paths one worker has compiled.
#[derive(Debug, Default)]
pub(crate) struct Paths(Mutex<HashMap<GroupId, Vec<Lane>, foldhash::fast::RandomState>>);

impl Paths {
    /// The remembered lane of a group and slug, if it was compiled at this very epoch: who may call, and how much,
    /// are then read from one and the same configuration.
    pub(crate) fn get(&self, group: GroupId, slug: &str, epoch: Version) -> Option<Lane> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&group)?.iter().find(|lane| lane.slug.as_str() == slug && lane.epoch == epoch).cloned()
    }

    /// Remembers a lane in place of an older one.
    pub(crate) fn put(&self, group: GroupId, lane: Lane) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= GROUPS_MAX && !known.contains_key(&group) {
            known.clear();
        }
        let lanes = known.entry(group).or_default();
        lanes.retain(|other| other.slug != lane.slug);
        lanes.push(lane);
    }
}

/// Compiles the path of a group and slug from the configuration and binds it to its counters.
pub(crate) fn compile(
    shared: &Shared,
    snapshot: &Snapshot,
    (group, slug): (&Arc<Group>, &Slug),
    now: Now,
) -> Lane {
    let shown = shared.settings.shown;
    let spec = PathSpec { shown, ..shared.store.path_spec(snapshot, (group, slug), now.day()) };
    let epoch = spec.epoch;
    let limits_tokens = spec.limits.iter().any(|limit| limit.counter.measure.counts_tokens());
    let groups = snapshot.lineage(group).map(|group| group.id).collect();
    let usual = shared.engine.outputs().of(group.id, slug);
    Lane { slug: slug.clone(), epoch, path: shared.engine.bind(spec, now), limits_tokens, usual, groups }
}
