//! Promises that must hold at any concurrency: eight threads, one tree, clocks that lag behind each other.
//!
//! Nothing here sleeps: the threads share a counter that is their clock, and each uses a reading that others have
//! already passed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use domain::{Day, GroupId, LimitType, Now, Unit, Version};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Measure, Need, Path, PathLimit, PathSpec, Reading,
    Reservation, Shown,
};

const THREADS: u64 = 8;
const CALLS: u64 = 20_000;
const ROOT: GroupId = GroupId(0);

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
                if let Decision::Admitted(admission) = engine.reserve(&path, Need::Observed, late, None) {
                    // Served after the lock is free: a moment between what was read before and what is read now.
                    served.lock().unwrap().push((late.mono_ns, clock.read().mono_ns));
                    engine.settle(admission.reservation, 0, clock.read_late(thread));
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
            if let Decision::Admitted(admission) = engine.reserve(&path, need, now, None) {
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
        let reading = engine.peek(ROOT, &key(owner, kind, unit), Version(0), clock.read());
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
            match engine.reserve(&path, Need::Observed, clock.read_late(thread), None) {
                Decision::Stale => {
                    let epoch = threshold.load(Ordering::SeqCst);
                    path = bind_at(&engine, &limit, epoch, Version(epoch));
                }
                Decision::Admitted(admission) => {
                    let so_far = admitted.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(so_far <= threshold.load(Ordering::SeqCst), "admitted past the threshold");
                    engine.settle(admission.reservation, 0, clock.read());
                }
                Decision::Refused(_) => {}
            }
        }
    });
    // All within one minute, so everything that was ever admitted is still in the window.
    let reading = engine.peek(ROOT, &key(0, LimitType::Request, Unit::Minute), Version(0), clock.read());
    assert_eq!(reading.map_or(0, |reading| reading.used), admitted.load(Ordering::SeqCst));
    assert!(admitted.load(Ordering::SeqCst) > 0);
}

fn end(engine: &Engine, held: Reservation, call: u64, used: (&AtomicU64, &AtomicU64), now: Now) {
    let (tokens, requests) = used;
    match call % 3 {
        0 => {
            tokens.fetch_add(call % 50, Ordering::Relaxed);
            engine.settle(held, call % 50, now);
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
        source: GroupId(owner),
        scope: CounterScope::Ancestor,
        since: Version(0),
        opening: 0,
    });
    let spec = PathSpec { root: ROOT, epoch, shown: Shown::Own, limits: limits.collect() };
    engine.bind(spec, Now { mono_ns: 0, wall_ms: Day(20_000).start_ms() })
}

fn key(owner: u64, kind: LimitType, unit: Unit) -> CounterKey {
    CounterKey {
        owner: GroupId(owner),
        slug: "acme/chat".parse().unwrap(),
        measure: Measure::Use(kind, unit),
    }
}
