//! What an entry costs the thread that writes the ledger: `cargo run --release -p storage --example ledger_cost`.
//!
//! Entries are recorded as fast as batches of a gateway with 30 000 calls per second come, once all of one caller and once
//! of many callers, each in a tree of its own, in a store that knows many groups already. What is told is the time on a
//! processor of the thread `committer`, by the kernel, so that others on the machine do not matter.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use domain::{Entry, GroupId, Now, Outcome, RequestId, Terms, Usage, UsageSource, Usd, WorkspaceId};
use storage::{DecisionBounds, JournalOptions, MasterKey, Options, Store};

/// Entries of one measurement, and how many of them come at once.
const ENTRIES: u32 = 300_000;
const BURST: u32 = 1_500;
/// How long after them the next come.
const PAUSE: Duration = Duration::from_millis(50);
/// Callers that have called before, so that their rows are there among those of others.
const KNOWN: u32 = 20_000;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    for callers in [1, 2_000] {
        println!("{callers} callers: {} ns for an entry", measure(callers)?);
    }
    Ok(())
}

/// Nanoseconds of the committer for one entry.
fn measure(callers: u32) -> Result<u64, Box<dyn Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let store = Store::open(Options {
        dir: dir.path().to_owned(),
        master_key: MasterKey::from_bytes([7; 32]),
        engine: Arc::new(limits::Engine::new()),
        now: Now::default(),
        decisions: DecisionBounds { in_memory: 0, on_disk: 0 },
        journal: JournalOptions::default(),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for n in 0..KNOWN {
        record(&store, entry(n, &terms(n)?))?;
        if n % BURST == 0 {
            runtime.block_on(store.flush());
        }
    }
    runtime.block_on(store.flush());
    // Those who call lie anywhere among those who are known.
    let terms: Vec<_> =
        (0..callers).map(|n| terms(n * (KNOWN / callers.max(1)))).collect::<Result<_, _>>()?;
    let before = committer_ns()?;
    for n in 0..ENTRIES {
        let at = usize::try_from(n % callers)?;
        record(&store, entry(KNOWN + n, &terms[at]))?;
        if n % BURST == BURST - 1 {
            std::thread::sleep(PAUSE);
        }
    }
    runtime.block_on(store.flush());
    let spent = committer_ns()? - before;
    store.close();
    Ok(spent / u64::from(ENTRIES))
}

/// The time that the thread of this name had a processor, by the kernel (`schedstat`).
fn committer_ns() -> Result<u64, Box<dyn Error>> {
    let mut spent = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == "committer" {
            let told = fs::read_to_string(task.join("schedstat"))?;
            spent += told.split(' ').next().ok_or("no time")?.parse::<u64>()?;
        }
    }
    Ok(spent)
}

fn record(store: &Store, entry: Entry) -> Result<(), Box<dyn Error>> {
    store.permit().ok_or("the ledger is full")?.record(entry);
    Ok(())
}

/// Those of a caller in a tree of five levels.
fn terms(caller: u32) -> Result<Arc<Terms>, Box<dyn Error>> {
    // Ids are random numbers, so neighbours lie far apart.
    let group = |level: u64| {
        GroupId((u64::from(caller) * 8 + level).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17))
    };
    Ok(Arc::new(Terms {
        workspace: WorkspaceId(1),
        groups: [1, 2, 3, 4, 5].map(group).into(),
        external_entity_id: format!("cust_{caller}").into(),
        slug: "acme/m1".parse().map_err(|_| "a slug")?,
        provider: "OPENAI_COMPATIBLE".into(),
        upstream_model: "llama".into(),
        price: None,
        lines: [].into(),
    }))
}

fn entry(n: u32, terms: &Arc<Terms>) -> Entry {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.wrapping_mul(0x9E37_79B9).to_be_bytes());
    // Thirty calls of a millisecond, in any order.
    let now = Now { mono_ns: u64::from(n), wall_ms: 1_800_000_000_000 + u64::from(n) / 30 };
    Entry {
        request_id: RequestId::new(now.wall_ms, random),
        admitted: now,
        settled: now,
        terms: Arc::clone(terms),
        key_prefix: "sky_abcdefghijkl".into(),
        route: "/v1/chat/completions".into(),
        attempts: 1,
        usage: Usage {
            input: 1_000,
            output: 300,
            cached: 0,
            cache_written: 0,
            source: UsageSource::Reported,
        },
        late: Box::default(),
        outcome: Outcome::Completed,
        upstream_status: Some(200),
        first_byte_ms: Some(120),
        metadata: None,
        user: None,
        cost: Some(Usd(1_000)),
    }
}
