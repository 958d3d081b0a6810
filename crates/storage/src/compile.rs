//! From the configuration and today's use to the limits of a call, ready to be bound to their counters.
//!
//! Who admits a call and who only asks what would become of it compile the same limits here.

use std::sync::Arc;

use domain::{
    BindingLimit, Ceiling, Day, Enforcement, Group, LimitType, Slug, Snapshot, Unit, Version, binding_limits,
    ceilings,
};
use limits::{CounterKey, CounterScope, Measure, PathLimit, PathSpec, Shown};

use crate::store::Store;
use crate::today::{Use, UseScope};

impl Store {
    /// Every limit that a call by `group` for `slug` must fit, the group's own first, and then every ceiling on calls in
    /// flight. A DAY limit whose counter has to be opened on `day` begins with what the ledger says. The caller is shown
    /// its own numbers, unless who binds this says otherwise.
    #[must_use]
    pub fn path_spec(&self, snapshot: &Snapshot, (group, slug): (&Arc<Group>, &Slug), day: Day) -> PathSpec {
        let scope = |owner| if owner == group.id { CounterScope::Group } else { CounterScope::Ancestor };
        let limit = |binding: BindingLimit| PathLimit {
            counter: CounterKey {
                owner: binding.owner,
                slug: slug.clone(),
                measure: Measure::Use(binding.limit.kind, binding.limit.unit),
            },
            threshold: binding.limit.threshold,
            source: binding.source,
            scope: scope(binding.owner),
            since: binding.limit.since,
            opening: self.opening(group.enforcement, &binding, slug, day),
        };
        let ceiling = |ceiling: Ceiling| PathLimit {
            counter: CounterKey { owner: ceiling.owner, slug: slug.clone(), measure: Measure::Concurrency },
            threshold: ceiling.calls,
            source: ceiling.source,
            scope: scope(ceiling.owner),
            // Whatever it counts is in flight, so it has no history that a gap could break.
            since: Version::default(),
            opening: 0,
        };
        let binding = binding_limits(snapshot, group, slug.as_str()).into_iter().map(limit);
        let ceilings = ceilings(snapshot, group, slug.as_str()).into_iter().map(ceiling);
        PathSpec {
            root: group.root,
            epoch: snapshot.tree_epoch(group.root),
            shown: Shown::Own,
            limits: binding.chain(ceilings).collect(),
        }
    }

    /// What a DAY counter begins with if it has to be opened: what its owner has used today.
    fn opening(&self, mode: Enforcement, binding: &BindingLimit, slug: &Slug, day: Day) -> u64 {
        match binding.limit.unit {
            Unit::Second | Unit::Minute => 0,
            Unit::Day => self.used_today(binding.owner, UseScope::of(mode), slug, day).of(binding.limit.kind),
        }
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
