//! What an admission costs: `cargo run --release -p limits --example admission_cost`.
//!
//! Prints nanoseconds of one reserve, which leaves what it saw as it does for every call, and one settle over 15 counters
//! (five levels of REQUEST/MINUTE, TOKEN/MINUTE and TOKEN/DAY): on one hot tree, also with two lines that all trees of the
//! workspace share, on a thousand trees in random order, and on more trees than caches hold; what one tree costs in a
//! crowd of lines and trees, as a ratio to the same tree alone; reserves per second of two threads, on one tree, on two,
//! and on two that share lines; and the memory of a rolling counter.
//!
//! Medians are of batches, so that reading the clock is not what is measured; high percentiles are of single calls and
//! have one reading of the clock in them.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::{Arc, Barrier, LazyLock};
use std::time::Instant;

use domain::{
    ConfigId, Cycle, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Slug, Tariff, Unit, Usd, Version,
    WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Measure, Need, Owner, Path,
    PathLimit, PathSpec, Reservation, Seen, Shown, Size, Source,
};

const LEVELS: u64 = 5;
const LINES: u64 = 10_000;
const ROUNDS: usize = 7;
const WORKSPACE: WorkspaceId = WorkspaceId(0);
const WINDOWS: [(LimitType, Unit); 3] =
    [(LimitType::Request, Unit::Minute), (LimitType::Token, Unit::Minute), (LimitType::Token, Unit::Day)];
/// At 2.50 USD for a million tokens of prompt and 10 USD of output.
const ASK: Ask = Ask {
    need: Need::Declared { prompt: 300, output: 500 },
    tariff: Tariff { input: Usd(2_500_000_000), output: Usd(10_000_000_000) },
};
const USED: Size = Size { tokens: 420, usd: Usd(1_950_000) };
/// A simulated call every 40 µs: slots turn and leave as they do under load.
const STEP_NS: u64 = 40_000;
const SAMPLES: usize = 200_000;
/// Calls per reading of the clock.
const BATCH: usize = 16;

fn main() {
    // First, while nothing that was freed can be used again.
    memory();
    println!("{:<44} {:>8} {:>8} {:>8}", "15 counters, ns", "median", "p99", "p99.9");
    trees("one hot tree", 1, bind);
    trees("one hot tree and 2 shared lines", 1, bind_sharing);
    trees("1 000 trees at random", 1_000, bind);
    // 96 MB of cache lines, and as much again of paths and rings.
    trees("100 000 trees at random, cold", 100_000, bind);
    crowd();
    two_threads("one hot tree", [1, 1], bind);
    two_threads("two trees", [1, 2], bind);
    two_threads("two trees and 2 shared lines", [1, 2], bind_sharing);
}

/// Binds the path of a root.
type Bind = fn(&Engine, u64) -> Arc<Path>;

fn trees(what: &str, count: u64, bind: Bind) {
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

/// One tree that shares two lines, alone and among 100 000 others and 10 000 lines of the same workspace, in turns.
fn crowd() {
    let (alone, crowded) = (Engine::new(), Engine::new());
    for line in 0..LINES {
        let lines = [line_limit(2 + line)].into();
        let _others = crowded.bind(PathSpec { shared: lines, ..spec(line, Vec::new()) }, at(0));
    }
    let _others: Vec<_> = (1..=100_000).map(|root| bind(&crowded, root)).collect();
    let paths = [&alone, &crowded].map(|engine| vec![bind_sharing(engine, 0)]);
    let mut medians = [Vec::new(), Vec::new()];
    let mut clock = 0;
    for _ in 0..ROUNDS {
        for (nth, engine) in [&alone, &crowded].into_iter().enumerate() {
            let (reserves, settles) = measure::<BATCH>(engine, &paths[nth], &mut clock);
            medians[nth].push(per_mille((&reserves, 500)) + per_mille((&settles, 500)));
        }
    }
    let [alone, crowded] = medians.map(|mut rounds| {
        rounds.sort_unstable();
        rounds[ROUNDS / 2]
    });
    let per_cent = crowded * 100 / alone;
    println!(
        "reserve and settle among {LINES} lines and 100 000 trees: {crowded} ns, {per_cent} % of {alone} alone"
    );
}

/// Both threads read one clock in turn; each binds its own path, as each worker does.
fn two_threads(what: &str, roots: [u64; 2], bind: Bind) {
    let engine = Engine::new();
    let barrier = Barrier::new(3);
    let elapsed = std::thread::scope(|scope| {
        for root in roots {
            let (engine, barrier) = (&engine, &barrier);
            scope.spawn(move || {
                let path = bind(engine, root);
                let mut seen = Seen::default();
                barrier.wait();
                for call in 0..SAMPLES * BATCH {
                    std::mem::forget(admit(engine, &path, at(call), &mut seen));
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
    println!("two threads, {what}: {} reserves/s", reserves * 1_000_000_000 / elapsed.as_nanos());
}

/// Resident bytes per counter of TOKEN/MINUTE, each in use in its own tree's slab beside fifteen others.
fn memory() {
    const COUNTERS: u64 = 100_000;
    let engine = Engine::new();
    let limit = |owner| PathLimit { counter: key(owner, LimitType::Token, Unit::Minute), ..limit_of(owner) };
    let before = resident_bytes();
    for owner in 0..COUNTERS {
        let path = engine.bind(spec(0, vec![limit(owner)]), at(0));
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
            engine.settle(reservation, USED, at(*clock));
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
    match engine.reserve(path, ASK, now, Some(seen)) {
        Decision::Admitted(admission) => admission.reservation,
        Decision::Refused(_) | Decision::Stale => unreachable!("nothing in this benchmark is ever full"),
    }
}

fn at(call: usize) -> Now {
    let mono_ns = u64::try_from(call).unwrap_or(0) * STEP_NS;
    Now { mono_ns, wall_ms: 1_780_000_000_000 + mono_ns / 1_000_000 }
}

fn bind(engine: &Engine, root: u64) -> Arc<Path> {
    engine.bind(spec(root, limits(root)), at(0))
}

/// With a budget and a limit on tokens of the whole workspace.
fn bind_sharing(engine: &Engine, root: u64) -> Arc<Path> {
    let shared = vec![line_limit(0), line_limit(1)];
    engine.bind(PathSpec { shared, ..spec(root, limits(root)) }, at(0))
}

fn spec(root: u64, limits: Vec<PathLimit>) -> PathSpec {
    let (root, shown, shared) = (GroupId(root), Shown::Own, Vec::new());
    PathSpec { root, workspace: WORKSPACE, epoch: Epoch::default(), shown, limits, shared }
}

fn limits(root: u64) -> Vec<PathLimit> {
    let limits = (0..LEVELS).flat_map(|level| {
        let owner = root * LEVELS + level;
        let scope = if level == 0 { CounterScope::Group } else { CounterScope::Ancestor };
        WINDOWS.map(|(kind, unit)| PathLimit { counter: key(owner, kind, unit), scope, ..limit_of(owner) })
    });
    limits.collect()
}

/// A line of the workspace, on dollars or on tokens in turn.
fn line_limit(nth: u64) -> PathLimit {
    let line = LineId::from_bytes((u128::from(nth) + 1).to_le_bytes());
    let meter = if nth.is_multiple_of(2) { Meter::Usd } else { Meter::Tokens };
    let reset: ResetDuration = "1M".parse().unwrap_or_else(|_| unreachable!("a duration"));
    let config = ConfigId::from_bytes([0; 16]);
    let cycle = Cycle::Months(1);
    let source = Source::Config(Arc::new(ConfigLine { config, line, meter, reset, cycle }));
    let counter = CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) };
    PathLimit { counter, source, scope: CounterScope::SharedConfig, ..limit_of(0) }
}

/// A limit that is never reached.
fn limit_of(owner: u64) -> PathLimit {
    PathLimit {
        counter: key(owner, LimitType::Request, Unit::Minute),
        threshold: 1 << 60,
        source: Source::Group(GroupId(owner)),
        scope: CounterScope::Group,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    }
}

fn key(owner: u64, kind: LimitType, unit: Unit) -> CounterKey {
    static SLUG: LazyLock<Slug> =
        LazyLock::new(|| "acme/chat".parse().unwrap_or_else(|_| unreachable!("a slug")));
    CounterKey { owner: Owner::Model(GroupId(owner), SLUG.clone()), measure: Measure::Use(kind, unit) }
}
