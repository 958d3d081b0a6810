//! Promises that must hold at any concurrency: eight threads, one tree, clocks that lag behind each other.
//!
//! Nothing here sleeps: the threads share a counter that is their clock, and each uses a reading that others have
//! already passed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use domain::{
    ConfigId, Day, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Tariff, Unit, Usd, Version,
    WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Home, Measure, Need, Owner, Path,
    PathLimit, PathSpec, Reading, Reservation, Shown, Size, Source,
};

const THREADS: u64 = 8;
const CALLS: u64 = 20_000;
const ROOT: GroupId = GroupId(0);
const WORKSPACE: WorkspaceId = WorkspaceId(0);
const HOME: Home = Home::Workspace(WORKSPACE);

/// 1 strict cap and 25 lagging clocks: no window of the served calls holds more than the threshold, on an exact log and
/// on rings alike, though every thread reads its clock before it waits for the lock.
#[test]
fn no_window_ever_passes_its_cap_while_clocks_lag() {
    for (threshold, unit) in [(20, Unit::Second), (100, Unit::Second), (1_000, Unit::Minute)] {
        let window_ns = unit.seconds() * 1_000_000_000;
        let clock = Clock::of_step(window_ns / threshold / 7);
        let engine = Engine::new();
        let served = Mutex::new(Vec::new());
        in_threads(|thread| {
            let path = bind(&engine, &[(0, LimitType::Request, unit)], threshold);
            for _ in 0..CALLS {
                let late = clock.read_late(thread);
                if let Decision::Admitted(admission) = engine.reserve(&path, free(Need::Observed), late, None)
                {
                    // Served after the lock is free: a moment between what was read before and what is read now.
                    served.lock().unwrap().push((late.mono_ns, clock.read().mono_ns));
                    engine.settle(admission.reservation, size(0), clock.read_late(thread));
                }
            }
        });
        let served = served.into_inner().unwrap();
        assert!(served.len() > usize::try_from(threshold).unwrap() * 3, "{} served", served.len());
        assert_cap(&served, window_ns, threshold);
    }
}

/// 3 all or nothing and 10 shared ancestors: on a path of five levels all counters are equal, whatever was refused,
/// settled and given back meanwhile, and 4 conservation: in the end nothing is held.
#[test]
fn a_shared_path_of_five_levels_has_five_equal_counters() {
    let clock = Clock::of_step(1_000);
    let engine = Engine::new();
    let day = |kind| (0..5).map(move |owner| (owner, kind, Unit::Day));
    let limits: Vec<_> = day(LimitType::Token).chain(day(LimitType::Request)).collect();
    let tokens = AtomicU64::new(0);
    let requests = AtomicU64::new(0);
    in_threads(|thread| {
        let path = bind(&engine, &limits, 1_000_000);
        let mut held: Vec<Reservation> = Vec::new();
        for call in 0..CALLS {
            let now = clock.read_late(thread);
            let need = Need::Declared { prompt: call % 97, output: thread * 31 };
            if let Decision::Admitted(admission) = engine.reserve(&path, free(need), now, None) {
                requests.fetch_add(1, Ordering::Relaxed);
                held.push(admission.reservation);
            }
            if call % 3 == 0 {
                let Some(reservation) = held.pop() else { continue };
                end(&engine, reservation, call, (&tokens, &requests), clock.read_late(thread));
            }
        }
        for (call, reservation) in (0..).zip(held) {
            end(&engine, reservation, call, (&tokens, &requests), clock.read());
        }
    });
    let expected =
        |used: &AtomicU64| Reading { used: used.load(Ordering::Relaxed), pending: 0, touched: true };
    for (owner, kind, unit) in limits {
        let used = if kind == LimitType::Token { &tokens } else { &requests };
        let reading = engine.peek(Home::Tree(ROOT), &key(owner, kind, unit), Version(0), clock.read());
        assert_eq!(reading, Some(expected(used)), "level {owner}");
    }
}

/// After an edit has been published, no call is admitted at the old threshold, whichever thread asks; and sweeping while
/// calls run loses nothing that is used.
#[test]
fn edits_and_sweeps_among_calls_lose_nothing() {
    let clock = Clock::of_step(1);
    let engine = Engine::new();
    let limit = [(0, LimitType::Request, Unit::Minute)];
    let threshold = AtomicU64::new(0);
    let admitted = AtomicU64::new(0);
    in_threads(|thread| {
        let mut path = bind_at(&engine, &limit, 0, Version(0));
        for call in 0..CALLS {
            if thread == 0 && call % 16 == 0 {
                let raised = threshold.fetch_add(1, Ordering::SeqCst) + 1;
                engine.publish(ROOT, Version(raised));
                engine.sweep(clock.read());
            }
            match engine.reserve(&path, free(Need::Observed), clock.read_late(thread), None) {
                Decision::Stale => {
                    let epoch = threshold.load(Ordering::SeqCst);
                    path = bind_at(&engine, &limit, epoch, Version(epoch));
                }
                Decision::Admitted(admission) => {
                    let so_far = admitted.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(so_far <= threshold.load(Ordering::SeqCst), "admitted past the threshold");
                    engine.settle(admission.reservation, size(0), clock.read());
                }
                Decision::Refused(_) => {}
            }
        }
    });
    // All within one minute, so everything that was ever admitted is still in the window.
    let reading =
        engine.peek(Home::Tree(ROOT), &key(0, LimitType::Request, Unit::Minute), Version(0), clock.read());
    assert_eq!(reading.map_or(0, |reading| reading.used), admitted.load(Ordering::SeqCst));
    assert!(admitted.load(Ordering::SeqCst) > 0);
}

/// 1 strict cap over two trees: of 50 calls that hold 0.60 USD each, at once and from both, a budget of 10 USD never has
/// more than 16 held or spent, and all of it comes back that was not used.
#[test]
fn two_trees_never_pass_a_budget_that_they_share() {
    const CALLS: usize = 50;
    let (budget, cost) = (Usd(10_000_000_000), Usd(600_000_000));
    for _ in 0..40 {
        let clock = Clock::of_step(1);
        let engine = Engine::new();
        let (barrier, admitted) = (Barrier::new(CALLS), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for call in 0..CALLS {
                let (engine, clock, barrier, admitted) = (&engine, &clock, &barrier, &admitted);
                scope.spawn(move || {
                    let root = u64::try_from(call % 2).unwrap();
                    let path = bind_shared(engine, root, budget);
                    barrier.wait();
                    let need = Need::Declared { prompt: 0, output: 1_000 };
                    let tariff = Tariff { input: Usd::ZERO, output: Usd(cost.0 * 1_000) };
                    let answer = engine.reserve(&path, Ask { need, tariff }, clock.read(), None);
                    if let Decision::Admitted(admission) = answer {
                        assert_eq!(admission.reservation.held(), Size { tokens: 1_000, usd: cost });
                        admitted.lock().unwrap().push((root, admission.reservation));
                    }
                });
            }
        });
        let held = admitted.into_inner().unwrap();
        assert_eq!(held.len(), 16, "sixteen times 0.60 are 9.60");
        let shared = |now| engine.peek(HOME, &line_key(), Version(0), now).unwrap();
        assert_eq!(shared(clock.read()), Reading { used: 0, pending: 16 * cost.0, touched: true });
        for root in [0, 1] {
            let calls = u64::try_from(held.iter().filter(|(of, _)| *of == root).count()).unwrap();
            let own = engine.peek(Home::Tree(GroupId(root)), &tokens_key(root), Version(0), clock.read());
            assert_eq!(own.unwrap().pending, calls * 1_000, "all or nothing in tree {root}");
        }
        for (_, reservation) in held {
            engine.settle(reservation, Size { tokens: 10, usd: Usd(7) }, clock.read());
        }
        assert_eq!(shared(clock.read()), Reading { used: 16 * 7, pending: 0, touched: true });
    }
}

/// 3 all or nothing and 4 conservation, over two trees and what they share, while it is edited: the line has the sum of
/// both trees, and nobody who knows of an edit is admitted past it.
#[test]
fn edits_of_what_trees_share_among_calls_of_both_lose_nothing() {
    let clock = Clock::of_step(1);
    let engine = Engine::new();
    let threshold = AtomicU64::new(0);
    let spent = [AtomicU64::new(0), AtomicU64::new(0)];
    in_threads(|thread| {
        let root = thread % 2;
        let mut path = bind_shared(&engine, root, Usd(0));
        for call in 0..CALLS / 4 {
            if thread == 0 && call % 8 == 0 {
                let raised = threshold.fetch_add(16, Ordering::SeqCst) + 16;
                engine.publish_workspace(WORKSPACE, Version(raised));
            }
            let tariff = Tariff { input: Usd::ZERO, output: Usd(1_000_000) };
            let ask = Ask { need: Need::Declared { prompt: 0, output: 1 }, tariff };
            match engine.reserve(&path, ask, clock.read_late(thread), None) {
                Decision::Stale => {
                    let max = threshold.load(Ordering::SeqCst);
                    path = bind_shared(&engine, root, Usd(max));
                }
                Decision::Admitted(admission) => {
                    spent[usize::from(root == 1)].fetch_add(1, Ordering::SeqCst);
                    let now = engine
                        .settle(admission.reservation, Size { tokens: 1, usd: Usd(1) }, clock.read())
                        .at;
                    let spent = engine.peek(HOME, &line_key(), Version(0), now).unwrap();
                    assert!(spent.used + spent.pending <= threshold.load(Ordering::SeqCst), "{spent:?}");
                }
                Decision::Refused(_) => {}
            }
        }
    });
    let [mine, theirs] = spent.map(AtomicU64::into_inner);
    assert!(mine + theirs > 0);
    for (root, spent) in [(0, mine), (1, theirs)] {
        let own = engine.peek(Home::Tree(GroupId(root)), &tokens_key(root), Version(0), clock.read());
        assert_eq!(own, Some(Reading { used: spent, pending: 0, touched: spent > 0 }));
    }
    let shared = engine.peek(HOME, &line_key(), Version(0), clock.read());
    assert_eq!(shared, Some(Reading { used: mine + theirs, pending: 0, touched: true }));
}

/// The wall clock is set back while calls of two trees run over what they share: no tree keeps the time from before.
#[test]
fn a_wall_clock_that_is_set_back_is_set_back_in_all_trees_at_once() {
    const HOUR_MS: u64 = 3_600_000;
    let engine = Engine::new();
    let at = |hours: u64| Now { mono_ns: 1, wall_ms: Day(20_000).start_ms() + hours * HOUR_MS };
    let paths = [0, 1].map(|root| bind_shared(&engine, root, Usd(1_000_000)));
    let ask = |root: u64, now: Now| match engine.reserve(
        &paths[usize::from(root == 1)],
        free(Need::Observed),
        now,
        None,
    ) {
        Decision::Admitted(admission) => engine.settle(admission.reservation, size(0), now).at,
        Decision::Refused(_) | Decision::Stale => panic!("there is room"),
    };
    assert_eq!([0, 1].map(|root| ask(root, at(9))), [at(9); 2]);
    std::thread::scope(|scope| {
        for root in [0, 1] {
            let ask = &ask;
            scope.spawn(move || {
                for _ in 0..CALLS {
                    ask(root, at(0));
                }
            });
        }
        engine.lower_wall(at(5).wall_ms);
    });
    assert_eq!([0, 1].map(|root| ask(root, at(0)).wall_ms), [at(5).wall_ms; 2]);
}

fn end(engine: &Engine, held: Reservation, call: u64, used: (&AtomicU64, &AtomicU64), now: Now) {
    let (tokens, requests) = used;
    match call % 3 {
        0 => {
            tokens.fetch_add(call % 50, Ordering::Relaxed);
            engine.settle(held, size(call % 50), now);
        }
        1 => engine.release(held, now),
        _ => {
            requests.fetch_sub(1, Ordering::Relaxed);
            engine.cancel(held, now);
        }
    }
}

/// Each call was served at some moment between its two readings. A cap was passed for certain if more calls than the
/// threshold lie within one window as a whole.
#[track_caller]
fn assert_cap(served: &[(u64, u64)], window_ns: u64, threshold: u64) {
    let mut by_begin = served.to_vec();
    by_begin.sort_unstable();
    for (nth, (begin, _)) in by_begin.iter().enumerate() {
        let in_window = by_begin[nth..].iter().take_while(|(other, _)| *other < begin + window_ns);
        let certain = in_window.filter(|(_, end)| *end < begin + window_ns).count();
        assert!(certain <= usize::try_from(threshold).unwrap(), "{certain} calls in a window of {threshold}");
    }
}

/// Time that moves on by one step at each reading.
struct Clock {
    ticks: AtomicU64,
    step_ns: u64,
}

impl Clock {
    fn of_step(step_ns: u64) -> Self {
        Self { ticks: AtomicU64::new(0), step_ns }
    }

    fn read(&self) -> Now {
        let mono_ns = self.ticks.fetch_add(1, Ordering::SeqCst) * self.step_ns;
        Now { mono_ns, wall_ms: Day(20_000).start_ms() + mono_ns / 1_000_000 }
    }

    /// A reading that was taken, and then its thread was put aside for as long as others needed for some calls.
    fn read_late(&self, thread: u64) -> Now {
        let now = self.read();
        for _ in 0..thread {
            std::hint::black_box(self.read());
        }
        now
    }
}

fn size(tokens: u64) -> Size {
    Size { tokens, usd: Usd::ZERO }
}

/// Where nothing has a price.
fn free(need: Need) -> Ask {
    Ask { need, tariff: Tariff::default() }
}

fn in_threads(work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

fn bind(engine: &Engine, limits: &[(u64, LimitType, Unit)], threshold: u64) -> Arc<Path> {
    bind_at(engine, limits, threshold, Version(0))
}

fn bind_at(engine: &Engine, limits: &[(u64, LimitType, Unit)], threshold: u64, epoch: Version) -> Arc<Path> {
    let limits = limits.iter().map(|&(owner, kind, unit)| PathLimit {
        counter: key(owner, kind, unit),
        threshold,
        source: Source::Group(GroupId(owner)),
        scope: CounterScope::Ancestor,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    });
    let (limits, shared) = (limits.collect(), Vec::new());
    let epoch = Epoch { tree: epoch, workspace: Version(0) };
    let spec = PathSpec { root: ROOT, workspace: WorkspaceId(0), epoch, shown: Shown::Own, limits, shared };
    engine.bind(spec, Now { mono_ns: 0, wall_ms: Day(20_000).start_ms() })
}

/// A path of the tree's group with a limit on tokens of its own, and a budget that all of the workspace share.
fn bind_shared(engine: &Engine, root: u64, budget: Usd) -> Arc<Path> {
    let own = PathLimit {
        counter: tokens_key(root),
        threshold: 1 << 60,
        source: Source::Group(GroupId(root)),
        scope: CounterScope::Group,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    };
    let reset: ResetDuration = "1M".parse().unwrap();
    let (cycle, line) = (reset.calendar(0), LineId::from_bytes([1; 16]));
    let config = ConfigLine { config: ConfigId::from_bytes([2; 16]), line, meter: Meter::Usd, reset, cycle };
    let shared = PathLimit {
        counter: line_key(),
        threshold: budget.0,
        source: Source::Config(Arc::new(config)),
        scope: CounterScope::SharedConfig,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    };
    // Each edit raises the threshold to the number of its epoch; the first budget is of no edit.
    let workspace = if budget.0 < 1_000_000 { Version(budget.0) } else { Version(0) };
    let epoch = Epoch { tree: Version(0), workspace };
    let (limits, shared) = (vec![own], vec![shared]);
    let spec =
        PathSpec { root: GroupId(root), workspace: WORKSPACE, epoch, shown: Shown::Own, limits, shared };
    engine.bind(spec, Now { mono_ns: 0, wall_ms: Day(20_000).start_ms() })
}

fn tokens_key(root: u64) -> CounterKey {
    key(root, LimitType::Token, Unit::Day)
}

fn line_key() -> CounterKey {
    CounterKey { owner: Owner::Line(LineId::from_bytes([1; 16])), measure: Measure::Spend(Meter::Usd) }
}

fn key(owner: u64, kind: LimitType, unit: Unit) -> CounterKey {
    let owner = Owner::Model(GroupId(owner), "acme/chat".parse().unwrap());
    CounterKey { owner, measure: Measure::Use(kind, unit) }
}
