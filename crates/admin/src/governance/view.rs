//! What a model config, a budget and a rate limit look like from outside, with what they have used.
//!
//! Begins at [`ModelConfigView::of`]; [`Live`] is where the numbers come from.

use std::sync::Arc;

use domain::{
    Budget, ConfigId, ConfigScope, Line, LineId, Meter, ModelConfig, Now, Period, RateLimit, RateLimits,
    Snapshot, Usd,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use storage::Store;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::time::Moment;

/// An amount in USD: a JSON number, exact to the nano-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = f64, examples(0.3))]
pub(crate) struct Dollars(pub Usd);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The decimal text as it stands: a float in between would not hold the large amounts.
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// What may be spent on a model, from a provider, within a scope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelConfig)]
pub(crate) struct ModelConfigView {
    id: ConfigId,
    /// A slug, a model's name at its provider, or `*` for all.
    model_name: Arc<str>,
    /// Left out for every provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<Arc<str>>,
    scope: &'static str,
    /// A key's prefix, a user or a group's `id`; left out where the scope is everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope_id: Option<Arc<str>>,
    /// What people call the key or the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope_name: Option<Arc<str>>,
    calendar_aligned: bool,
    #[serde(flatten)]
    limits: LimitsView,
    /// That of `rate_limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_limit_id: Option<LineId>,
    /// Always empty: nothing here comes from a file.
    config_hash: &'static str,
    created_at: Moment,
    updated_at: Moment,
}

/// The budgets and rate limits of a config.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigLimits)]
pub(crate) struct LimitsView {
    /// In the order they were written.
    budgets: Vec<BudgetView>,
    /// The first of `budgets`, for older clients; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    budget: Option<BudgetView>,
    /// Left out where there is none, and where there are rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_limit: Option<RateLimitView>,
    /// The rules, where rate limits were written as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_limits: Option<Vec<RateLimitView>>,
}

/// The most that may be spent within a period, in USD.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    id: LineId,
    max_limit: Dollars,
    /// As it was written.
    reset_duration: Arc<str>,
    /// When the present period began.
    last_reset: Moment,
    /// Spent in the present period; what calls in flight hold is not in it.
    current_usage: Dollars,
    /// That of its config.
    calendar_aligned: bool,
    config_hash: &'static str,
    created_at: Moment,
    updated_at: Moment,
    model_config_id: ConfigId,
}

/// The most tokens and requests within a period. A rule has a `metric` and only the members of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RateLimit)]
pub(crate) struct RateLimitView {
    id: LineId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metric: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_max_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_reset_duration: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_current_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_last_reset: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_max_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_reset_duration: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_current_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_last_reset: Option<Moment>,
    config_hash: &'static str,
    created_at: Moment,
    updated_at: Moment,
    model_config_id: ConfigId,
}

/// One side of a rate limit. Empty where it is not shown.
#[derive(Debug, Default)]
struct Side {
    max: Option<u64>,
    reset: Option<Arc<str>>,
    used: Option<u64>,
    last_reset: Option<Moment>,
}

/// The configuration and the counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    store: &'a Store,
    snapshot: &'a Snapshot,
    now: Now,
}

impl<'a> Live<'a> {
    /// Now, by this configuration.
    pub(crate) fn at(admin: &'a Admin, snapshot: &'a Snapshot) -> Self {
        Self { store: &admin.store, snapshot, now: admin.clock.now() }
    }

    /// That configuration.
    pub(crate) fn snapshot(self) -> &'a Snapshot {
        self.snapshot
    }

    fn used(self, config: &ModelConfig, line: &Line<'_>) -> u64 {
        self.store.line_used(self.snapshot, config, line, self.now)
    }

    fn period(self, line: &Line<'_>) -> Period {
        line.cycle.period(self.now.wall_ms)
    }
}

impl ModelConfigView {
    pub(crate) fn of(live: Live<'_>, config: &ModelConfig) -> Self {
        let identity = &config.identity;
        let limits = LimitsView::of(live, config);
        Self {
            id: config.id,
            model_name: Arc::clone(&identity.model_name),
            provider: identity.provider.clone(),
            scope: identity.scope.name(),
            scope_id: identity.scope.id(),
            scope_name: scope_name(live.snapshot, config),
            calendar_aligned: config.calendar_aligned,
            rate_limit_id: limits.rate_limit.as_ref().map(|limit| limit.id),
            limits,
            config_hash: "",
            created_at: Moment(config.created_ms),
            updated_at: Moment(config.updated_ms),
        }
    }
}

impl LimitsView {
    /// Those of no config at all.
    pub(crate) fn none() -> Self {
        Self { budgets: Vec::new(), budget: None, rate_limit: None, rate_limits: None }
    }

    pub(crate) fn of(live: Live<'_>, config: &ModelConfig) -> Self {
        let budgets = BudgetView::all(live, config);
        let mut rates = RateLimitView::all(live, config);
        let (rate_limit, rate_limits) = match config.rate_limits {
            RateLimits::None => (None, None),
            RateLimits::Pair(_) => (rates.pop(), None),
            RateLimits::Rules(_) => (None, Some(rates)),
        };
        Self { budget: budgets.first().cloned(), budgets, rate_limit, rate_limits }
    }
}

impl BudgetView {
    /// Every budget of a config.
    pub(crate) fn all(live: Live<'_>, config: &ModelConfig) -> Vec<Self> {
        config.budgets.iter().map(|budget| Self::of(live, config, budget)).collect()
    }

    /// One budget of a config, if it has it.
    pub(crate) fn one(live: Live<'_>, config: &ModelConfig, id: LineId) -> Option<Self> {
        config.budgets.iter().find(|budget| budget.id == id).map(|budget| Self::of(live, config, budget))
    }

    fn of(live: Live<'_>, config: &ModelConfig, budget: &Budget) -> Self {
        let line = line(config, budget.id, Meter::Usd);
        let last_reset = line.map_or(budget.created_ms, |line| live.period(&line).start_ms);
        Self {
            id: budget.id,
            max_limit: Dollars(budget.max),
            reset_duration: budget.reset.shared(),
            last_reset: Moment(last_reset),
            current_usage: Dollars(Usd(line.map_or(0, |line| live.used(config, &line)))),
            calendar_aligned: config.calendar_aligned,
            config_hash: "",
            created_at: Moment(budget.created_ms),
            updated_at: Moment(budget.updated_ms),
            model_config_id: config.id,
        }
    }
}

impl RateLimitView {
    /// Every rate limit of a config.
    pub(crate) fn all(live: Live<'_>, config: &ModelConfig) -> Vec<Self> {
        config.rate_limits.iter().map(|limit| Self::of(live, config, limit)).collect()
    }

    /// One rate limit of a config, if it has it.
    pub(crate) fn one(live: Live<'_>, config: &ModelConfig, id: LineId) -> Option<Self> {
        config.rate_limits.iter().find(|limit| limit.id == id).map(|limit| Self::of(live, config, limit))
    }

    fn of(live: Live<'_>, config: &ModelConfig, limit: &RateLimit) -> Self {
        let metric = metric(config, limit);
        let shown = |meter| metric.is_none_or(|metric| metric == meter);
        let side = |meter| {
            if shown(meter) { Side::of(live, config, (limit, meter)) } else { Side::default() }
        };
        let (tokens, requests) = (side(Meter::Tokens), side(Meter::Requests));
        Self {
            id: limit.id,
            metric: metric.map(Meter::word),
            token_max_limit: tokens.max,
            token_reset_duration: tokens.reset,
            token_current_usage: tokens.used,
            token_last_reset: tokens.last_reset,
            request_max_limit: requests.max,
            request_reset_duration: requests.reset,
            request_current_usage: requests.used,
            request_last_reset: requests.last_reset,
            config_hash: "",
            created_at: Moment(limit.created_ms),
            updated_at: Moment(limit.updated_ms),
            model_config_id: config.id,
        }
    }
}

impl Side {
    /// A side that has no limit has used nothing since it is there.
    fn of(live: Live<'_>, config: &ModelConfig, (limit, meter): (&RateLimit, Meter)) -> Self {
        let line = line(config, limit.id, meter);
        let last_reset = line.map_or(limit.created_ms, |line| live.period(&line).start_ms);
        Self {
            max: line.map(|line| line.max),
            reset: line.map(|line| line.reset.shared()),
            used: Some(line.map_or(0, |line| live.used(config, &line))),
            last_reset: Some(Moment(last_reset)),
        }
    }
}

fn line(config: &ModelConfig, id: LineId, meter: Meter) -> Option<Line<'_>> {
    config.lines().find(|line| line.id == id && line.meter == meter)
}

/// What a rule counts; none for the one object with two sides.
fn metric(config: &ModelConfig, limit: &RateLimit) -> Option<Meter> {
    match config.rate_limits {
        RateLimits::Rules(_) if limit.tokens.is_some() => Some(Meter::Tokens),
        RateLimits::Rules(_) => Some(Meter::Requests),
        RateLimits::None | RateLimits::Pair(_) => None,
    }
}

/// What people call the key or the group. Nothing once it is gone.
fn scope_name(snapshot: &Snapshot, config: &ModelConfig) -> Option<Arc<str>> {
    match &config.identity.scope {
        ConfigScope::Global | ConfigScope::User(_) => None,
        ConfigScope::VirtualKey(prefix) => snapshot.key_by_prefix(config.workspace, prefix)?.name.clone(),
        ConfigScope::Group(id) => {
            let metadata = &snapshot.group(*id)?.metadata;
            Some(metadata.name.clone().unwrap_or_else(|| Arc::clone(&metadata.external_entity_id)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_numbers_exact_to_the_nano_dollar() {
        for text in ["0", "10", "0.3", "0.000000001", "0.6", "9223372036.854775807"] {
            let dollars = Dollars(text.parse().unwrap());
            assert_eq!(serde_json::to_string(&dollars).unwrap(), text);
        }
    }
}
