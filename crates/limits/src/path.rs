//! The path of a call: every limit that applies to it, bound to the counters they are checked against.

use std::sync::Arc;

use domain::{GroupId, LimitType, Slug, Unit, Version};

use crate::standing::SHOWN_MAX;
use crate::tree::{Handle, Tree};

/// What a counter is found by. Not the row that declares a limit: two rows that name the same key share the counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CounterKey {
    /// Whose use is counted.
    pub owner: GroupId,
    /// Of which model.
    pub slug: Slug,
    /// What is counted.
    pub kind: LimitType,
    /// Within which window.
    pub unit: Unit,
}

/// Whose counter a limit is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterScope {
    /// The caller's own.
    Group,
    /// An ancestor's, which all its descendants share.
    Ancestor,
}

impl CounterScope {
    /// The published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Ancestor => "ancestor",
        }
    }
}

/// One limit of a path, as compiled from the configuration.
#[derive(Debug, Clone)]
pub struct PathLimit {
    /// The counter it is checked against.
    pub counter: CounterKey,
    /// The most that may be used.
    pub threshold: u64,
    /// Who declares it.
    pub source: GroupId,
    /// Whose counter it is.
    pub scope: CounterScope,
    /// The configuration version since which it has bound this counter without a break.
    pub since: Version,
    /// DAY only: what the counter starts with if it has to be opened now.
    pub opening: u64,
}

/// Which limits' live numbers a caller is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Those whose counter is its own: an ancestor's would tell it of its siblings' traffic.
    #[default]
    Own,
    /// Every one. For operators whose customers may see the use of those above them.
    All,
}

/// What to bind: the limits of a call in the order they are declared, the caller's own first. No counter twice.
#[derive(Debug, Clone)]
pub struct PathSpec {
    /// The root of the caller's tree: the counters of all limits live under its one lock.
    pub root: GroupId,
    /// The tree's epoch in the snapshot this was compiled from.
    pub epoch: Version,
    /// Whose live numbers are told to the caller.
    pub shown: Shown,
    /// Every limit that applies.
    pub limits: Vec<PathLimit>,
}

/// Limits bound to counters: what a call is admitted on, and settles on whatever is edited meanwhile.
#[derive(Debug)]
pub struct Path {
    pub(crate) tree: Arc<Tree>,
    pub(crate) epoch: Version,
    pub(crate) hops: Box<[Hop]>,
    /// The hops whose live numbers the caller is shown.
    pub(crate) shown: Box<[usize]>,
    /// A guess of output tokens is never the reason that a call can never fit.
    pub(crate) tokens_max: u64,
    limits: Box<[PathLimit]>,
}

/// What admission needs of a limit, side by side in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) counter: Handle,
    pub(crate) threshold: u64,
    pub(crate) kind: LimitType,
}

impl Path {
    pub(crate) fn new(tree: Arc<Tree>, spec: PathSpec, handles: &[Handle]) -> Self {
        let PathSpec { root: _, epoch, shown, limits } = spec;
        let hop = |(limit, handle): (&PathLimit, &Handle)| Hop {
            counter: *handle,
            threshold: limit.threshold,
            kind: limit.counter.kind,
        };
        let hops: Box<[Hop]> = limits.iter().zip(handles).map(hop).collect();
        let is_shown = |limit: &PathLimit| shown == Shown::All || limit.scope == CounterScope::Group;
        let shown = limits.iter().enumerate().filter(|(_, limit)| is_shown(limit));
        let shown: Box<[usize]> = shown.map(|(index, _)| index).take(SHOWN_MAX).collect();
        let tokens_max = tokens_max(&limits);
        Self { tree, epoch, hops, shown, tokens_max, limits: limits.into() }
    }

    /// The limits, in the order they were given. [`Refusal::limit`](crate::Refusal) and
    /// [`Standing::limit`](crate::Standing) count from here.
    #[must_use]
    pub fn limits(&self) -> &[PathLimit] {
        &self.limits
    }
}

/// The smallest token threshold: what a guess is clamped to.
pub(crate) fn tokens_max(limits: &[PathLimit]) -> u64 {
    let of_tokens = limits.iter().filter(|limit| limit.counter.kind == LimitType::Token);
    of_tokens.map(|limit| limit.threshold).min().unwrap_or(u64::MAX)
}
