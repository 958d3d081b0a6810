//! A rolling window that opens with what was charged before a restart, beside one that never stopped: the same verdicts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use domain::{GroupId, LimitType, Now, Tariff, Unit, Version, WorkspaceId};
use limits::{
    Ask, Charged, CounterKey, CounterScope, Decision, Engine, Epoch, Measure, Need, Owner, Path, PathLimit,
    PathSpec, Recent, Shown, Size, Source,
};
use proptest::prelude::*;

const ROOT: GroupId = GroupId(1);

fn at(mono_ns: u64) -> Now {
    Now { mono_ns, wall_ms: 1_800_000_000_000 + mono_ns / 1_000_000 }
}

/// Limits of every rolling form: logs, rings of requests, rings of tokens.
const LIMITS: [(LimitType, Unit, u64); 6] = [
    (LimitType::Request, Unit::Second, 3),
    (LimitType::Request, Unit::Minute, 40),
    (LimitType::Request, Unit::Second, 70),
    (LimitType::Request, Unit::Minute, 90),
    (LimitType::Token, Unit::Second, 300),
    (LimitType::Token, Unit::Minute, 2_000),
];

fn bind(engine: &Engine, which: &[usize], recent: &Recent, now: Now) -> Arc<Path> {
    let limit = |which: &usize| {
        let (kind, unit, threshold) = LIMITS[*which];
        PathLimit {
            counter: CounterKey {
                owner: Owner::Model(GroupId(u64::try_from(*which).unwrap()), "acme/m1".parse().unwrap()),
                measure: Measure::Use(kind, unit),
            },
            threshold,
            source: Source::Group(ROOT),
            scope: CounterScope::Group,
            since: Version(0),
            opening: 0,
            recent: recent.clone(),
        }
    };
    let limits = which.iter().map(limit).collect();
    let (epoch, shared) = (Epoch::default(), Vec::new());
    let spec = PathSpec { root: ROOT, workspace: WorkspaceId(1), epoch, shown: Shown::Own, limits, shared };
    engine.bind(spec, now)
}

/// Asks for one call that uses more than it holds. What it was charged, if it was admitted; else when to come back.
fn call(
    engine: &Engine,
    path: &Arc<Path>,
    (held, more): (u64, u64),
    now: Now,
) -> Result<Vec<Charged>, String> {
    let ask = Ask { need: Need::Declared { prompt: 0, output: held }, tariff: Tariff::default() };
    match engine.reserve(path, ask, now, None) {
        Decision::Admitted(admission) => {
            let admitted = admission.reservation.admitted_at();
            let used = Size { tokens: held + more, ..Size::ZERO };
            let settled = engine.settle(admission.reservation, used, at(now.mono_ns + 1));
            let late: u64 = settled.late.iter().map(|charge| charge.tokens).sum();
            let first = Charged { mono_ns: admitted.mono_ns, requests: 1, tokens: held + more - late };
            let later = settled.late.iter().map(|charge| Charged {
                mono_ns: charge.mono_ns,
                requests: 0,
                tokens: charge.tokens,
            });
            Ok(std::iter::once(first).chain(later).collect())
        }
        Decision::Refused(refusal) => Err(format!("{:?} {:?}", refusal.limit, refusal.verdict)),
        Decision::Stale => Err("stale".to_owned()),
    }
}

/// Nanoseconds since the call before, and what it holds and uses beyond that.
fn calls(most: usize) -> impl Strategy<Value = Vec<(u64, (u64, u64))>> {
    let wait =
        prop_oneof![0..10_000_000_u64, 0..300_000_000_u64, 0..5_000_000_000_u64, 0..70_000_000_000_u64];
    prop::collection::vec((wait, (1..40_u64, 0..9_u64)), 0..most)
}

proptest! {
    #[test]
    fn a_window_that_opens_with_what_was_charged_decides_as_if_it_had_never_stopped(
        which in prop::sample::subsequence((0..LIMITS.len()).collect::<Vec<_>>(), 1..=LIMITS.len()),
        before in calls(200),
        pause in 0..70_000_000_000_u64,
        after in calls(200),
    ) {
        let (engine, mut now, mut charges) = (Engine::new(), 1_000_000_000_000, Vec::new());
        let path = bind(&engine, &which, &Recent::default(), at(now));
        for (wait, size) in before {
            now += wait + 2;
            charges.extend(call(&engine, &path, size, at(now)).unwrap_or_default());
        }
        now += pause + 2;
        let restarted = Engine::new();
        // In whatever order they are found.
        charges.reverse();
        let path_after = bind(&restarted, &which, &Recent::new(charges), at(now));
        for (wait, size) in after {
            now += wait + 2;
            let expected = call(&engine, &path, size, at(now));
            prop_assert_eq!(call(&restarted, &path_after, size, at(now)), expected);
        }
    }
}

#[test]
fn of_more_requests_than_a_log_can_hold_the_latest_count() {
    let charges = (0..100).map(|n| Charged { mono_ns: n * 100_000_000, requests: 1, tokens: 0 }).collect();
    let engine = Engine::new();
    let now = at(10_000_000_000);
    // Forty a minute: the log knows of the latest 64, the first of which came 3.6 s after the first of all.
    let path = bind(&engine, &[1], &Recent::new(charges), now);
    assert!(call(&engine, &path, (1, 0), now).is_err());
    let (free, just) = (at(60_000_000_000 + 6_000_000_000), at(60_000_000_000 + 6_000_000_000 - 1));
    assert!(call(&engine, &path, (1, 0), just).is_err());
    assert!(call(&engine, &path, (1, 0), free).is_ok());
}
