//! What decisions leave for their record: how every limit stood, and the bound on that.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use domain::{GroupId, LimitType, Now, Tariff, Unit, Usd, Version, WorkspaceId};
use limits::{
    Ask, CounterKey, CounterScope, Decision, Engine, Epoch, Fit, Home, LIMIT_STATES_MAX, LimitState, Measure,
    Need, Owner, Path, PathLimit, PathSpec, Reading, Reservation, Seen, Shown, Size, Source, Verdict,
};

const ROOT: GroupId = GroupId(0);
const NOW: Now = Now { mono_ns: 7, wall_ms: 20_000 * 86_400_000 };
const DAY_NS: u64 = 86_400_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

#[test]
fn of_a_longer_path_the_first_64_limits_are_recorded_and_all_of_them_are_checked_and_charged() {
    let engine = Engine::new();
    let minute = Measure::Use(LimitType::Token, Unit::Minute);
    let last = LIMIT_STATES_MAX + 5;
    let path = bind(&engine, (0..=last).map(|nth| (minute, if nth == last { 10 } else { 100 })));
    let mut seen = Seen::default();
    let held = admit(&engine, &path, tokens(10), &mut seen);
    assert_eq!(seen.states(path.limits(), NOW).len(), LIMIT_STATES_MAX);
    let far = CounterKey { owner: owner_of(u64::try_from(last).unwrap()), measure: minute };
    assert_eq!(engine.peek(Home::Tree(ROOT), &far, Version(0), NOW).unwrap().used, 10);
    let Decision::Refused(refusal) = engine.reserve(&path, tokens(1), NOW, Some(&mut seen)) else {
        panic!("the last limit is full")
    };
    assert_eq!(refusal.limit, last);
    assert_eq!(refusal.states.len(), LIMIT_STATES_MAX);
    assert!(refusal.states.iter().all(|state| state.reading.used == 10 && state.fit == Fit::Fits));
    assert!(seen.is_empty(), "what an earlier call saw is not what this one saw");
    engine.settle(held, Size { tokens: 10, usd: Usd::ZERO }, NOW);
}

#[test]
fn an_admission_tells_every_kind_of_limit_as_it_stood_after_the_charge() {
    let engine = Engine::new();
    let measures = [
        (Measure::Use(LimitType::Request, Unit::Second), 3),
        (Measure::Use(LimitType::Token, Unit::Minute), 100),
        (Measure::Use(LimitType::Token, Unit::Day), 30),
        (Measure::Use(LimitType::Request, Unit::Day), 5),
        (Measure::Concurrency, 2),
    ];
    let path = bind(&engine, measures);
    let mut seen = Seen::default();
    let held = admit(&engine, &path, tokens(30), &mut seen);
    let state = |used, pending, remaining, times: (Option<u64>, Option<u64>)| LimitState {
        reading: Reading { used, pending, touched: true },
        remaining,
        debt: 0,
        restored_in: times.0,
        eases_in: times.1,
        fit: Fit::Fits,
    };
    let expected = [
        state(1, 0, 2, (Some(1_000_000_000), Some(1_000_000_000))),
        state(30, 0, 70, (Some(MINUTE_NS), Some(MINUTE_NS))),
        state(0, 30, 0, (None, None)),
        state(1, 0, 4, (Some(DAY_NS), Some(DAY_NS))),
        state(0, 1, 1, (None, None)),
    ];
    assert_eq!(seen.states(&path.shared_limits(), held.admitted_at()), expected);
    engine.settle(held, Size { tokens: 0, usd: Usd::ZERO }, NOW);
}

#[test]
fn what_a_day_has_used_beside_its_holds_is_back_at_midnight() {
    let engine = Engine::new();
    let path = bind(&engine, [(Measure::Use(LimitType::Token, Unit::Day), 30)]);
    let mut seen = Seen::default();
    let held = admit(&engine, &path, tokens(10), &mut seen);
    engine.settle(held, Size { tokens: 20, usd: Usd::ZERO }, NOW);
    let held = admit(&engine, &path, tokens(10), &mut seen);
    let [state] = seen.states(path.limits(), NOW).try_into().unwrap();
    assert_eq!((state.reading.used, state.reading.pending, state.remaining), (20, 10, 0));
    assert_eq!((state.restored_in, state.eases_in), (Some(DAY_NS), Some(DAY_NS)));
    engine.settle(held, Size { tokens: 0, usd: Usd::ZERO }, NOW);
}

#[test]
fn where_only_calls_in_flight_are_in_the_way_every_limit_says_a_second() {
    let engine = Engine::new();
    let minute = Measure::Use(LimitType::Token, Unit::Minute);
    let path = bind(&engine, [(minute, 100), (Measure::Concurrency, 1), (minute, 200)]);
    let held = admit(&engine, &path, tokens(90), &mut Seen::default());
    let Decision::Refused(refusal) = engine.reserve(&path, tokens(20), NOW, None) else {
        panic!("90 and 20 are more than 100")
    };
    let second = 1_000_000_000;
    assert_eq!((refusal.limit, refusal.at), (0, NOW));
    assert_eq!(refusal.verdict, Verdict::Wait { nanos: second, hold_may_end: true });
    let fits: Vec<Fit> = refusal.states.iter().map(|state| state.fit).collect();
    assert_eq!(fits, [Fit::After(second), Fit::After(second), Fit::Fits]);
    engine.settle(held, Size { tokens: 0, usd: Usd::ZERO }, NOW);
}

fn owner_of(group: u64) -> Owner {
    Owner::Model(GroupId(group), "acme/chat".parse().unwrap())
}

fn tokens(output: u64) -> Ask {
    Ask { need: Need::Declared { prompt: 0, output }, tariff: Tariff::default() }
}

fn admit(engine: &Engine, path: &Arc<Path>, need: Ask, seen: &mut Seen) -> Reservation {
    match engine.reserve(path, need, NOW, Some(seen)) {
        Decision::Admitted(admission) => admission.reservation,
        Decision::Refused(_) | Decision::Stale => panic!("there is room"),
    }
}

/// Each limit has an owner of its own.
fn bind(engine: &Engine, limits: impl IntoIterator<Item = (Measure, u64)>) -> Arc<Path> {
    let limits = (0..).zip(limits).map(|(owner, (measure, threshold))| PathLimit {
        counter: CounterKey { owner: owner_of(owner), measure },
        threshold,
        source: Source::Group(GroupId(owner)),
        scope: CounterScope::Ancestor,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    });
    let (limits, shared) = (limits.collect(), Vec::new());
    let (epoch, shown) = (Epoch::default(), Shown::Own);
    engine.bind(PathSpec { root: ROOT, workspace: WorkspaceId(0), epoch, shown, limits, shared }, NOW)
}
