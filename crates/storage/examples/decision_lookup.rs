//! What looking up a decision costs: `cargo run --release -p storage --example decision_lookup`. Prints how long it takes
//! to keep decisions, and to find the oldest refusal, and one that is not there, in as much as may be on disk by default.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Admission, GroupId, LimitType, Now, RequestId, Unit, Version, WorkspaceId};
use limits::{
    CounterKey, CounterScope, Fit, LimitState, Measure, Owner, PathLimit, Reading, Size, Source, Verdict,
};
use storage::{DecisionBounds, DecisionFacts, DecisionOutcome, JournalOptions, MasterKey, Options, Store};

/// Bytes on disk, as by default.
const ON_DISK: u64 = 64 << 20;
/// Refusals by this many keys, so that none is throttled.
const KEYS: u64 = 9_000;
/// Refusals that surely fill the room.
const REFUSALS: u64 = 120_000;
/// Handed over at once, then waited for: the queue is not what is measured.
const BATCH: u64 = 500;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let decisions = DecisionBounds { in_memory: 10_000, on_disk: ON_DISK };
    let options = Options {
        dir: dir.path().to_owned(),
        master_key: MasterKey::from_bytes([7; 32]),
        engine: Arc::new(limits::Engine::new()),
        now: Now::default(),
        decisions,
        journal: JournalOptions::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = Store::open(options)?;
    let find = |nth| runtime.block_on(store.decisions().find(id(nth), WorkspaceId(1)));
    let limits: Arc<[PathLimit]> = (0..5).map(limit).collect();
    let refused = DecisionOutcome::Refused { binding: 4, verdict: Verdict::NeverFits };
    for nth in 0..REFUSALS {
        let key_prefix = format!("sky_{:012}", nth % KEYS).into();
        record(&store, DecisionFacts { key_prefix, ..facts(nth, &limits, refused) });
        if nth % BATCH == BATCH - 1 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let admitted = facts(0, &limits, DecisionOutcome::Admitted);
    for nth in 0..100_000 {
        record(&store, DecisionFacts { request_id: id(REFUSALS + nth), ..admitted.clone() });
    }
    println!("keeping an admitted call, 5 limits: {} ns", began.elapsed().as_nanos() / 100_000);
    let (mut low, mut high) = (0, REFUSALS);
    while low < high {
        let middle = low + (high - low) / 2;
        if find(middle)?.is_some() { high = middle } else { low = middle + 1 }
    }
    let bytes = std::fs::read_dir(dir.path().join("decisions"))?
        .try_fold(0, |sum, segment| Ok::<_, std::io::Error>(sum + segment?.metadata()?.len()))?;
    println!("refusals on disk: {} in {bytes} bytes", REFUSALS - low);
    for (what, nth) in
        [("the oldest on disk", low), ("none", u64::MAX), ("the last in memory", REFUSALS + 99_999)]
    {
        let began = Instant::now();
        let is_found = find(nth)?.is_some();
        println!("finding {what}: {} us (found: {is_found})", began.elapsed().as_micros());
    }
    store.close();
    Ok(())
}

fn id(nth: u64) -> RequestId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&nth.to_be_bytes());
    RequestId::new(1_000, random)
}

fn record(store: &Store, facts: DecisionFacts) {
    store.decisions().record(facts, &[state(); 5]);
}

fn facts(nth: u64, limits: &Arc<[PathLimit]>, outcome: DecisionOutcome) -> DecisionFacts {
    DecisionFacts {
        request_id: id(nth),
        at: Now { mono_ns: nth * 1_000_000, wall_ms: 1_778_673_600_000 + nth },
        workspace: WorkspaceId(1),
        group: GroupId(2),
        key_prefix: "sky_012345678901".into(),
        model: "acme/chat".into(),
        mode: Admission::Estimate,
        output_max: Some(16_384),
        asked: Size { tokens: 1_234, ..Size::ZERO },
        limits: Arc::clone(limits),
        outcome,
    }
}

fn limit(level: u64) -> PathLimit {
    let owner = GroupId(2_u64.pow(60) + level);
    let counter = CounterKey {
        owner: Owner::Model(owner, "acme/chat".parse().expect("a slug")),
        measure: Measure::Use(LimitType::Token, Unit::Minute),
    };
    PathLimit {
        counter,
        threshold: 100_000,
        source: Source::Group(owner),
        scope: CounterScope::Ancestor,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    }
}

fn state() -> LimitState {
    let reading = Reading { used: 98_765, pending: 0, touched: true };
    let (restored_in, eases_in) = (Some(59_999_999_999), Some(1_234_567_890));
    LimitState { reading, remaining: 1_235, debt: 0, restored_in, eases_in, fit: Fit::After(1_234_567_890) }
}
