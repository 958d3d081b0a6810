//! The path of a call: every limit that applies to it, bound to the counters they are checked against.

use std::sync::Arc;

use domain::{
    ConfigId, Cycle, GroupId, LimitType, LineId, Meter, ResetDuration, Slug, Unit, Version, WorkspaceId,
};

use crate::ask::Room;
use crate::measure::{Kind, Measure};
use crate::moment::Span;
use crate::recent::Recent;
use crate::standing::SHOWN_MAX;
use crate::tree::{Handle, Tree};

/// What a counter is found by. Not the row that declares a limit: two rows that name the same key share the counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CounterKey {
    /// Whose use is counted.
    pub owner: Owner,
    /// What is counted.
    pub measure: Measure,
}

/// Whose use a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A group's, of one model.
    Model(GroupId, Slug),
    /// That of all calls which a line of a model config is about. A rate limit has up to two lines of one id, told apart
    /// by what they count.
    Line(LineId),
}

/// Under whose lock a counter lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Home {
    /// The tree of this root: counters of groups, and lines whose calls all come from one tree.
    Tree(GroupId),
    /// The workspace: lines that calls from many trees share.
    Workspace(WorkspaceId),
}

/// Whose counter a limit is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterScope {
    /// The caller's own.
    Group,
    /// An ancestor's, which all its descendants share.
    Ancestor,
    /// That of a model config which is about the caller alone.
    OwnConfig,
    /// That of a model config which other callers share.
    SharedConfig,
}

impl CounterScope {
    /// The published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Ancestor => "ancestor",
            Self::OwnConfig | Self::SharedConfig => "model_config",
        }
    }
}

/// Who declares a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A group.
    Group(GroupId),
    /// A model config.
    Config(Arc<ConfigLine>),
}

/// A line of a model config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigLine {
    /// The config.
    pub config: ConfigId,
    /// Its budget or rate limit.
    pub line: LineId,
    /// What it counts.
    pub meter: Meter,
    /// How long its periods are, as it was written.
    pub reset: ResetDuration,
    /// Where they begin.
    pub cycle: Cycle,
}

/// One limit of a path, as compiled from the configuration.
#[derive(Debug, Clone)]
pub struct PathLimit {
    /// The counter it is checked against.
    pub counter: CounterKey,
    /// The most that may be used: tokens, requests or nano-dollars.
    pub threshold: u64,
    /// Who declares it.
    pub source: Source,
    /// Whose counter it is.
    pub scope: CounterScope,
    /// The configuration version since which it has bound this counter without a break.
    pub since: Version,
    /// DAY and periods: what the counter starts with if it has to be opened now, in what the threshold counts.
    pub opening: u64,
    /// Rolling windows: what the counter starts with if it has to be opened soon after a restart. Nothing in it is later
    /// than the time at which the limit is bound.
    pub recent: Recent,
}

impl PathLimit {
    /// Where its periods begin, if it has any: those of a group's limits at midnight UTC.
    pub(crate) fn cycle(&self) -> Cycle {
        match &self.source {
            Source::Config(line) => line.cycle,
            Source::Group(_) => Cycle::DAYS,
        }
    }
}

/// Which limits' live numbers a caller is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Those whose counter is its own: one that others share would tell it of their traffic.
    #[default]
    Own,
    /// Every one. For operators whose customers may see the use of those above them.
    All,
}

impl Shown {
    fn sees(self, scope: CounterScope) -> bool {
        self == Self::All || matches!(scope, CounterScope::Group | CounterScope::OwnConfig)
    }
}

/// Of which configuration limits are: the latest edits that they know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// Of the tree.
    pub tree: Version,
    /// Of the workspace: of its lines that calls from many trees share.
    pub workspace: Version,
}

/// What to bind: the limits of a call in the order they are declared, the caller's own first. No counter twice.
#[derive(Debug, Clone)]
pub struct PathSpec {
    /// The root of the caller's tree.
    pub root: GroupId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// What the snapshot that this was compiled from knows of both.
    pub epoch: Epoch,
    /// Whose live numbers are told to the caller.
    pub shown: Shown,
    /// The limits whose counters live under the tree's lock.
    pub limits: Vec<PathLimit>,
    /// Those whose counters live under the workspace's.
    pub shared: Vec<PathLimit>,
}

impl PathSpec {
    /// Every limit, those of the tree first: what indices count over.
    pub fn all_limits(&self) -> impl Iterator<Item = &PathLimit> + Clone {
        self.limits.iter().chain(&self.shared)
    }
}

/// Limits bound to counters: what a call is admitted on, and settles on whatever is edited meanwhile.
#[derive(Debug)]
pub struct Path {
    pub(crate) tree: Arc<Tree>,
    pub(crate) workspace: Arc<Tree>,
    pub(crate) epoch: Epoch,
    /// Those of the tree first.
    pub(crate) hops: Box<[Hop]>,
    /// How many of them are the tree's.
    pub(crate) in_tree: usize,
    /// The hops whose live numbers the caller is shown in headers: those that count requests or tokens.
    pub(crate) shown: Box<[usize]>,
    /// Whose numbers the caller is shown.
    audience: Shown,
    /// The smallest thresholds: a guess of output tokens is never the reason that a call can never fit.
    pub(crate) ceiling: Room,
    /// The rings of tokens on the path; none if no limit on tokens has a rolling window.
    pub(crate) token_windows: Option<TokenWindows>,
    limits: Arc<[PathLimit]>,
}

/// How finely refunds of tokens are told apart on a path, and how far back they reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenWindows {
    pub(crate) finest: Span,
    pub(crate) longest: Span,
}

/// What admission needs of a limit, side by side in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) counter: Handle,
    pub(crate) threshold: u64,
    pub(crate) kind: Kind,
}

impl Path {
    /// `handles` are those of the tree's limits and then those of the workspace's.
    pub(crate) fn new([tree, workspace]: [Arc<Tree>; 2], spec: PathSpec, handles: &[Handle]) -> Self {
        let PathSpec { epoch, shown: audience, mut limits, shared, .. } = spec;
        let in_tree = limits.len();
        limits.extend(shared);
        let hop = |(limit, handle): (&PathLimit, &Handle)| Hop {
            counter: *handle,
            threshold: limit.threshold,
            kind: limit.counter.measure.kind(),
        };
        let hops: Box<[Hop]> = limits.iter().zip(handles).map(hop).collect();
        let shown = limits.iter().enumerate().filter(|(_, limit)| in_headers(audience, limit));
        let shown: Box<[usize]> = shown.map(|(index, _)| index).take(SHOWN_MAX).collect();
        let (ceiling, token_windows) = (ceiling(limits.iter()), token_windows(&limits));
        let limits = limits.into();
        Self { tree, workspace, epoch, hops, in_tree, shown, audience, ceiling, token_windows, limits }
    }

    /// The limits, in the order they were given, the tree's before the workspace's.
    /// [`Refusal::limit`](crate::Refusal) and [`Standing::limit`](crate::Standing) count from here.
    #[must_use]
    pub fn limits(&self) -> &[PathLimit] {
        &self.limits
    }

    /// The limits, by their indexes, whose [`Standings`](crate::Standings) callers are told in headers, in that order.
    #[must_use]
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// Whether the caller is shown how this limit, by its index, stands.
    #[must_use]
    pub fn shows(&self, limit: usize) -> bool {
        self.limits.get(limit).is_some_and(|limit| self.audience.sees(limit.scope))
    }

    /// The same limits, to keep: what was decided on them is told later, when the path may be gone.
    #[must_use]
    pub fn shared_limits(&self) -> Arc<[PathLimit]> {
        Arc::clone(&self.limits)
    }
}

/// Headers have numbers of requests and tokens; what a caller may still spend is told where it asks.
fn in_headers(audience: Shown, limit: &PathLimit) -> bool {
    let measure = limit.counter.measure;
    audience.sees(limit.scope) && measure != Measure::Concurrency && !measure.counts_usd()
}

/// The smallest thresholds on tokens and dollars: what a guess is clamped to.
pub(crate) fn ceiling<'a>(limits: impl Iterator<Item = &'a PathLimit>) -> Room {
    limits.fold(Room::default(), |room, limit| room.narrow(limit.counter.measure.kind(), limit.threshold))
}

fn token_windows(limits: &[PathLimit]) -> Option<TokenWindows> {
    let spans = limits.iter().filter_map(|limit| match limit.counter.measure {
        Measure::Use(LimitType::Token, Unit::Second) => Some(Span::Second),
        Measure::Use(LimitType::Token, Unit::Minute) => Some(Span::Minute),
        Measure::Use(LimitType::Token, Unit::Day)
        | Measure::Use(LimitType::Request, _)
        | Measure::Spend(_)
        | Measure::Concurrency => None,
    });
    let finest = spans.clone().min_by_key(|span| span.window_ns())?;
    let longest = spans.max_by_key(|span| span.window_ns())?;
    Some(TokenWindows { finest, longest })
}
