//! How the limits of a call stand: what a limit looks like from outside, with live numbers.
//!
//! This is the operator's view: an ancestor's numbers are shown in full, which its customers never see.
//! Begins at [`at_latest`], which asks the engine at the configuration that is in force.

use std::sync::Arc;

use domain::{Amount, ConfigId, GroupId, LimitType, LineId, Meter, Slug, Snapshot, Unit};
use limits::{CounterScope, Explanation, LimitState, Measure, PathLimit, Source};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::error::Error;
use crate::time::Moment;

/// How often the configuration is looked at again when it changes meanwhile. Each look needs another edit of the same
/// tree to come in between.
const LOOKS_MAX: usize = 64;

/// A limit that binds calls for a slug, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitStanding)]
pub(crate) struct StandingView {
    slug: Slug,
    #[serde(rename = "type")]
    kind: MeasureView,
    /// Not there for calls in flight, which are counted in no window.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitView>,
    /// Its length: `1s`, `60s`, `1d`; of a model config as it was written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, examples("60s"))]
    window: Option<Arc<str>>,
    /// Of a budget in USD, as are all numbers below.
    #[schema(value_type = f64)]
    threshold: Amount,
    scope: ScopeView,
    /// The group that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_group: Option<GroupId>,
    /// The model config that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_config_id: Option<ConfigId>,
    /// The budget of that config.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_id: Option<LineId>,
    /// The rate limit of that config.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_id: Option<LineId>,
    /// Charged in the present window. A rolling window includes what calls in flight hold.
    #[schema(value_type = f64)]
    used: Amount,
    /// Held by calls in flight, in no window yet: limits on tokens per DAY or PERIOD, those in USD, and the calls
    /// themselves where they are limited.
    #[schema(value_type = f64)]
    pending: Amount,
    /// How far `used` and `pending` have passed the threshold: nothing is admitted until it is gone.
    #[schema(value_type = f64)]
    debt: Amount,
    /// What is left; 0 in debt.
    #[schema(value_type = f64)]
    remaining: Amount,
    /// When all of it is back, if nothing else is charged; `null` while nothing is used.
    #[schema(required)]
    resets_at: Option<Moment>,
    /// When more is left than now, if nothing else is charged; `null` while nothing is used.
    #[schema(required)]
    next_capacity_at: Option<Moment>,
    #[serde(skip)]
    is_own: bool,
}

/// What a limit counts: tokens, requests, dollars, or the calls in flight.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitMeasure)]
#[serde(rename_all = "UPPERCASE")]
enum MeasureView {
    Token,
    Request,
    Usd,
    Concurrency,
}

/// The span of a limit: any second, any sixty seconds, a day in UTC, or a period of a model config.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitUnit)]
#[serde(rename_all = "UPPERCASE")]
enum UnitView {
    Second,
    Minute,
    Day,
    Period,
}

/// Whose counter a limit is checked against: the group's own, an ancestor's, which all its descendants share, or a model
/// config's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitScope)]
#[serde(rename_all = "snake_case")]
enum ScopeView {
    Group,
    Ancestor,
    ModelConfig,
}

impl StandingView {
    /// A limit of calls for this slug, with what an explanation of it says.
    pub(crate) fn of(slug: &Slug, limit: &PathLimit, state: &LimitState, explained: &Explanation) -> Self {
        let after = |nanos| Moment::after(explained.at.wall_ms, nanos);
        let measure = limit.counter.measure;
        let line = match &limit.source {
            Source::Group(_) => None,
            Source::Config(line) => Some(line),
        };
        let of_config = |is: fn(Meter) -> bool| line.filter(|line| is(line.meter)).map(|line| line.line);
        Self {
            slug: slug.clone(),
            kind: MeasureView::of(measure),
            unit: UnitView::of(measure),
            window: measure.unit().map(|unit| unit.window().into()).or(line.map(|line| line.reset.shared())),
            threshold: measure.told(limit.threshold),
            scope: match limit.scope {
                CounterScope::Group => ScopeView::Group,
                CounterScope::Ancestor => ScopeView::Ancestor,
                CounterScope::OwnConfig | CounterScope::SharedConfig => ScopeView::ModelConfig,
            },
            source_group: match limit.source {
                Source::Group(group) => Some(group),
                Source::Config(_) => None,
            },
            model_config_id: line.map(|line| line.config),
            budget_id: of_config(|meter| meter == Meter::Usd),
            rate_limit_id: of_config(|meter| meter != Meter::Usd),
            used: measure.told(state.reading.used),
            pending: measure.told(state.reading.pending),
            debt: measure.told(state.debt),
            remaining: measure.told(state.remaining),
            resets_at: state.restored_in.map(after),
            next_capacity_at: state.eases_in.map(after),
            is_own: matches!(limit.scope, CounterScope::Group | CounterScope::OwnConfig),
        }
    }

    /// Whether its counter is the asking caller's own, so that nothing of others' traffic shows in it.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }
}

impl MeasureView {
    fn of(measure: Measure) -> Self {
        match measure {
            Measure::Use(LimitType::Token, _) | Measure::Spend(Meter::Tokens) => Self::Token,
            Measure::Use(LimitType::Request, _) | Measure::Spend(Meter::Requests) => Self::Request,
            Measure::Spend(Meter::Usd) => Self::Usd,
            Measure::Concurrency => Self::Concurrency,
        }
    }
}

impl UnitView {
    fn of(measure: Measure) -> Option<Self> {
        match measure {
            Measure::Use(_, Unit::Second) => Some(Self::Second),
            Measure::Use(_, Unit::Minute) => Some(Self::Minute),
            Measure::Use(_, Unit::Day) => Some(Self::Day),
            Measure::Spend(_) => Some(Self::Period),
            Measure::Concurrency => None,
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
