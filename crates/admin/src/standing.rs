//! How the limits of a group stand: what a limit looks like from outside, with live numbers.
//!
//! This is the operator's view: an ancestor's numbers are shown in full, which its customers never see.
//! Begins at [`at_latest`], which asks the engine at the configuration that is in force.

use domain::{GroupId, LimitType, Slug, Snapshot, Unit};
use limits::{CounterScope, Explanation, LimitState, Measure, PathLimit};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::error::Error;
use crate::time::Moment;

/// How often the configuration is looked at again when it changes meanwhile. Each look needs another edit of the same
/// tree to come in between.
const LOOKS_MAX: usize = 64;

/// A limit that binds a group for a slug, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitStanding)]
pub(crate) struct StandingView {
    slug: Slug,
    #[serde(rename = "type")]
    kind: MeasureView,
    /// Not there for calls in flight, which are counted in no window.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    /// Its length: `1s`, `60s`, `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("60s"))]
    window: Option<&'static str>,
    threshold: u64,
    scope: ScopeView,
    /// The group that declares it.
    source_group: GroupId,
    /// Charged in the present window. A rolling window includes what calls in flight hold.
    used: u64,
    /// Held by calls in flight, in no window yet: DAY limits on tokens, and the calls themselves where they are limited.
    pending: u64,
    /// How far `used` and `pending` have passed the threshold: nothing is admitted until it is gone.
    debt: u64,
    /// What is left; 0 in debt.
    remaining: u64,
    /// When all of it is back, if nothing else is charged; `null` while nothing is used.
    #[schema(required)]
    resets_at: Option<Moment>,
    /// When more is left than now, if nothing else is charged; `null` while nothing is used.
    #[schema(required)]
    next_capacity_at: Option<Moment>,
}

/// What a limit counts: tokens, requests, or the calls in flight.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitMeasure)]
#[serde(rename_all = "UPPERCASE")]
enum MeasureView {
    Token,
    Request,
    Concurrency,
}

/// Whose counter a limit is checked against: the group's own, or an ancestor's, which all its descendants share.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitScope)]
#[serde(rename_all = "lowercase")]
enum ScopeView {
    Group,
    Ancestor,
}

impl StandingView {
    /// A limit with what an explanation of it says.
    pub(crate) fn of(limit: &PathLimit, state: &LimitState, explained: &Explanation) -> Self {
        let after = |nanos| Moment::after(explained.at.wall_ms, nanos);
        Self {
            slug: limit.counter.slug.clone(),
            kind: match limit.counter.measure {
                Measure::Use(LimitType::Token, _) => MeasureView::Token,
                Measure::Use(LimitType::Request, _) => MeasureView::Request,
                Measure::Concurrency => MeasureView::Concurrency,
            },
            unit: limit.counter.measure.unit(),
            window: limit.counter.measure.unit().map(Unit::window),
            threshold: limit.threshold,
            scope: match limit.scope {
                CounterScope::Group => ScopeView::Group,
                CounterScope::Ancestor => ScopeView::Ancestor,
            },
            source_group: limit.source,
            used: state.reading.used,
            pending: state.reading.pending,
            debt: state.debt,
            remaining: state.remaining,
            resets_at: state.restored_in.map(after),
            next_capacity_at: state.eases_in.map(after),
        }
    }
}

/// What `look` says of the configuration in force. `look` answers `None` when its tree was edited meanwhile.
///
/// # Errors
/// What `look` says, or that the edits of one tree never end.
pub(crate) fn at_latest<T>(
    admin: &Admin,
    look: impl Fn(&Snapshot) -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    for _ in 0..LOOKS_MAX {
        if let Some(seen) = look(&admin.store.snapshot())? {
            return Ok(seen);
        }
    }
    Err(Error::Unavailable)
}
