//! Every order in which threads can take the locks, tried one after the other: `cargo test -p limits --features
//! interleave --test interleavings`.
//!
//! A deadlock, a lost charge, or an order in which a promise does not hold fails the test with that order. Threads are
//! switched wherever one takes a lock, as often as that can make a difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domain::{GroupId, LimitType, Now, Unit, Version};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Measure, Need, Path, PathLimit, PathSpec, Reading,
    Reservation, Seen, Shown, TopUp,
};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

const CALLS: Measure = Measure::Concurrency;
const REQUESTS: Measure = Measure::Use(LimitType::Request, Unit::Minute);
const MINUTE: Measure = Measure::Use(LimitType::Token, Unit::Minute);
const DAY: Measure = Measure::Use(LimitType::Token, Unit::Day);

/// 1 strict cap, 3 all or nothing, 4 conservation.
#[test]
fn of_two_calls_one_fits_and_all_counters_show_the_same_one() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = bind(&engine, 0, &[(REQUESTS, 9), (MINUTE, 15), (DAY, 99), (CALLS, 9)]);
        let other = spawn({
            let (engine, path) = (Arc::clone(&engine), Arc::clone(&path));
            move || admitted(&engine, &path, tokens(10))
        });
        let mine = admitted(&engine, &path, tokens(10));
        let held: Vec<Reservation> = [mine, other.join().unwrap()].into_iter().flatten().collect();
        assert_eq!(held.len(), 1);
        let shown = [REQUESTS, MINUTE, DAY, CALLS].map(|measure| read(&engine, measure));
        assert_eq!(shown, [(1, 0), (10, 0), (0, 10), (0, 1)]);
        for reservation in held {
            engine.settle(reservation, 4, NOW);
        }
        let shown = [REQUESTS, MINUTE, DAY, CALLS].map(|measure| read(&engine, measure));
        assert_eq!(shown, [(1, 0), (4, 0), (4, 0), (0, 0)]);
    });
}

/// 3: nobody who asks sees a call that is charged on one counter and not on the other.
#[test]
fn whoever_explains_sees_a_call_everywhere_or_nowhere() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = bind(&engine, 0, &[(MINUTE, 99), (DAY, 99)]);
        let caller = spawn({
            let engine = Arc::clone(&engine);
            move || {
                let mut held = admitted(&engine, &path, tokens(10)).unwrap();
                assert_eq!(engine.top_up(&mut held, 5, NOW), TopUp::Granted);
                engine.settle(held, 7, NOW);
            }
        });
        for _ in 0..2 {
            let spec = spec(ROOT, 0, &[(MINUTE, 99), (DAY, 99)]);
            let explained = engine.explain(&spec, Need::Observed, NOW).unwrap();
            let [minute, day] = [0, 1].map(|nth| explained.limits[nth].reading);
            assert_eq!(minute.used + minute.pending, day.used + day.pending);
        }
        caller.join().unwrap();
    });
}

/// After `publish` has answered nobody is admitted at the old threshold, and who is stale binds anew and goes on.
#[test]
fn nobody_is_admitted_at_an_old_threshold_once_the_edit_is_published() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let published = Arc::new(AtomicBool::new(false));
        let old = bind(&engine, 0, &[(REQUESTS, 9)]);
        let editor = spawn({
            let (engine, published) = (Arc::clone(&engine), Arc::clone(&published));
            move || {
                engine.publish(ROOT, Version(1));
                published.store(true, Ordering::SeqCst);
                let new = bind(&engine, 1, &[(REQUESTS, 1)]);
                u64::from(admitted(&engine, &new, tokens(0)).is_some())
            }
        });
        let was_published = published.load(Ordering::SeqCst);
        let mine = match engine.reserve(&old, tokens(0), NOW, None) {
            Decision::Admitted(admission) => {
                assert!(!was_published, "admitted at the old threshold");
                engine.settle(admission.reservation, 0, NOW);
                1
            }
            Decision::Stale => {
                let new = bind(&engine, 1, &[(REQUESTS, 1)]);
                u64::from(admitted(&engine, &new, tokens(0)).is_some())
            }
            Decision::Refused(_) => panic!("there is room for nine"),
        };
        let theirs = editor.join().unwrap();
        assert_eq!(mine + theirs, 1, "the new threshold is 1, and what was used is kept");
        assert_eq!(read(&engine, REQUESTS), (1, 0));
    });
}

/// 4 conservation and 6 a reservation ends once: sweeping while calls come, grow and go loses no charge, gives back no
/// counter that is held, and whose path lost its counter binds anew.
#[test]
fn a_sweep_among_calls_loses_no_charge() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let limits = [(MINUTE, 99), (CALLS, 1)];
        let path = bind(&engine, 0, &limits);
        let sweeper = spawn({
            let engine = Arc::clone(&engine);
            move || engine.sweep(NOW)
        });
        let mut held = match engine.reserve(&path, tokens(10), NOW, None) {
            Decision::Admitted(admission) => admission.reservation,
            Decision::Stale => admitted(&engine, &bind(&engine, 0, &limits), tokens(10)).unwrap(),
            Decision::Refused(_) => panic!("nothing is used"),
        };
        assert_eq!(engine.top_up(&mut held, 20, NOW), TopUp::Granted);
        let swept = sweeper.join().unwrap();
        assert!(swept <= 2);
        assert_eq!(read(&engine, MINUTE), (30, 0));
        assert_eq!(read(&engine, CALLS), (0, 1));
        engine.settle(held, 12, NOW);
        assert_eq!(read(&engine, MINUTE), (12, 0));
        assert_eq!(engine.sweep(NOW), 1, "no call is in flight, and the minute is not over");
    });
}

/// A day limit that comes back after a gap opens anew; the call from before settles on its old counter, which is given
/// back after that and once.
#[test]
fn a_counter_opened_anew_and_the_retired_one_are_never_mixed_up() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let old = bind(&engine, 0, &[(DAY, 99)]);
        let mut held = admitted(&engine, &old, tokens(10)).unwrap();
        let editor = spawn({
            let engine = Arc::clone(&engine);
            move || {
                let mut spec = spec(ROOT, 2, &[(DAY, 99)]);
                spec.limits[0] = PathLimit { since: Version(2), opening: 3, ..spec.limits[0].clone() };
                engine.publish(ROOT, Version(2));
                let new = engine.bind(spec, NOW);
                let held = admitted(&engine, &new, tokens(20)).unwrap();
                (engine.sweep(NOW), held)
            }
        });
        assert_eq!(engine.top_up(&mut held, 30, NOW), TopUp::Granted);
        engine.settle(held, 7, NOW);
        let (swept, theirs) = editor.join().unwrap();
        let left = engine.sweep(NOW);
        assert_eq!(swept + left, 1, "the retired counter is given back once");
        let reading = engine.peek(ROOT, &key(ROOT, DAY), Version(2), NOW).unwrap();
        assert_eq!(reading, Reading { used: 3, pending: 20, touched: true });
        engine.settle(theirs, 20, NOW);
    });
}

/// Refunds of two calls of one slot, and a third that comes between them, are each given back once.
#[test]
fn calls_that_end_together_give_back_what_each_of_them_held() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = bind(&engine, 0, &[(MINUTE, 100), (CALLS, 3)]);
        let ending = |how: fn(&Engine, Reservation)| {
            let (engine, path) = (Arc::clone(&engine), Arc::clone(&path));
            let held = admitted(&engine, &path, tokens(40)).unwrap();
            spawn(move || how(&engine, held))
        };
        let first = ending(|engine, held| {
            engine.settle(held, 5, NOW);
        });
        let second = ending(|engine, held| engine.cancel(held, NOW));
        let mut seen = Seen::default();
        match engine.reserve(&path, Need::Fitting { prompt: 0, output: 90, least: 1 }, NOW, Some(&mut seen)) {
            Decision::Admitted(admission) => {
                let granted = admission.reservation.tokens();
                assert!([20, 55, 60, 90].contains(&granted), "{granted} is no room that there ever was");
                let state = seen.states(path.limits(), NOW)[0];
                let is_full = state.remaining == 0;
                assert!(is_full || granted == 90, "what was left was not taken");
                engine.release(admission.reservation, NOW);
            }
            Decision::Refused(_) | Decision::Stale => panic!("there is always room for one"),
        }
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!([MINUTE, CALLS].map(|measure| read(&engine, measure)), [(5, 0), (0, 0)]);
    });
}

/// 3 all or nothing for top-ups: of two that race for the same room one is granted, whatever ends meanwhile.
#[test]
fn of_two_top_ups_that_race_for_the_same_room_one_is_granted() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = bind(&engine, 0, &[(MINUTE, 30), (DAY, 99)]);
        let [mine, theirs] = [(); 2].map(|()| admitted(&engine, &path, tokens(10)).unwrap());
        let grow = |mut held: Reservation| {
            let engine = Arc::clone(&engine);
            move || {
                let granted = engine.top_up(&mut held, 10, NOW) == TopUp::Granted;
                assert_eq!(held.tokens(), if granted { 20 } else { 10 });
                (granted, held)
            }
        };
        let other = spawn(grow(theirs));
        let (mine_grew, mine) = grow(mine)();
        let (theirs_grew, theirs) = other.join().unwrap();
        assert_ne!(mine_grew, theirs_grew);
        assert_eq!([MINUTE, DAY].map(|measure| read(&engine, measure)), [(30, 0), (0, 30)]);
        engine.settle(mine, 4, NOW);
        engine.release(theirs, NOW);
        assert_eq!([MINUTE, DAY].map(|measure| read(&engine, measure)), [(4, 0), (4, 0)]);
    });
}

/// 4 conservation with everything at once: a call that grows and ends, an edit that makes paths stale, a call on the new
/// path, and a sweep.
#[test]
fn calls_edits_and_sweeps_together_lose_nothing() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let old = bind(&engine, 0, &[(MINUTE, 99), (DAY, 99)]);
        let caller = spawn({
            let engine = Arc::clone(&engine);
            move || {
                let Decision::Admitted(admission) = engine.reserve(&old, tokens(10), NOW, None) else {
                    return 0;
                };
                let mut held = admission.reservation;
                assert_eq!(engine.top_up(&mut held, 10, NOW), TopUp::Granted);
                engine.settle(held, 13, NOW);
                13
            }
        });
        let sweeper = spawn({
            let engine = Arc::clone(&engine);
            move || engine.sweep(NOW)
        });
        engine.publish(ROOT, Version(1));
        let mut theirs = None;
        while theirs.is_none() {
            // Stale as often as a sweep comes between, which is once.
            let new = bind(&engine, 1, &[(MINUTE, 99), (DAY, 99)]);
            if let Decision::Admitted(admission) = engine.reserve(&new, tokens(20), NOW, None) {
                theirs = Some(admission.reservation);
            }
        }
        let used = caller.join().unwrap();
        sweeper.join().unwrap();
        let shown = [MINUTE, DAY].map(|measure| read(&engine, measure));
        assert_eq!(shown, [(used + 20, 0), (used, 20)]);
        engine.settle(theirs.unwrap(), 5, NOW);
        let shown = [MINUTE, DAY].map(|measure| read(&engine, measure));
        assert_eq!(shown, [(used + 5, 0), (used + 5, 0)]);
    });
}

/// Two trees share no lock: edits, sweeps and calls of both at once never wait for each other in a ring.
#[test]
fn two_trees_never_wait_for_each_other() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let work = |root: GroupId| {
            let engine = Arc::clone(&engine);
            move || {
                let path = engine.bind(spec(root, 0, &[(DAY, 99)]), NOW);
                let held = admitted(&engine, &path, tokens(10)).unwrap();
                engine.publish(root, Version(1));
                engine.settle(held, 3, NOW);
                engine.peek(root, &key(root, DAY), Version(0), NOW).unwrap().used
            }
        };
        let theirs = spawn(work(OTHER));
        assert_eq!(work(ROOT)(), 3);
        assert_eq!(theirs.join().unwrap(), 3);
    });
}

const ROOT: GroupId = GroupId(0);
const OTHER: GroupId = GroupId(1);
const NOW: Now = Now { mono_ns: 1, wall_ms: 20_000 * 86_400_000 };

fn interleave(story: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    loom::model(move || {
        counted.fetch_add(1, Relaxed);
        story();
    });
    assert!(orders.load(Relaxed) > 1, "one order is no interleaving");
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(work)
}

fn tokens(output: u64) -> Need {
    Need::Declared { prompt: 0, output }
}

fn admitted(engine: &Engine, path: &Arc<Path>, need: Need) -> Option<Reservation> {
    match engine.reserve(path, need, NOW, None) {
        Decision::Admitted(admission) => Some(admission.reservation),
        Decision::Refused(_) => None,
        Decision::Stale => panic!("nothing was edited"),
    }
}

fn bind(engine: &Engine, epoch: u64, limits: &[(Measure, u64)]) -> Arc<Path> {
    engine.bind(spec(ROOT, epoch, limits), NOW)
}

fn spec(root: GroupId, epoch: u64, limits: &[(Measure, u64)]) -> PathSpec {
    let limits = limits.iter().map(|&(measure, threshold)| PathLimit {
        counter: key(root, measure),
        threshold,
        source: root,
        scope: CounterScope::Group,
        since: Version(0),
        opening: 0,
    });
    PathSpec { root, epoch: Version(epoch), shown: Shown::Own, limits: limits.collect() }
}

fn key(owner: GroupId, measure: Measure) -> CounterKey {
    CounterKey { owner, slug: "acme/chat".parse().unwrap(), measure }
}

fn read(engine: &Engine, measure: Measure) -> (u64, u64) {
    let reading = engine.peek(ROOT, &key(ROOT, measure), Version(0), NOW).unwrap();
    (reading.used, reading.pending)
}
