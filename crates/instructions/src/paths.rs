//! Paths over 15 counters: five levels of REQUEST/MINUTE, TOKEN/MINUTE and TOKEN/DAY, none of them near its threshold
//! unless it is [`limited`].
//!
//! Group 0 is the root of everything that is counted; others are beside it only so that they are there.

use std::sync::{Arc, LazyLock};

use domain::{
    ConfigId, Cycle, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Slug, Unit, Version, WorkspaceId,
};
use limits::{
    ConfigLine, CounterKey, CounterScope, Engine, Epoch, Measure, Owner, Path, PathLimit, PathSpec, Recent,
    Shown, Source,
};

const LEVELS: u64 = 5;
const WINDOWS: [(LimitType, Unit); 3] =
    [(LimitType::Request, Unit::Minute), (LimitType::Token, Unit::Minute), (LimitType::Token, Unit::Day)];
/// Beyond anything that is charged here.
const FAR: u64 = 1 << 60;

/// The path of a group four levels below a root. Other leaves of a root share all but their own three counters.
pub(crate) fn leaf(nth: u64) -> PathSpec {
    path(GroupId(0), LEVELS + nth)
}

/// The path of a group of another tree.
fn leaf_elsewhere(nth: u64) -> PathSpec {
    path(GroupId((1 + nth) << 32), LEVELS)
}

/// The root is its own first ancestor's ancestor: owners are the root's number and those that follow.
fn path(root: GroupId, leaf: u64) -> PathSpec {
    let ancestors = (0..LEVELS - 1).map(|level| (root.0 + level, CounterScope::Ancestor));
    let owners = std::iter::once((root.0 + leaf, CounterScope::Group)).chain(ancestors);
    let limits = owners.flat_map(|(owner, scope)| {
        WINDOWS.map(|(kind, unit)| limit(GroupId(owner), Measure::Use(kind, unit), scope))
    });
    PathSpec {
        root,
        workspace: WorkspaceId(0),
        epoch: Epoch::default(),
        shown: Shown::Own,
        limits: limits.collect(),
        shared: Vec::new(),
    }
}

/// The same with this threshold on the group's own TOKEN/MINUTE.
pub(crate) fn limited(mut path: PathSpec, threshold: u64) -> PathSpec {
    path.limits[1].threshold = threshold;
    path
}

/// The same with a budget and a limit on tokens that all trees of the workspace share.
pub(crate) fn sharing(path: PathSpec) -> PathSpec {
    PathSpec { shared: vec![line(0, Meter::Usd), line(1, Meter::Tokens)], ..path }
}

/// Binds paths of so many other groups: half of them below the same root, the others each in a tree of its own.
pub(crate) fn bind_crowd(engine: &Engine, groups: u64) -> Vec<Arc<Path>> {
    let bind = |spec| engine.bind(spec, Now::default());
    let (here, elsewhere) = ((1..=groups / 2).map(leaf), (0..groups / 2).map(leaf_elsewhere));
    here.chain(elsewhere).map(bind).collect()
}

/// Binds so many other lines of the workspace.
pub(crate) fn bind_lines(engine: &Engine, lines: u128) -> Vec<Arc<Path>> {
    let spec = |nth| PathSpec { shared: vec![line(2 + nth, Meter::Usd)], limits: Vec::new(), ..leaf(0) };
    (0..lines).map(|nth| engine.bind(spec(nth), Now::default())).collect()
}

fn limit(group: GroupId, measure: Measure, scope: CounterScope) -> PathLimit {
    static SLUG: LazyLock<Slug> =
        LazyLock::new(|| "acme/chat".parse().unwrap_or_else(|_| unreachable!("a slug")));
    PathLimit {
        counter: CounterKey { owner: Owner::Model(group, SLUG.clone()), measure },
        threshold: FAR,
        source: Source::Group(group),
        scope,
        since: Version(0),
        opening: 0,
        recent: Recent::default(),
    }
}

/// A line of a month.
fn line(nth: u128, meter: Meter) -> PathLimit {
    let line = LineId::from_bytes((nth + 1).to_le_bytes());
    let reset: ResetDuration = "1M".parse().unwrap_or_else(|_| unreachable!("a duration"));
    let config =
        ConfigLine { config: ConfigId::from_bytes([0; 16]), line, meter, reset, cycle: Cycle::Months(1) };
    PathLimit {
        counter: CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) },
        source: Source::Config(Arc::new(config)),
        ..limit(GroupId(0), Measure::Spend(meter), CounterScope::SharedConfig)
    }
}
