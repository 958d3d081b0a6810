//! What an admission costs: `cargo run --release -p limits --example admission_cost`.
//!
//! Prints nanoseconds of one reserve, which leaves what it saw as it does for every call, and one settle over 15 counters (five levels of REQUEST/MINUTE, TOKEN/MINUTE and
//! TOKEN/DAY), on one hot tree, on a thousand trees in random order, and on more trees than caches hold; reserves per
//! second of two threads on one tree; and the memory of a rolling counter.
//!
//! Medians are of batches, so that reading the clock is not what is measured; high percentiles are of single calls and
//! have one reading of the clock in them.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::{Arc, Barrier, LazyLock};
use std::time::Instant;

use domain::{GroupId, LimitType, Now, Slug, Unit, Version};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Measure, Need, Path, PathLimit, PathSpec, Reservation, Seen,
    Shown,
};

const LEVELS: u64 = 5;
const WINDOWS: [(LimitType, Unit); 3] =
    [(LimitType::Request, Unit::Minute), (LimitType::Token, Unit::Minute), (LimitType::Token, Unit::Day)];
const NEED: Need = Need::Declared { prompt: 300, output: 500 };
/// A simulated call every 40 µs: slots turn and leave as they do under load.
const STEP_NS: u64 = 40_000;
const SAMPLES: usize = 200_000;
/// Calls per reading of the clock.
const BATCH: usize = 16;

fn main() {
    // First, while nothing that was freed can be used again.
    memory();
    println!("{:<44} {:>8} {:>8} {:>8}", "15 counters, ns", "median", "p99", "p99.9");
    trees("one hot tree", 1);
    trees("1 000 trees at random", 1_000);
    // 96 MB of cache lines, and as much again of paths and rings.
    trees("100 000 trees at random, cold", 100_000);
    two_threads();
}

fn trees(what: &str, count: u64) {
    let engine = Engine::new();
    let paths: Vec<_> = (0..count).map(|root| bind(&engine, root)).collect();
    let mut clock = 0;
    let batched = measure::<BATCH>(&engine, &paths, &mut clock);
    let single = measure::<1>(&engine, &paths, &mut clock);
    for (step, batched, single) in [("reserve", batched.0, single.0), ("settle", batched.1, single.1)] {
        let [median, p99, p999] = [(&batched, 500), (&single, 990), (&single, 999)].map(per_mille);
        println!("{:<44} {median:>8} {p99:>8} {p999:>8}", format!("{what}: {step}"));
    }
}

/// Both threads read one clock in turn; each binds its own path, as each worker does.
fn two_threads() {
    let engine = Engine::new();
    let barrier = Barrier::new(3);
    let elapsed = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let path = bind(&engine, 1);
                let mut seen = Seen::default();
                barrier.wait();
                for call in 0..SAMPLES * BATCH {
                    std::mem::forget(admit(&engine, &path, at(call), &mut seen));
                }
                barrier.wait();
            });
        }
        barrier.wait();
        let begun = Instant::now();
        barrier.wait();
        begun.elapsed()
    });
    let reserves = u128::try_from(2 * SAMPLES * BATCH).unwrap_or(0);
    println!("two threads, one hot tree: {} reserves/s", reserves * 1_000_000_000 / elapsed.as_nanos());
}

/// Resident bytes per counter of TOKEN/MINUTE, each in use in its own tree's slab beside fifteen others.
fn memory() {
    const COUNTERS: u64 = 100_000;
    let engine = Engine::new();
    let limit = |owner| PathLimit { counter: key(owner, LimitType::Token, Unit::Minute), ..limit_of(owner) };
    let path = |limits| PathSpec { root: GroupId(0), epoch: Version(0), shown: Shown::Own, limits };
    let before = resident_bytes();
    for owner in 0..COUNTERS {
        let path = engine.bind(path(vec![limit(owner)]), at(0));
        std::mem::forget(admit(&engine, &path, at(0), &mut Seen::default()));
    }
    let with_paths = (resident_bytes() - before) / COUNTERS;
    println!("memory of a rolling counter, with its name and one path: {with_paths} bytes resident");
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

/// Sorted nanoseconds per reserve and per settle; each sample is the mean of `N` calls on random paths.
fn measure<const N: usize>(engine: &Engine, paths: &[Arc<Path>], clock: &mut usize) -> (Vec<u64>, Vec<u64>) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut held: Vec<Reservation> = Vec::with_capacity(N);
    let mut seen = Seen::default();
    let (mut reserves, mut settles) = (Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES));
    for _ in 0..SAMPLES {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let nth = usize::try_from(random >> 33).unwrap_or(0) % paths.len();
            &paths[nth]
        };
        let chosen: [&Arc<Path>; N] = std::array::from_fn(|_| next());
        let begun = Instant::now();
        for path in chosen {
            held.push(admit(engine, path, at(*clock), &mut seen));
            *clock += 1;
        }
        let admitted = Instant::now();
        for reservation in held.drain(..) {
            engine.settle(reservation, 420, at(*clock));
        }
        let settled = Instant::now();
        let per_call = |from: Instant, to: Instant| to.duration_since(from).as_nanos() / N as u128;
        reserves.push(per_call(begun, admitted));
        settles.push(per_call(admitted, settled));
    }
    reserves.sort_unstable();
    settles.sort_unstable();
    (nanos(&reserves), nanos(&settles))
}

fn nanos(samples: &[u128]) -> Vec<u64> {
    samples.iter().map(|sample| u64::try_from(*sample).unwrap_or(u64::MAX)).collect()
}

fn per_mille((sorted, rank): (&Vec<u64>, usize)) -> u64 {
    sorted[sorted.len() * rank / 1_000]
}

fn admit(engine: &Engine, path: &Arc<Path>, now: Now, seen: &mut Seen) -> Reservation {
    match engine.reserve(path, NEED, now, Some(seen)) {
        Decision::Admitted(admission) => admission.reservation,
        Decision::Refused(_) | Decision::Stale => unreachable!("nothing in this benchmark is ever full"),
    }
}

fn at(call: usize) -> Now {
    let mono_ns = u64::try_from(call).unwrap_or(0) * STEP_NS;
    Now { mono_ns, wall_ms: 1_780_000_000_000 + mono_ns / 1_000_000 }
}

fn bind(engine: &Engine, root: u64) -> Arc<Path> {
    let limits = (0..LEVELS).flat_map(|level| {
        let owner = root * LEVELS + level;
        let scope = if level == 0 { CounterScope::Group } else { CounterScope::Ancestor };
        WINDOWS.map(|(kind, unit)| PathLimit { counter: key(owner, kind, unit), scope, ..limit_of(owner) })
    });
    let spec =
        PathSpec { root: GroupId(root), epoch: Version(0), shown: Shown::Own, limits: limits.collect() };
    engine.bind(spec, at(0))
}

/// A limit that is never reached.
fn limit_of(owner: u64) -> PathLimit {
    PathLimit {
        counter: key(owner, LimitType::Request, Unit::Minute),
        threshold: 1 << 60,
        source: GroupId(owner),
        scope: CounterScope::Group,
        since: Version(0),
        opening: 0,
    }
}

fn key(owner: u64, kind: LimitType, unit: Unit) -> CounterKey {
    static SLUG: LazyLock<Slug> =
        LazyLock::new(|| "acme/chat".parse().unwrap_or_else(|_| unreachable!("a slug")));
    CounterKey { owner: GroupId(owner), slug: SLUG.clone(), measure: Measure::Use(kind, unit) }
}
