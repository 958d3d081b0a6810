//! The path of a call: every limit that applies to it, bound to the counters they are checked against.

use std::sync::Arc;

use domain::{GroupId, LimitType, Slug, Unit, Version};

use crate::measure::Measure;
use crate::moment::Span;
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
    pub measure: Measure,
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

impl Shown {
    fn sees(self, scope: CounterScope) -> bool {
        self == Self::All || scope == CounterScope::Group
    }
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
    /// The hops whose live numbers the caller is shown in headers: those that count use.
    pub(crate) shown: Box<[usize]>,
    /// Whose numbers the caller is shown.
    audience: Shown,
    /// A guess of output tokens is never the reason that a call can never fit.
    pub(crate) tokens_max: u64,
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
    pub(crate) measure: Measure,
}

impl Path {
    pub(crate) fn new(tree: Arc<Tree>, spec: PathSpec, handles: &[Handle]) -> Self {
        let PathSpec { root: _, epoch, shown: audience, limits } = spec;
        let hop = |(limit, handle): (&PathLimit, &Handle)| Hop {
            counter: *handle,
            threshold: limit.threshold,
            measure: limit.counter.measure,
        };
        let hops: Box<[Hop]> = limits.iter().zip(handles).map(hop).collect();
        let in_headers =
            |limit: &PathLimit| audience.sees(limit.scope) && limit.counter.measure != Measure::Concurrency;
        let shown = limits.iter().enumerate().filter(|(_, limit)| in_headers(limit));
        let shown: Box<[usize]> = shown.map(|(index, _)| index).take(SHOWN_MAX).collect();
        let (tokens_max, token_windows) = (tokens_max(&limits), token_windows(&limits));
        Self { tree, epoch, hops, shown, audience, tokens_max, token_windows, limits: limits.into() }
    }

    /// The limits, in the order they were given. [`Refusal::limit`](crate::Refusal) and
    /// [`Standing::limit`](crate::Standing) count from here.
    #[must_use]
    pub fn limits(&self) -> &[PathLimit] {
        &self.limits
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

/// The smallest token threshold: what a guess is clamped to.
pub(crate) fn tokens_max(limits: &[PathLimit]) -> u64 {
    let of_tokens = limits.iter().filter(|limit| limit.counter.measure.counts_tokens());
    of_tokens.map(|limit| limit.threshold).min().unwrap_or(u64::MAX)
}

fn token_windows(limits: &[PathLimit]) -> Option<TokenWindows> {
    let spans = limits.iter().filter_map(|limit| match limit.counter.measure {
        Measure::Use(LimitType::Token, Unit::Second) => Some(Span::Second),
        Measure::Use(LimitType::Token, Unit::Minute) => Some(Span::Minute),
        Measure::Use(LimitType::Token, Unit::Day)
        | Measure::Use(LimitType::Request, _)
        | Measure::Concurrency => None,
    });
    let finest = spans.clone().min_by_key(|span| span.window_ns())?;
    let longest = spans.max_by_key(|span| span.window_ns())?;
    Some(TokenWindows { finest, longest })
}
