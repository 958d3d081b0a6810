//! What a call costs in the journal: `cargo run --release -p storage --example journal_cost`.
//!
//! One thread admits and settles calls, with the keeper bringing segments to the disk beside it, and once with a keeper
//! that rests; each time with so many calls ready in a turn of the worker, whose records become one write. What is told is
//! the time of this thread on a processor, by the kernel, sending the entry to the ledger included.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use domain::{Entry, GroupId, Now, Outcome, RequestId, Terms, Usage, UsageSource, Usd, WorkspaceId};
use storage::{Admission, DecisionBounds, JournalOptions, MasterKey, Options, Recorder, Store, Sync};

const CALLS: u32 = 200_000;
/// So many are recorded before the ledger is waited for.
const FLUSHED: u32 = 20_000;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    for (name, interval) in [("at rest", 3_600_000), ("every 10 ms", 10)] {
        for ready in [1, 8] {
            let sync = Sync::Interval(Duration::from_millis(interval));
            println!("keeper {name}, {ready} calls a turn: {} ns for a call", measure(sync, ready)?);
        }
    }
    Ok(())
}

/// Nanoseconds of the worker for one call, of which `ready` have their turn at once.
fn measure(sync: Sync, ready: u32) -> Result<u64, Box<dyn Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let store = Store::open(Options {
        dir: dir.path().to_owned(),
        master_key: MasterKey::from_bytes([7; 32]),
        engine: Arc::new(limits::Engine::new()),
        now: Now::default(),
        decisions: DecisionBounds { in_memory: 0, on_disk: 0 },
        journal: JournalOptions { sync, segment_len: 256 * 1024 * 1024, ..JournalOptions::default() },
    })?;
    let recorder = store.recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let terms = terms()?;
    let mut spent = 0;
    for flush in 0..CALLS / FLUSHED {
        let before = thread_ns()?;
        for turn in 0..FLUSHED / ready {
            let first = flush * FLUSHED + turn * ready;
            let calls: Vec<_> = (first..first + ready).map(|n| entry(n, &terms)).collect();
            runtime.block_on(turn_of(&recorder, calls))?;
        }
        spent += thread_ns()? - before;
        runtime.block_on(store.flush());
    }
    store.close();
    Ok(spent / u64::from(CALLS))
}

/// Admits calls in one turn and settles them in the next.
async fn turn_of(recorder: &Recorder, calls: Vec<Entry>) -> Result<(), Box<dyn Error>> {
    let mut pending = Vec::with_capacity(calls.len());
    for call in &calls {
        let permit = recorder.permit().ok_or("the ledger is full")?;
        pending.push(recorder.admit(permit, &admission(call))?);
    }
    for call in &pending {
        call.written().await?;
    }
    let ended: Vec<_> = pending.into_iter().zip(calls).map(|(call, entry)| call.settle(entry)).collect();
    for end in ended {
        end.wait().await;
    }
    Ok(())
}

/// The time that this thread had a processor, by the kernel (`schedstat`).
fn thread_ns() -> Result<u64, Box<dyn Error>> {
    let told = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(told.split(' ').next().ok_or("no time")?.parse()?)
}

fn terms() -> Result<Arc<Terms>, Box<dyn Error>> {
    Ok(Arc::new(Terms {
        workspace: WorkspaceId(1),
        groups: [1, 2, 3, 4, 5].map(GroupId).into(),
        external_entity_id: "cust_42".into(),
        slug: "acme/m1".parse().map_err(|_| "a slug")?,
        provider: "OPENAI_COMPATIBLE".into(),
        upstream_model: "llama".into(),
        price: None,
        lines: [].into(),
    }))
}

fn entry(n: u32, terms: &Arc<Terms>) -> Entry {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    let now = Now { mono_ns: u64::from(n), wall_ms: 1_800_000_000_000 };
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

fn admission(call: &Entry) -> Admission<'_> {
    Admission {
        request_id: call.request_id,
        admitted: call.admitted,
        terms: &call.terms,
        key_prefix: &call.key_prefix,
        route: &call.route,
        user: None,
        metadata: None,
        input: 1_000,
        output: 4_096,
        held: 5_096,
        is_priced: true,
    }
}
