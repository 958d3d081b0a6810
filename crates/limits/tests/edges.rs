//! Where off by one would go unnoticed: the last nanosecond, the largest number, the thirtieth header.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use domain::{
    ConfigId, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Tariff, Unit, Usd, Version, WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Home, Measure, Need, Owner, Path,
    PathLimit, PathSpec, Refusal, Reservation, SHOWN_MAX, Seen, Shown, Size, Source, Standing, Standings,
};

const ROOT: GroupId = GroupId(0);
const WORKSPACE: WorkspaceId = WorkspaceId(0);
const SECOND: Measure = Measure::Use(LimitType::Token, Unit::Second);
const MINUTE: Measure = Measure::Use(LimitType::Token, Unit::Minute);

fn at(millis: u64) -> Now {
    Now { mono_ns: millis * 1_000_000, wall_ms: 20_000 * 86_400_000 + millis }
}

/// Each limit has an owner of its own.
fn bind(engine: &Engine, shown: Shown, limits: impl IntoIterator<Item = (Measure, u64)>) -> Arc<Path> {
    let limits = (0..).zip(limits).map(|(owner, (measure, threshold))| PathLimit {
        counter: CounterKey { owner: owner_of(owner), measure },
        threshold,
        source: Source::Group(GroupId(owner)),
        scope: if owner == 0 { CounterScope::Group } else { CounterScope::Ancestor },
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    });
    let limits = limits.collect();
    let (epoch, shared) = (Epoch::default(), Vec::new());
    engine.bind(PathSpec { root: ROOT, workspace: WORKSPACE, epoch, shown, limits, shared }, at(0))
}

fn owner_of(group: u64) -> Owner {
    Owner::Model(GroupId(group), "acme/chat".parse().unwrap())
}

fn size(tokens: u64) -> Size {
    Size { tokens, usd: Usd::ZERO }
}

/// Where nothing has a price.
fn free(need: Need) -> Ask {
    Ask { need, tariff: Tariff::default() }
}

fn own(engine: &Engine, measure: Measure, threshold: u64) -> Arc<Path> {
    bind(engine, Shown::Own, [(measure, threshold)])
}

fn ask(engine: &Engine, path: &Arc<Path>, tokens: u64, millis: u64) -> Result<Reservation, Box<Refusal>> {
    let need = Need::Declared { prompt: 0, output: tokens };
    match engine.reserve(path, free(need), at(millis), None) {
        Decision::Admitted(admission) => Ok(admission.reservation),
        Decision::Refused(refusal) => Err(Box::new(refusal)),
        Decision::Stale => panic!("nothing was edited"),
    }
}

fn used(engine: &Engine, path: &Path, millis: u64) -> u64 {
    engine.peek(Home::Tree(ROOT), &path.limits()[0].counter, Version(0), at(millis)).unwrap().used
}

#[test]
fn a_charge_of_nothing_keeps_nothing_in_the_window_any_longer() {
    let engine = Engine::new();
    let path = own(&engine, SECOND, 20);
    engine.settle(ask(&engine, &path, 10, 0).unwrap(), size(10), at(0));
    engine.settle(ask(&engine, &path, 0, 50).unwrap(), size(0), at(50));
    assert!(ask(&engine, &path, 20, 999).is_err());
    assert!(ask(&engine, &path, 20, 1_000).is_ok());
}

#[test]
fn what_was_given_back_does_not_put_off_the_time_at_which_all_is_back() {
    let engine = Engine::new();
    let path = own(&engine, MINUTE, 100);
    engine.settle(ask(&engine, &path, 10, 0).unwrap(), size(10), at(0));
    engine.settle(ask(&engine, &path, 20, 5_000).unwrap(), size(0), at(5_000));
    let refusal = ask(&engine, &path, 101, 5_000).unwrap_err();
    let standings: Vec<Standing> = refusal.standings.iter().collect();
    assert_eq!(standings, [Standing { limit: 0, remaining: 90, reset_nanos: 55_000_000_000 }]);
}

#[test]
fn a_sum_that_has_lost_count_stays_at_the_edge_until_its_slot_leaves() {
    let engine = Engine::new();
    let path = own(&engine, MINUTE, u64::MAX);
    let (first, second) = (ask(&engine, &path, 10, 0).unwrap(), ask(&engine, &path, 10, 0).unwrap());
    engine.settle(second, size(u64::MAX), at(0));
    engine.settle(first, size(0), at(0));
    assert_eq!(used(&engine, &path, 0), u64::MAX, "what is given back is a part of nobody knows what");
    assert!(ask(&engine, &path, 1, 0).is_err());
    assert_eq!(used(&engine, &path, 60_000), 0);
}

#[test]
fn when_a_sum_at_the_edge_leaves_what_came_after_it_is_counted_anew() {
    let engine = Engine::new();
    let path = own(&engine, MINUTE, u64::MAX);
    let (first, second) = (ask(&engine, &path, 0, 0).unwrap(), ask(&engine, &path, 0, 0).unwrap());
    engine.settle(first, size(u64::MAX), at(0));
    engine.settle(second, size(5), at(2_000));
    assert_eq!(used(&engine, &path, 59_999), u64::MAX);
    assert_eq!(used(&engine, &path, 60_000), 5);
}

#[test]
fn a_caller_is_shown_its_own_limits_or_all_up_to_thirty() {
    let engine = Engine::new();
    let shown = |audience, limits: usize| {
        let path = bind(&engine, audience, vec![(MINUTE, 100); limits]);
        let Decision::Admitted(admission) = engine.reserve(&path, free(Need::Observed), at(0), None) else {
            panic!("there is room")
        };
        let count = |standings: &Standings| standings.iter().count();
        let refusal = ask(&engine, &path, 1_000, 0).unwrap_err();
        assert_eq!(count(&admission.standings), count(&refusal.standings));
        engine.settle(admission.reservation, size(0), at(0));
        (count(&admission.standings), path.shows(0), path.shows(1))
    };
    assert_eq!(SHOWN_MAX, 30, "six on each of five levels");
    assert_eq!(shown(Shown::Own, 7), (1, true, false));
    assert_eq!(shown(Shown::All, 7), (7, true, true));
    assert_eq!(shown(Shown::All, 1), (1, true, false), "there is no second limit");
    assert_eq!(shown(Shown::All, SHOWN_MAX + 1), (SHOWN_MAX, true, true));
}

#[test]
fn a_line_has_one_counter_as_long_as_it_is_there_whatever_it_is_asked_since() {
    let engine = Engine::new();
    let line = LineId::from_bytes([1; 16]);
    let reset: ResetDuration = "1h".parse().unwrap();
    let (meter, cycle) = (Meter::Requests, reset.lattice(0));
    let config = ConfigLine { config: ConfigId::from_bytes([2; 16]), line, meter, reset, cycle };
    let limit = PathLimit {
        counter: CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) },
        threshold: 9,
        source: Source::Config(Arc::new(config)),
        scope: CounterScope::OwnConfig,
        since: Version(0),
        opening: 4,
        recent: limits::Recent::default(),
    };
    let key = limit.counter.clone();
    let (limits, shared) = (vec![limit], Vec::new());
    let (epoch, shown) = (Epoch::default(), Shown::Own);
    let path =
        engine.bind(PathSpec { root: ROOT, workspace: WORKSPACE, epoch, shown, limits, shared }, at(0));
    assert!(path.shows(0), "the line of a key is the caller's own");
    let used = |home, since| engine.peek(home, &key, Version(since), at(0)).map(|reading| reading.used);
    assert_eq!([0, 7].map(|since| used(Home::Tree(ROOT), since)), [Some(4); 2]);
    assert_eq!(used(Home::Workspace(WORKSPACE), 0), None, "it lives in the tree");
    assert_eq!(engine.reset(Home::Workspace(WORKSPACE), &key, at(0)), None);
    assert_eq!(engine.reset(Home::Tree(ROOT), &key, at(0)), Some((4, at(0))));
    engine.retire(Home::Tree(ROOT), &key);
    assert_eq!(used(Home::Tree(ROOT), 0), None);
}

#[test]
fn whose_counter_refused_is_said_in_the_published_words() {
    assert_eq!((CounterScope::Group.name(), CounterScope::Ancestor.name()), ("group", "ancestor"));
    let configs = [CounterScope::OwnConfig, CounterScope::SharedConfig].map(CounterScope::name);
    assert_eq!(configs, ["model_config"; 2]);
}

#[test]
fn what_is_noted_of_answers_is_told_by_the_engine_that_keeps_it() {
    let engine = Engine::new();
    let slug = "acme/chat".parse().unwrap();
    let usual = engine.outputs().of(ROOT, &slug);
    (0..20).for_each(|_| usual.note(7));
    assert_eq!(engine.outputs().p95(ROOT, &slug), Some(7));
}

#[test]
fn what_was_seen_is_empty_before_an_admission_and_after_a_refusal() {
    let engine = Engine::new();
    let path = own(&engine, MINUTE, 10);
    let mut seen = Seen::default();
    assert!(seen.is_empty());
    let asked = engine.reserve(&path, free(Need::Observed), at(0), Some(&mut seen));
    assert!(matches!(asked, Decision::Admitted(_)) && !seen.is_empty());
    let [state] = seen.states(path.limits(), at(0)).try_into().unwrap();
    assert!(!state.reading.touched, "nothing was charged");
    let too_much = Need::Declared { prompt: 11, output: 0 };
    assert!(matches!(engine.reserve(&path, free(too_much), at(0), Some(&mut seen)), Decision::Refused(_)));
    assert!(seen.is_empty());
}

#[test]
fn a_dump_shows_no_numbers_of_customers() {
    let engine = Engine::new();
    let path = own(&engine, MINUTE, 100);
    engine.settle(ask(&engine, &path, 77, 0).unwrap(), size(77), at(0));
    let dump = format!("{engine:?}");
    assert!(dump.contains("Tree { .. }") && !dump.contains("77"), "{dump}");
}
