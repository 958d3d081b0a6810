//! A recorded refusal as one line of JSON, and back.
//!
//! The only place that knows the form on disk. A field that is new may be missing in older lines, one that is not known
//! any more is passed over, and a line that is anything else is no refusal.

use std::io;
use std::sync::Arc;

use domain::{
    Admission, ConfigId, Cycle, GroupId, LimitType, LineId, Meter, Now, RequestId, ResetDuration, Slug, Unit,
    Usd, Version, WorkspaceId,
};
use limits::{
    ConfigLine, CounterKey, CounterScope, Fit, LimitState, Measure, Owner, PathLimit, Reading, Size, Source,
    Verdict,
};
use serde::{Deserialize, Serialize};

use super::recorded::{DecisionFacts, DecisionOutcome, Recorded, TurnedAway};

/// Longest line, in bytes, with its line break. A limit takes some 200.
pub(super) const LEN_MAX: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Line {
    // First, so that a line is known by its beginning.
    request_id: String,
    at_ms: u64,
    workspace: WorkspaceId,
    group: GroupId,
    key: Arc<str>,
    model: Arc<str>,
    mode: Admission,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_max: Option<u64>,
    tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    nano_usd: u64,
    outcome: Outcome,
    limits: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Admitted,
    /// It asked for more than a whole threshold.
    NeverFits {
        binding: usize,
    },
    Full {
        binding: usize,
        wait_ns: u64,
        hold_may_end: bool,
    },
    /// Another limit would never have let it pass.
    Blocked {
        binding: usize,
    },
    NotAllowed,
    NoEndpoint,
    Uncountable,
    Unpriced,
    NoUser,
}

/// A limit and how it stood.
#[derive(Serialize, Deserialize)]
struct Row {
    /// Type and unit; none where it is on calls in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_of: Option<(LimitType, Unit)>,
    threshold: u64,
    /// The group that declares it; none if it is of a model config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<GroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<RowConfig>,
    /// Whose counter it is, if it is not the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ancestor: Option<GroupId>,
    used: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pending: u64,
    touched: bool,
    remaining: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    debt: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eases_ns: Option<u64>,
    fit: RowFit,
}

/// A line of a model config.
#[derive(Serialize, Deserialize)]
struct RowConfig {
    id: ConfigId,
    line: LineId,
    meter: Meter,
    reset: ResetDuration,
    cycle: Cycle,
    /// Whether the counter is the caller's own.
    own: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RowFit {
    Fits,
    Never,
    After(u64),
}

/// How the line of a call begins.
pub(super) fn beginning(id: RequestId) -> Vec<u8> {
    format!("{{\"request_id\":\"{id}\"").into_bytes()
}

/// The line, with its line break.
pub(super) fn write(recorded: &Recorded) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Line::of(recorded))?;
    line.push(b'\n');
    match u64::try_from(line.len()) {
        Ok(..=LEN_MAX) => Ok(line),
        _ => Err(io::Error::other("a record has too many limits")),
    }
}

/// What a line says; `None` if it is none of ours, or torn.
pub(super) fn read(line: &[u8]) -> Option<Recorded> {
    serde_json::from_slice::<Line>(line).ok()?.recorded()
}

impl Line {
    fn of(Recorded { facts, states }: &Recorded) -> Self {
        Self {
            request_id: facts.request_id.to_string(),
            at_ms: facts.at.wall_ms,
            workspace: facts.workspace,
            group: facts.group,
            key: Arc::clone(&facts.key_prefix),
            model: Arc::clone(&facts.model),
            mode: facts.mode,
            output_max: facts.output_max,
            tokens: facts.asked.tokens,
            nano_usd: facts.asked.usd.0,
            outcome: Outcome::of(facts.outcome),
            limits: facts.limits.iter().zip(states).map(|(limit, state)| Row::of(limit, state)).collect(),
        }
    }

    fn recorded(self) -> Option<Recorded> {
        // Limits are on the model that was asked for; without limits it may be no slug.
        let slug: Option<Slug> = self.model.parse().ok();
        let limit = |row: &Row| row.limit(self.group, slug.as_ref());
        let limits: Option<Vec<PathLimit>> = self.limits.iter().map(limit).collect();
        let facts = DecisionFacts {
            request_id: self.request_id.parse().ok()?,
            at: Now { mono_ns: 0, wall_ms: self.at_ms },
            workspace: self.workspace,
            group: self.group,
            key_prefix: self.key,
            model: self.model,
            mode: self.mode,
            output_max: self.output_max,
            asked: Size { tokens: self.tokens, usd: Usd(self.nano_usd) },
            limits: limits?.into(),
            outcome: self.outcome.outcome(),
        };
        Some(Recorded { facts, states: self.limits.iter().map(Row::state).collect() })
    }
}

impl Outcome {
    fn of(outcome: DecisionOutcome) -> Self {
        match outcome {
            DecisionOutcome::Admitted => Self::Admitted,
            DecisionOutcome::Refused { binding, verdict: Verdict::NeverFits } => Self::NeverFits { binding },
            DecisionOutcome::Refused { binding, verdict: Verdict::Wait { nanos, hold_may_end } } => {
                Self::Full { binding, wait_ns: nanos, hold_may_end }
            }
            DecisionOutcome::Refused { binding, verdict: Verdict::Blocked } => Self::Blocked { binding },
            DecisionOutcome::TurnedAway(TurnedAway::NotAllowed) => Self::NotAllowed,
            DecisionOutcome::TurnedAway(TurnedAway::NoEndpoint) => Self::NoEndpoint,
            DecisionOutcome::TurnedAway(TurnedAway::Uncountable) => Self::Uncountable,
            DecisionOutcome::TurnedAway(TurnedAway::Unpriced) => Self::Unpriced,
            DecisionOutcome::TurnedAway(TurnedAway::NoUser) => Self::NoUser,
        }
    }

    fn outcome(&self) -> DecisionOutcome {
        match *self {
            Self::Admitted => DecisionOutcome::Admitted,
            Self::NeverFits { binding } => DecisionOutcome::Refused { binding, verdict: Verdict::NeverFits },
            Self::Full { binding, wait_ns: nanos, hold_may_end } => {
                DecisionOutcome::Refused { binding, verdict: Verdict::Wait { nanos, hold_may_end } }
            }
            Self::Blocked { binding } => DecisionOutcome::Refused { binding, verdict: Verdict::Blocked },
            Self::NotAllowed => DecisionOutcome::TurnedAway(TurnedAway::NotAllowed),
            Self::NoEndpoint => DecisionOutcome::TurnedAway(TurnedAway::NoEndpoint),
            Self::Uncountable => DecisionOutcome::TurnedAway(TurnedAway::Uncountable),
            Self::Unpriced => DecisionOutcome::TurnedAway(TurnedAway::Unpriced),
            Self::NoUser => DecisionOutcome::TurnedAway(TurnedAway::NoUser),
        }
    }
}

impl Row {
    fn of(limit: &PathLimit, state: &LimitState) -> Self {
        Self {
            used_of: match limit.counter.measure {
                Measure::Use(kind, unit) => Some((kind, unit)),
                Measure::Concurrency | Measure::Spend(_) => None,
            },
            threshold: limit.threshold,
            source: match &limit.source {
                Source::Group(group) => Some(*group),
                Source::Config(_) => None,
            },
            config: match &limit.source {
                Source::Group(_) => None,
                Source::Config(line) => Some(RowConfig::of(line, limit.scope)),
            },
            ancestor: match (&limit.counter.owner, limit.scope) {
                (Owner::Model(owner, _), CounterScope::Ancestor) => Some(*owner),
                _ => None,
            },
            used: state.reading.used,
            pending: state.reading.pending,
            touched: state.reading.touched,
            remaining: state.remaining,
            debt: state.debt,
            restored_ns: state.restored_in,
            eases_ns: state.eases_in,
            fit: match state.fit {
                Fit::Fits => RowFit::Fits,
                Fit::Never => RowFit::Never,
                Fit::After(nanos) => RowFit::After(nanos),
            },
        }
    }

    /// The limit, as far as it matters to whoever reads: what only opening its counter needs is not kept. `None`: it is
    /// no limit of ours.
    fn limit(&self, caller: GroupId, slug: Option<&Slug>) -> Option<PathLimit> {
        let (counter, source, scope) = match &self.config {
            Some(line) => line.names(),
            None => self.names(caller, slug?.clone())?,
        };
        Some(PathLimit {
            counter,
            threshold: self.threshold,
            source,
            scope,
            since: Version::default(),
            opening: 0,
            recent: limits::Recent::default(),
        })
    }

    /// Counter, source and scope of a limit that a group declares.
    fn names(&self, caller: GroupId, slug: Slug) -> Option<(CounterKey, Source, CounterScope)> {
        let owner = Owner::Model(self.ancestor.unwrap_or(caller), slug);
        let measure = self.used_of.map_or(Measure::Concurrency, |(kind, unit)| Measure::Use(kind, unit));
        let scope = if self.ancestor.is_none() { CounterScope::Group } else { CounterScope::Ancestor };
        Some((CounterKey { owner, measure }, Source::Group(self.source?), scope))
    }

    fn state(&self) -> LimitState {
        LimitState {
            reading: Reading { used: self.used, pending: self.pending, touched: self.touched },
            remaining: self.remaining,
            debt: self.debt,
            restored_in: self.restored_ns,
            eases_in: self.eases_ns,
            fit: match self.fit {
                RowFit::Fits => Fit::Fits,
                RowFit::Never => Fit::Never,
                RowFit::After(nanos) => Fit::After(nanos),
            },
        }
    }
}

impl RowConfig {
    fn of(line: &ConfigLine, scope: CounterScope) -> Self {
        let ConfigLine { config, line, meter, reset, cycle } = line;
        let own = scope == CounterScope::OwnConfig;
        Self { id: *config, line: *line, meter: *meter, reset: reset.clone(), cycle: *cycle, own }
    }

    /// Counter, source and scope of its limit.
    fn names(&self) -> (CounterKey, Source, CounterScope) {
        let Self { id: config, line, meter, ref reset, cycle, own } = *self;
        let counter = CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) };
        let scope = if own { CounterScope::OwnConfig } else { CounterScope::SharedConfig };
        let line = ConfigLine { config, line, meter, reset: reset.clone(), cycle };
        (counter, Source::Config(Arc::new(line)), scope)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(scope: CounterScope, unit: Unit) -> PathLimit {
        let (owner, slug) =
            (GroupId(if scope == CounterScope::Group { 2 } else { 1 }), "acme/m1".parse().unwrap());
        PathLimit {
            counter: CounterKey {
                owner: Owner::Model(owner, slug),
                measure: Measure::Use(LimitType::Token, unit),
            },
            threshold: 100,
            source: Source::Group(GroupId(1)),
            scope,
            since: Version(7),
            opening: 3,
            recent: limits::Recent::default(),
        }
    }

    fn of_config(scope: CounterScope, meter: Meter) -> PathLimit {
        let (config, line, reset) = (ConfigId::new([1; 16]), LineId::new([2; 16]), "1M".parse().unwrap());
        let cycle = Cycle::Months(1);
        PathLimit {
            counter: CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) },
            threshold: 10_000_000_000,
            source: Source::Config(Arc::new(ConfigLine { config, line, meter, reset, cycle })),
            scope,
            since: Version(0),
            opening: 3,
            recent: limits::Recent::default(),
        }
    }

    fn state(fit: Fit) -> LimitState {
        LimitState {
            reading: Reading { used: 90, pending: 20, touched: true },
            remaining: 0,
            debt: 10,
            restored_in: Some(5),
            eases_in: None,
            fit,
        }
    }

    #[test]
    fn what_is_written_is_read_again_whatever_was_decided() {
        let wait = Verdict::Wait { nanos: u64::MAX, hold_may_end: true };
        for outcome in [
            DecisionOutcome::Admitted,
            DecisionOutcome::Refused { binding: 1, verdict: wait },
            DecisionOutcome::Refused { binding: 0, verdict: Verdict::NeverFits },
            DecisionOutcome::TurnedAway(TurnedAway::NotAllowed),
            DecisionOutcome::TurnedAway(TurnedAway::NoEndpoint),
            DecisionOutcome::TurnedAway(TurnedAway::Uncountable),
            DecisionOutcome::TurnedAway(TurnedAway::Unpriced),
            DecisionOutcome::TurnedAway(TurnedAway::NoUser),
            DecisionOutcome::Refused { binding: 3, verdict: Verdict::Blocked },
        ] {
            let mut facts = DecisionFacts::refused(1);
            facts.outcome = outcome;
            facts.output_max = Some(4_096);
            facts.limits =
                [limit(CounterScope::Group, Unit::Day), limit(CounterScope::Ancestor, Unit::Second)]
                    .into_iter()
                    .chain([of_config(CounterScope::OwnConfig, Meter::Usd)])
                    .chain([of_config(CounterScope::SharedConfig, Meter::Requests)])
                    .collect();
            facts.asked.usd = Usd(600_000_000);
            let states = [Fit::Fits, Fit::Never, Fit::After(u64::MAX), Fit::Fits].map(state).to_vec();
            let line = write(&Recorded { facts: facts.clone(), states: states.clone() }).unwrap();
            assert!(line.starts_with(&beginning(facts.request_id)) && line.ends_with(b"}\n"));
            let again = read(&line).unwrap();
            // What only a running process has any use for is not kept.
            facts.at.mono_ns = 0;
            let forgotten = |limit: &PathLimit| PathLimit { since: Version(0), opening: 0, ..limit.clone() };
            facts.limits = facts.limits.iter().map(forgotten).collect();
            assert_eq!(format!("{:?}", again.facts), format!("{facts:?}"));
            assert_eq!(again.states, states);
        }
    }

    #[test]
    fn a_line_of_an_older_or_newer_program_is_read_as_far_as_it_is_understood() {
        let line = br#"{"request_id":"019a0000-0000-7000-8000-000000000000","at_ms":5,"workspace":"00000000001",
            "group":"00000000002","key":"sky_a","model":"acme/m1","mode":"estimate","tokens":1,"more":"later",
            "outcome":{"full":{"binding":0,"wait_ns":7,"hold_may_end":false}},
            "limits":[{"type":"REQUEST","unit":"DAY","threshold":1,"source":"00000000002","used":1,"touched":true,
                "remaining":0,"fit":{"after":7}}]}"#;
        let read = read(line).unwrap();
        assert_eq!((read.facts.at.wall_ms, read.states[0].fit), (5, Fit::After(7)));
    }

    #[test]
    fn what_is_no_refusal_of_ours_is_passed_over_and_what_is_too_long_is_not_written() {
        let whole = write(&Recorded { facts: DecisionFacts::refused(1), states: Vec::new() }).unwrap();
        assert!((0..whole.len() - 1).all(|cut| read(&whole[..cut]).is_none()), "torn anywhere");
        for other in [&b""[..], b"\n", b"null", b"[]", b"{}", b"{\"request_id\":\"x\"}", b"\xff\xfe"] {
            assert!(read(other).is_none(), "{other:?}");
        }
        let mut facts = DecisionFacts::refused(1);
        facts.limits = std::iter::repeat_n(limit(CounterScope::Ancestor, Unit::Minute), 1_000).collect();
        assert!(write(&Recorded { facts, states: vec![state(Fit::Fits); 1_000] }).is_err());
    }
}
