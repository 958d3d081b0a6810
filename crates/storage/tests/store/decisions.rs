//! Decisions on calls: what is kept, for how long, and who finds it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use domain::{Admission, GroupId, LimitType, Now, RequestId, Unit, Version, WorkspaceId};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Epoch, Fit, LimitState, Measure, Owner, PathLimit, PathSpec,
    Reading, Seen, Shown, Size, Source, Verdict,
};
use storage::{DecisionBounds, DecisionFacts, DecisionOutcome, Options, Recorded, Store, TurnedAway};

use crate::world::*;

const MIB: u64 = 1 << 20;
const OURS: WorkspaceId = WorkspaceId(1);
const REFUSED: DecisionOutcome =
    DecisionOutcome::Refused { binding: 0, verdict: Verdict::Wait { nanos: 7, hold_may_end: false } };
const TURNED_AWAY: DecisionOutcome = DecisionOutcome::TurnedAway(TurnedAway::NotAllowed);

fn open(world: &World, in_memory: usize, on_disk: u64) -> Store {
    let decisions = DecisionBounds { in_memory, on_disk };
    Store::open(Options { decisions, ..options(world.path(), MASTER) }).unwrap()
}

fn id(nth: u64) -> RequestId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&nth.to_be_bytes());
    RequestId::new(NOON_MS, random)
}

fn limit(opening: u64) -> PathLimit {
    PathLimit {
        counter: CounterKey {
            owner: Owner::Model(GroupId(2), slug("acme/m1")),
            measure: Measure::Use(LimitType::Request, Unit::Day),
        },
        threshold: 1_000_000,
        source: Source::Group(GroupId(2)),
        scope: CounterScope::Group,
        since: Version(0),
        opening,
        recent: limits::Recent::default(),
    }
}

fn facts(nth: u64, outcome: DecisionOutcome) -> DecisionFacts {
    DecisionFacts {
        request_id: id(nth),
        at: Now { mono_ns: 0, wall_ms: NOON_MS + nth },
        workspace: OURS,
        group: GroupId(2),
        key_prefix: "sky_one".into(),
        model: "acme/m1".into(),
        mode: Admission::Estimate,
        output_max: Some(9),
        asked: Size { tokens: nth, ..Size::ZERO },
        limits: if outcome == TURNED_AWAY { Arc::default() } else { [limit(0)].into() },
        outcome,
    }
}

/// How the limit stood: told by the number of the decision, so that parts of two cannot be taken for one.
fn state(nth: u64) -> LimitState {
    let reading = Reading { used: nth, pending: 0, touched: true };
    LimitState {
        reading,
        remaining: 0,
        debt: 0,
        restored_in: Some(nth),
        eases_in: None,
        fit: Fit::After(nth),
    }
}

fn record(store: &Store, facts: DecisionFacts) {
    if facts.outcome == DecisionOutcome::Admitted {
        let mut seen = seen(facts.asked.tokens);
        return store.decisions().admitted(facts, &mut seen);
    }
    let states = vec![state(facts.asked.tokens); facts.limits.len()];
    store.decisions().record(facts, &states);
}

/// What an admission saw, told by the number of the decision as well.
fn seen(nth: u64) -> Seen {
    let engine = Engine::new();
    let spec = PathSpec {
        root: GroupId(2),
        workspace: OURS,
        epoch: Epoch::default(),
        limits: vec![limit(nth)],
        shared: Vec::new(),
        shown: Shown::Own,
    };
    let mut seen = Seen::default();
    let asked = engine.reserve(&engine.bind(spec, NOW), OBSERVED, NOW, Some(&mut seen));
    assert!(matches!(asked, Decision::Admitted(_)));
    seen
}

fn find_in(store: &Store, nth: u64, workspace: WorkspaceId) -> Option<Recorded> {
    wait(store.decisions().find(id(nth), workspace)).unwrap()
}

fn find(store: &Store, nth: u64) -> Option<Recorded> {
    find_in(store, nth, OURS)
}

#[track_caller]
fn assert_is(found: Option<Recorded>, nth: u64, outcome: DecisionOutcome) {
    let found = found.unwrap();
    assert_eq!(format!("{:?}", found.facts), format!("{:?}", facts(nth, outcome)));
    match outcome {
        DecisionOutcome::Admitted => assert_eq!(found.states[0].reading.used, nth + 1, "with its own charge"),
        DecisionOutcome::Refused { .. } => assert_eq!(found.states, [state(nth)]),
        DecisionOutcome::TurnedAway(_) => assert_eq!(found.states, []),
    }
}

/// Lines on disk.
fn lines(world: &World) -> usize {
    let segments = fs::read_dir(world.path().join("decisions")).unwrap();
    segments.map(|segment| fs::read_to_string(segment.unwrap().path()).unwrap().lines().count()).sum()
}

#[test]
fn the_last_decisions_are_in_memory_and_the_oldest_makes_room() {
    let world = World::new();
    let store = open(&world, 3, 0);
    for nth in 1..=5 {
        record(&store, facts(nth, DecisionOutcome::Admitted));
    }
    assert!(find(&store, 1).is_none() && find(&store, 2).is_none());
    (3..=5).for_each(|nth| assert_is(find(&store, nth), nth, DecisionOutcome::Admitted));
}

#[test]
fn a_place_in_memory_gives_its_room_back_to_whoever_takes_it() {
    let world = World::new();
    let store = open(&world, 2, 0);
    for nth in 0..6 {
        let mut seen = seen(nth);
        store.decisions().admitted(facts(nth, DecisionOutcome::Admitted), &mut seen);
        assert_eq!(seen.is_empty(), nth < 2, "the room of the decision before");
    }
}

#[test]
fn with_both_bounds_at_nothing_nothing_is_kept_and_nobody_needs_to_ask() {
    let world = World::new();
    let store = open(&world, 0, 0);
    for outcome in [DecisionOutcome::Admitted, REFUSED, TURNED_AWAY] {
        assert!(!store.decisions().keeps(outcome));
        record(&store, facts(1, outcome));
        assert!(find(&store, 1).is_none());
    }
    store.close();
    assert!(!world.path().join("decisions").exists());
    let store = open(&world, 0, MIB);
    assert!(!store.decisions().keeps(DecisionOutcome::Admitted) && store.decisions().keeps(REFUSED));
}

#[test]
fn decisions_of_many_threads_are_kept_whole_and_as_many_as_there_are_places() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 400;
    let world = World::new();
    let store = open(&world, 64, 0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for nth in 0..EACH {
                    record(store, facts(writer * EACH + nth, DecisionOutcome::Admitted));
                }
            });
        }
        for nth in 0..WRITERS * EACH {
            if let Some(found) = find(&store, nth) {
                assert_is(Some(found), nth, DecisionOutcome::Admitted);
            }
        }
    });
    let kept = (0..WRITERS * EACH).filter(|nth| find(&store, *nth).is_some()).count();
    assert_eq!(kept, 64);
}

#[test]
fn a_decision_is_found_in_its_own_workspace_alone() {
    let world = World::new();
    let store = open(&world, 9, MIB);
    record(&store, facts(1, REFUSED));
    assert!(find_in(&store, 1, WorkspaceId(2)).is_none());
    assert_is(find(&store, 1), 1, REFUSED);
    store.close();
    let store = open(&world, 9, MIB);
    assert!(find_in(&store, 1, WorkspaceId(2)).is_none());
    assert_is(find(&store, 1), 1, REFUSED);
}

#[test]
fn refusals_outlive_the_process_and_admissions_do_not() {
    let world = World::new();
    let outcomes = BTreeMap::from([(1, REFUSED), (2, TURNED_AWAY), (3, DecisionOutcome::Admitted)]);
    let store = open(&world, 9, MIB);
    outcomes.iter().for_each(|(nth, outcome)| record(&store, facts(*nth, *outcome)));
    outcomes.iter().for_each(|(nth, outcome)| assert_is(find(&store, *nth), *nth, *outcome));
    store.close();
    let store = open(&world, 9, MIB);
    assert_is(find(&store, 1), 1, REFUSED);
    assert_is(find(&store, 2), 2, TURNED_AWAY);
    assert!(find(&store, 3).is_none());
    record(&store, facts(4, REFUSED));
    store.close();
    let store = open(&world, 0, MIB);
    assert_is(find(&store, 1), 1, REFUSED);
    assert_is(find(&store, 4), 4, REFUSED);
    store.close();
    let store = open(&world, 9, 0);
    assert!(find(&store, 1).is_none(), "no room on disk: what was there is gone");
    assert_eq!(lines(&world), 0);
}

#[test]
fn a_client_that_retries_without_end_does_not_push_out_yesterdays_refusals() {
    let world = World::new();
    let store = open(&world, 9, MIB);
    record(&store, facts(0, REFUSED));
    for nth in 1..20_000 {
        record(&store, DecisionFacts { key_prefix: "sky_two".into(), ..facts(nth, REFUSED) });
    }
    assert!(find(&store, 19_999).is_some(), "in memory it is, like any other");
    store.close();
    assert_eq!(lines(&world), 61);
    assert_is(find(&open(&world, 9, MIB), 0), 0, REFUSED);
}

#[test]
fn only_their_owner_may_read_the_refusals() {
    let world = World::new();
    let store = open(&world, 9, MIB);
    record(&store, facts(1, REFUSED));
    store.close();
    let folder = world.path().join("decisions");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.iter().map(|file| mode(file)).collect::<Vec<_>>(), [0o600]);
}

#[test]
fn whatever_lies_where_refusals_should_the_store_opens_and_memory_works() {
    let world = World::new();
    fs::write(world.path().join("decisions"), "a file").unwrap();
    let store = open(&world, 9, MIB);
    record(&store, facts(1, REFUSED));
    assert_is(find(&store, 1), 1, REFUSED);
    assert!(find(&store, 2).is_none());
    store.close();
    fs::remove_file(world.path().join("decisions")).unwrap();
    fs::create_dir(world.path().join("decisions")).unwrap();
    fs::write(world.path().join("decisions/00000001.jsonl"), [0xff; 4_096]).unwrap();
    let store = open(&world, 9, MIB);
    record(&store, facts(2, REFUSED));
    store.close();
    assert_is(find(&open(&world, 0, MIB), 2), 2, REFUSED);
}
