//! From the configuration and what is used already to the limits of a call, ready to be bound to their counters.
//!
//! Who admits a call and who only asks what would become of it compile the same limits here.

use std::sync::Arc;

use domain::{
    BindingLimit, Ceiling, ConfigCaller, ConfigScope, Endpoint, Enforcement, GroupId, LimitType, Line,
    ModelConfig, Now, Slug, Snapshot, Unit, Version, WorkspaceId, binding_limits, ceilings, matching_configs,
};
use limits::{
    ConfigLine, CounterKey, CounterScope, Epoch, Measure, Owner, PathLimit, PathSpec, Recent, Shown, Source,
};

use crate::embedded::line_counter;
use crate::store::Store;
use crate::today::{Use, UseScope};

/// A call, as far as its limits depend on it.
#[derive(Debug, Clone, Copy)]
pub struct PathOf<'a> {
    /// Who calls.
    pub caller: ConfigCaller<'a>,
    /// Which model.
    pub slug: &'a Slug,
    /// What serves it; no model config applies to what nothing serves.
    pub endpoint: Option<&'a Endpoint>,
}

/// The edits that paths of a tree depend on: those of the tree, and those of its workspace.
#[must_use]
pub fn path_epoch(snapshot: &Snapshot, root: GroupId, workspace: WorkspaceId) -> Epoch {
    Epoch { tree: snapshot.tree_epoch(root), workspace: snapshot.workspace_epoch(workspace) }
}

impl Store {
    /// Every limit that a call must fit: the group's own first, then every ceiling on calls in flight, then those of model
    /// configs. One whose counter has to be opened now begins with what the ledger says. The caller is shown its own
    /// numbers, unless who binds this says otherwise.
    #[must_use]
    pub fn path_spec(&self, snapshot: &Snapshot, call: PathOf<'_>, now: Now) -> PathSpec {
        let group = call.caller.group;
        let of_configs = self.config_limits(snapshot, call, now);
        let (shared, of_tree): (Vec<_>, Vec<_>) =
            of_configs.into_iter().partition(|(config, _)| is_shared(config));
        let limit = |(_, limit): (&Arc<ModelConfig>, PathLimit)| limit;
        let mut limits = self.group_limits(snapshot, call, now);
        limits.extend(of_tree.into_iter().map(limit));
        PathSpec {
            root: group.root,
            workspace: group.workspace,
            epoch: path_epoch(snapshot, group.root, group.workspace),
            shown: Shown::Own,
            limits,
            shared: shared.into_iter().map(limit).collect(),
        }
    }

    fn group_limits(&self, snapshot: &Snapshot, call: PathOf<'_>, now: Now) -> Vec<PathLimit> {
        let PathOf { caller: ConfigCaller { group, .. }, slug, .. } = call;
        let scope = |owner| if owner == group.id { CounterScope::Group } else { CounterScope::Ancestor };
        let limit = |binding: BindingLimit| PathLimit {
            counter: CounterKey {
                owner: Owner::Model(binding.owner, slug.clone()),
                measure: Measure::Use(binding.limit.kind, binding.limit.unit),
            },
            threshold: binding.limit.threshold,
            source: Source::Group(binding.source),
            scope: scope(binding.owner),
            since: binding.limit.since,
            opening: self.opening(group.enforcement, &binding, slug, now),
            recent: self.recent(group.enforcement, &binding, slug, now),
        };
        let ceiling = |ceiling: Ceiling| PathLimit {
            counter: CounterKey {
                owner: Owner::Model(ceiling.owner, slug.clone()),
                measure: Measure::Concurrency,
            },
            threshold: ceiling.calls,
            source: Source::Group(ceiling.source),
            scope: scope(ceiling.owner),
            // Whatever it counts is in flight, so it has no history that a gap could break.
            since: Version::default(),
            opening: 0,
            recent: Recent::default(),
        };
        let binding = binding_limits(snapshot, group, slug.as_str()).into_iter().map(limit);
        let ceilings = ceilings(snapshot, group, slug.as_str()).into_iter().map(ceiling);
        binding.chain(ceilings).collect()
    }

    fn config_limits<'a>(
        &self,
        snapshot: &'a Snapshot,
        call: PathOf<'_>,
        now: Now,
    ) -> Vec<(&'a Arc<ModelConfig>, PathLimit)> {
        let Some(endpoint) = call.endpoint else { return Vec::new() };
        let configs = matching_configs(snapshot, call.caller, endpoint).into_iter();
        let limits = configs.flat_map(|config| {
            let scope = scope_of(config, call.caller, snapshot);
            config.lines().map(move |line| {
                let opening = self.ledger_line_use((line.id, line.meter), now.wall_ms);
                let limit = line_limit(config, &line, scope, opening);
                (config, limit)
            })
        });
        limits.collect()
    }

    /// What a rolling counter begins with if it has to be opened soon after a restart.
    fn recent(&self, mode: Enforcement, binding: &BindingLimit, slug: &Slug, now: Now) -> Recent {
        match binding.limit.unit {
            Unit::Second | Unit::Minute => {
                self.inner().recent.of(binding.owner, UseScope::of(mode), slug, now)
            }
            Unit::Day => Recent::default(),
        }
    }

    /// What a DAY counter begins with if it has to be opened: what its owner has used today.
    fn opening(&self, mode: Enforcement, binding: &BindingLimit, slug: &Slug, now: Now) -> u64 {
        match binding.limit.unit {
            Unit::Second | Unit::Minute => 0,
            Unit::Day => {
                self.used_today(binding.owner, UseScope::of(mode), slug, now.day()).of(binding.limit.kind)
            }
        }
    }
}

/// A line of a config as the limit of a path; its counter begins with `opening` if it has to be opened.
pub(crate) fn line_limit(
    config: &ModelConfig,
    line: &Line<'_>,
    scope: CounterScope,
    opening: u64,
) -> PathLimit {
    PathLimit {
        counter: line_counter((line.id, line.meter)),
        threshold: line.max,
        source: Source::Config(Arc::new(ConfigLine {
            config: config.id,
            line: line.id,
            meter: line.meter,
            reset: line.reset.clone(),
            cycle: line.cycle,
        })),
        scope,
        // A line that comes back is another one.
        since: Version::default(),
        opening,
        recent: Recent::default(),
    }
}

/// Whether the counters of a config are met by calls of several trees.
fn is_shared(config: &ModelConfig) -> bool {
    matches!(config.identity.scope, ConfigScope::Global | ConfigScope::User(_))
}

/// Whose counter it is: the caller's own if nobody else's calls are in it, but for those of groups below and those made
/// for the user whose key it is. A user that is only named may be anybody's.
fn scope_of(config: &ModelConfig, caller: ConfigCaller<'_>, snapshot: &Snapshot) -> CounterScope {
    let key = || snapshot.key_by_prefix(caller.group.workspace, caller.key?);
    match &config.identity.scope {
        ConfigScope::VirtualKey(_) => CounterScope::OwnConfig,
        ConfigScope::User(user) if key().is_some_and(|key| key.user_id.as_ref() == Some(user)) => {
            CounterScope::OwnConfig
        }
        ConfigScope::Group(group) if *group == caller.group.id => CounterScope::OwnConfig,
        ConfigScope::User(_) | ConfigScope::Group(_) | ConfigScope::Global => CounterScope::SharedConfig,
    }
}

impl UseScope {
    /// Whose use counts against the limits of a group in a tree of this mode.
    #[must_use]
    pub fn of(mode: Enforcement) -> Self {
        match mode {
            Enforcement::Independent => Self::Own,
            Enforcement::Cascading => Self::Subtree,
        }
    }
}

impl Use {
    /// The part that limits of this type count.
    #[must_use]
    pub fn of(self, kind: LimitType) -> u64 {
        match kind {
            LimitType::Request => self.requests,
            LimitType::Token => self.tokens,
        }
    }
}
