//! Every order in which threads can take the locks, tried one after the other: `cargo test -p limits --features
//! interleave --test interleavings`.
//!
//! A deadlock, a lost charge, or an order in which a promise does not hold fails the test with that order. Threads are
//! switched wherever one takes a lock, as often as that can make a difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domain::{
    ConfigId, Cycle, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Tariff, Unit, Usd, Version,
    WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Home, Measure, Need, Owner, Path,
    PathLimit, PathSpec, Reading, Reservation, Seen, Shown, Size, Source, TopUp,
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
            engine.settle(reservation, size(4), NOW);
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
                engine.settle(held, size(7), NOW);
            }
        });
        for _ in 0..2 {
            let spec = spec(ROOT, 0, &[(MINUTE, 99), (DAY, 99)]);
            let explained = engine.explain(&spec, free(Need::Observed), NOW).unwrap();
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
                engine.settle(admission.reservation, size(0), NOW);
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
        engine.settle(held, size(12), NOW);
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
        engine.settle(held, size(7), NOW);
        let (swept, theirs) = editor.join().unwrap();
        let left = engine.sweep(NOW);
        assert_eq!(swept + left, 1, "the retired counter is given back once");
        let reading = engine.peek(Home::Tree(ROOT), &key(ROOT, DAY), Version(2), NOW).unwrap();
        assert_eq!(reading, Reading { used: 3, pending: 20, touched: true });
        engine.settle(theirs, size(20), NOW);
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
            engine.settle(held, size(5), NOW);
        });
        let second = ending(|engine, held| engine.cancel(held, NOW));
        let mut seen = Seen::default();
        match engine.reserve(
            &path,
            free(Need::Fitting { prompt: 0, output: 90, least: 1 }),
            NOW,
            Some(&mut seen),
        ) {
            Decision::Admitted(admission) => {
                let granted = admission.reservation.held().tokens;
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
                assert_eq!(held.held().tokens, if granted { 20 } else { 10 });
                (granted, held)
            }
        };
        let other = spawn(grow(theirs));
        let (mine_grew, mine) = grow(mine)();
        let (theirs_grew, theirs) = other.join().unwrap();
        assert_ne!(mine_grew, theirs_grew);
        assert_eq!([MINUTE, DAY].map(|measure| read(&engine, measure)), [(30, 0), (0, 30)]);
        engine.settle(mine, size(4), NOW);
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
                engine.settle(held, size(13), NOW);
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
        engine.settle(theirs.unwrap(), size(5), NOW);
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
                engine.settle(held, size(3), NOW);
                engine.peek(Home::Tree(root), &key(root, DAY), Version(0), NOW).unwrap().used
            }
        };
        let theirs = spawn(work(OTHER));
        assert_eq!(work(ROOT)(), 3);
        assert_eq!(theirs.join().unwrap(), 3);
    });
}

/// 1 strict cap and 3 all or nothing over two trees that share a budget: of two calls one fits, in either tree, and the
/// other is charged nowhere; nobody waits for anybody in a ring.
#[test]
fn of_two_calls_of_two_trees_one_fits_the_budget_they_share() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let calling = |root: GroupId| {
            let path = engine.bind(sharing(root, 0, 15), NOW);
            let engine = Arc::clone(&engine);
            move || {
                let held = admitted(&engine, &path, priced(10));
                let own = engine.peek(Home::Tree(root), &key(root, DAY), Version(0), NOW).unwrap();
                assert_eq!(own.pending, held.as_ref().map_or(0, |held| held.held().tokens));
                held.map(|held| engine.settle(held, Size { tokens: 10, usd: Usd(4) }, NOW)).is_some()
            }
        };
        let mine = calling(ROOT);
        let theirs = spawn(calling(OTHER));
        let fits = usize::from(mine()) + usize::from(theirs.join().unwrap());
        assert!(fits >= 1, "there was room for one");
        let spent = u64::try_from(fits).unwrap() * 4;
        assert_eq!(shared(&engine), Reading { used: spent, pending: 0, touched: true });
    });
}

/// After `publish_workspace` has answered nobody is admitted at the old budget, in any tree, nor without one.
#[test]
fn nobody_is_admitted_at_an_old_budget_once_the_edit_of_the_workspace_is_published() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let published = Arc::new(AtomicBool::new(false));
        let old = engine.bind(sharing(ROOT, 0, 99), NOW);
        let bare = engine.bind(spec(OTHER, 0, &[(DAY, 99)]), NOW);
        let editor = spawn({
            let (engine, published) = (Arc::clone(&engine), Arc::clone(&published));
            move || {
                engine.publish_workspace(WORKSPACE, Version(1));
                published.store(true, Ordering::SeqCst);
                let new = engine.bind(sharing(OTHER, 1, 10), NOW);
                admitted(&engine, &new, priced(10))
            }
        });
        let was_published = published.load(Ordering::SeqCst);
        let mine = [old, bare].map(|path| match engine.reserve(&path, priced(5), NOW, None) {
            Decision::Admitted(admission) => {
                assert!(!was_published, "admitted on a path from before the edit");
                Some(admission.reservation)
            }
            Decision::Stale => None,
            Decision::Refused(_) => panic!("there was room"),
        });
        let [with_budget, without] = mine.each_ref().map(Option::is_some);
        assert!(with_budget || !without, "what is stale stays stale");
        let theirs = editor.join().unwrap();
        assert_eq!(
            theirs.is_some(),
            !with_budget,
            "what was held at the old budget counts against the new one"
        );
        for held in mine.into_iter().flatten().chain(theirs) {
            engine.release(held, NOW);
        }
        assert_eq!(shared(&engine), Reading { used: 0, pending: 0, touched: true });
    });
}

/// 18 a reset keeps what is held, and an edited duration what is used, whatever call of another tree comes between.
#[test]
fn resets_and_edited_durations_among_calls_of_two_trees_lose_no_hold() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let paths = [ROOT, OTHER].map(|root| engine.bind(sharing(root, 0, 99), NOW));
        let held = admitted(&engine, &paths[0], priced(10)).unwrap();
        let caller = spawn({
            let (engine, path) = (Arc::clone(&engine), Arc::clone(&paths[1]));
            move || {
                let held = admitted(&engine, &path, priced(10)).unwrap();
                engine.settle(held, Size { tokens: 10, usd: Usd(3) }, NOW);
            }
        });
        let (forgotten, _) = engine.reset(Home::Workspace(WORKSPACE), &budget_key(), NOW).unwrap();
        assert!(forgotten == 0 || forgotten == 3);
        engine.recycle(Home::Workspace(WORKSPACE), &budget_key(), Cycle::Months(1), Version(0), NOW);
        caller.join().unwrap();
        assert_eq!(shared(&engine), Reading { used: 3 - forgotten, pending: 10, touched: true });
        engine.settle(held, Size { tokens: 10, usd: Usd(10) }, NOW);
        assert_eq!(shared(&engine), Reading { used: 13 - forgotten, pending: 0, touched: true });
    });
}

/// A wall clock that is set back is set back everywhere at once: no call carries the old time from where it still stands
/// to where it stood.
#[test]
fn no_call_carries_time_past_a_wall_clock_that_is_set_back() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = engine.bind(sharing(ROOT, 0, 99), NOW);
        let ahead = Now { wall_ms: NOW.wall_ms + 9_000_000, ..NOW };
        engine.release(admitted_at(&engine, &path, ahead), ahead);
        let caller = spawn({
            let (engine, path) = (Arc::clone(&engine), Arc::clone(&path));
            move || engine.release(admitted_at(&engine, &path, NOW), NOW)
        });
        engine.lower_wall(NOW.wall_ms);
        caller.join().unwrap();
        assert_eq!(admitted_at(&engine, &path, NOW).admitted_at(), NOW);
    });
}

/// Who explains sees a call in its tree and in the workspace, or in neither.
#[test]
fn whoever_explains_sees_a_call_in_both_places_or_in_neither() {
    interleave(|| {
        let engine = Arc::new(Engine::new());
        let path = engine.bind(sharing(ROOT, 0, 99), NOW);
        let caller = spawn({
            let engine = Arc::clone(&engine);
            move || {
                let held = admitted(&engine, &path, priced(10)).unwrap();
                engine.settle(held, Size { tokens: 7, usd: Usd(7) }, NOW);
            }
        });
        let explained = engine.explain(&sharing(ROOT, 0, 99), priced(1), NOW).unwrap();
        let [own, shared] = [0, 1].map(|nth| explained.limits[nth].reading);
        assert_eq!((own.used, own.pending), (shared.used, shared.pending));
        caller.join().unwrap();
    });
}

const ROOT: GroupId = GroupId(0);
const OTHER: GroupId = GroupId(1);
const WORKSPACE: WorkspaceId = WorkspaceId(0);
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

fn size(tokens: u64) -> Size {
    Size { tokens, usd: Usd::ZERO }
}

/// Where nothing has a price.
fn free(need: Need) -> Ask {
    Ask { need, tariff: Tariff::default() }
}

fn tokens(output: u64) -> Ask {
    free(Need::Declared { prompt: 0, output })
}

fn admitted(engine: &Engine, path: &Arc<Path>, need: Ask) -> Option<Reservation> {
    match engine.reserve(path, need, NOW, None) {
        Decision::Admitted(admission) => Some(admission.reservation),
        Decision::Refused(_) => None,
        Decision::Stale => panic!("nothing was edited"),
    }
}

fn admitted_at(engine: &Engine, path: &Arc<Path>, now: Now) -> Reservation {
    match engine.reserve(path, priced(1), now, None) {
        Decision::Admitted(admission) => admission.reservation,
        Decision::Refused(_) | Decision::Stale => panic!("there is room"),
    }
}

fn bind(engine: &Engine, epoch: u64, limits: &[(Measure, u64)]) -> Arc<Path> {
    engine.bind(spec(ROOT, epoch, limits), NOW)
}

fn spec(root: GroupId, epoch: u64, limits: &[(Measure, u64)]) -> PathSpec {
    let limits = limits.iter().map(|&(measure, threshold)| PathLimit {
        counter: key(root, measure),
        threshold,
        source: Source::Group(root),
        scope: CounterScope::Group,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    });
    let (limits, shared) = (limits.collect(), Vec::new());
    let epoch = Epoch { tree: Version(epoch), workspace: Version(0) };
    PathSpec { root, workspace: WORKSPACE, epoch, shown: Shown::Own, limits, shared }
}

/// A limit of the tree's group on tokens of a day, and a budget of the workspace.
fn sharing(root: GroupId, workspace_epoch: u64, budget: u64) -> PathSpec {
    let reset: ResetDuration = "1d".parse().unwrap();
    let (cycle, line) = (Cycle::DAYS, LineId::from_bytes([1; 16]));
    let config = ConfigLine { config: ConfigId::from_bytes([2; 16]), line, meter: Meter::Usd, reset, cycle };
    let budget = PathLimit {
        counter: budget_key(),
        threshold: budget,
        source: Source::Config(Arc::new(config)),
        scope: CounterScope::SharedConfig,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    };
    let epoch = Epoch { tree: Version(0), workspace: Version(workspace_epoch) };
    PathSpec { epoch, shared: vec![budget], ..spec(root, 0, &[(DAY, 99)]) }
}

fn budget_key() -> CounterKey {
    CounterKey { owner: Owner::Line(LineId::from_bytes([1; 16])), measure: Measure::Spend(Meter::Usd) }
}

/// A nano-dollar for each token.
fn priced(output: u64) -> Ask {
    let tariff = Tariff { input: Usd::ZERO, output: Usd(1_000_000) };
    Ask { need: Need::Declared { prompt: 0, output }, tariff }
}

fn shared(engine: &Engine) -> Reading {
    engine.peek(Home::Workspace(WORKSPACE), &budget_key(), Version(0), NOW).unwrap()
}

fn key(owner: GroupId, measure: Measure) -> CounterKey {
    CounterKey { owner: Owner::Model(owner, "acme/chat".parse().unwrap()), measure }
}

fn read(engine: &Engine, measure: Measure) -> (u64, u64) {
    let reading = engine.peek(Home::Tree(ROOT), &key(ROOT, measure), Version(0), NOW).unwrap();
    (reading.used, reading.pending)
}
