//! Compiled paths, remembered: which limits a call by a group for a slug must fit. Where a key or an end user has limits
//! of its own, its paths are remembered apart.
//!
//! A path is compiled at its first use in a configuration version. Whether it is still the right one is the engine's
//! to say: it answers `Stale` when the tree was edited since, and then the path is compiled anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{ConfigCaller, ConfigScope, GroupId, LineId, Meter, Now, Slug, Snapshot, Terms, Version};
use limits::{Epoch, Measure, Owner, Path, PathLimit, PathSpec, Usual};
use storage::PathOf;

use crate::authenticate::Caller;
use crate::rate_headers::RateWords;
use crate::route::Route;
use crate::target::Destination;
use crate::worker::Shared;

/// Callers whose paths one worker remembers; past this it forgets all and begins anew.
const CALLERS_MAX: usize = 100_000;

/// A caller, as far as paths tell callers apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathCaller {
    group: GroupId,
    /// Which key, where keys of the group have limits of their own.
    key: Option<Version>,
    /// Which end user, if it has limits of its own.
    user: Option<Arc<str>>,
    /// Whether the key is bound to that user: only then is the user's use the caller's own to know.
    is_users_own: bool,
}

/// A path, and the groups it runs through.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) slug: Slug,
    /// The edits at which it was compiled.
    epoch: Epoch,
    /// What serves it: model configs match by that.
    destination: Arc<Destination>,
    pub(crate) path: Arc<Path>,
    /// Whether a limit is on tokens or dollars: only then is it worth counting a prompt well.
    pub(crate) weighs: bool,
    /// Whether a limit is in USD.
    pub(crate) limits_usd: bool,
    /// What its calls have in common: who pays, who serves, at what price.
    pub(crate) terms: Arc<Terms>,
    /// What headers say of its limits.
    pub(crate) rates: Arc<RateWords>,
    /// How long the answers usually are.
    pub(crate) usual: Usual,
}

/// The paths one worker has compiled.
#[derive(Debug, Default)]
pub(crate) struct Paths(Mutex<HashMap<PathCaller, Vec<Arc<Lane>>, foldhash::fast::RandomState>>);

impl PathCaller {
    /// The caller as the configuration tells callers apart. Most have nothing of their own but their group.
    pub(crate) fn of(snapshot: &Snapshot, caller: &Caller, user: Option<&Arc<str>>) -> Self {
        let group = &caller.group;
        let key = snapshot.keys_apart(group.id).then_some(caller.key.serial);
        let has_limits = |user: &&Arc<str>| {
            snapshot.users_apart(group.workspace)
                && snapshot.has_configs(group.workspace, ConfigScope::User(Arc::clone(user)))
        };
        let user = user.filter(has_limits).cloned();
        let is_users_own = user.is_some() && caller.key.user_id == user;
        Self { group: group.id, key, user, is_users_own }
    }
}

impl Paths {
    /// The remembered lane of a caller and route, if it was compiled at these very edits: who may call, and how much,
    /// are then read from one and the same configuration.
    pub(crate) fn get(&self, caller: &PathCaller, route: &Route, epoch: Epoch) -> Option<Arc<Lane>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |lane: &&Arc<Lane>| {
            lane.epoch == epoch
                && lane.slug == route.slug
                && Arc::ptr_eq(&lane.destination, &route.destination)
        };
        known.get(caller)?.iter().find(same).cloned()
    }

    /// Remembers a lane in place of an older one.
    pub(crate) fn put(&self, caller: PathCaller, lane: Arc<Lane>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CALLERS_MAX && !known.contains_key(&caller) {
            known.clear();
        }
        let lanes = known.entry(caller).or_default();
        lanes.retain(|other| other.slug != lane.slug);
        lanes.push(lane);
    }
}

/// Compiles the path of a caller and route from the configuration and binds it to its counters.
pub(crate) fn compile(
    shared: &Shared,
    snapshot: &Snapshot,
    (caller, user): (&Caller, Option<&Arc<str>>),
    route: &Route,
    now: Now,
) -> Lane {
    let Route { slug, destination, .. } = route;
    let group = &caller.group;
    let caller = ConfigCaller { group, key: Some(&caller.key.prefix), user: user.map(|user| &**user) };
    let call = PathOf { caller, slug, endpoint: Some(&destination.endpoint) };
    let spec = PathSpec { shown: shared.settings.shown, ..shared.store.path_spec(snapshot, call, now) };
    let weighs = spec.all_limits().any(|limit| limit.counter.measure.weighs());
    let limits_usd = spec.all_limits().any(|limit| limit.counter.measure.counts_usd());
    let terms = Terms {
        workspace: group.workspace,
        groups: snapshot.lineage(group).map(|group| group.id).collect(),
        external_entity_id: Arc::clone(&group.metadata.external_entity_id),
        slug: slug.clone(),
        provider: destination.endpoint.target.provider.name().into(),
        upstream_model: destination.model.clone().unwrap_or_else(|| slug.as_str().into()),
        price: destination.price.clone(),
        lines: spec.all_limits().filter_map(line).collect(),
    };
    let (usual, epoch) = (shared.engine.outputs().of(group.id, slug), spec.epoch);
    let path = shared.engine.bind(spec, now);
    Lane {
        slug: slug.clone(),
        epoch,
        destination: Arc::clone(destination),
        weighs,
        limits_usd,
        terms: Arc::new(terms),
        rates: Arc::new(RateWords::of(&path)),
        usual,
        path,
    }
}

fn line(limit: &PathLimit) -> Option<(LineId, Meter)> {
    match (&limit.counter.owner, limit.counter.measure) {
        (Owner::Line(line), Measure::Spend(meter)) => Some((*line, meter)),
        (Owner::Line(_) | Owner::Model(..), _) => None,
    }
}
