//! What a call costs in the journal: `cargo run --release -p storage --example journal_cost`.
//!
//! One thread admits and settles calls, with the keeper bringing segments to the disk beside it, and once with a keeper
//! that rests. The entries themselves are not sent to the ledger: only the journal is measured.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Entry, GroupId, Now, Outcome, RequestId, Terms, Usage, UsageSource, Usd, WorkspaceId};
use storage::{Admission, DecisionBounds, JournalOptions, MasterKey, Options, Store, Sync};

const CALLS: u32 = 200_000;
/// So many calls are in flight at once.
const IN_FLIGHT: usize = 100;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    for (name, interval) in [("at rest", 3_600_000), ("every 10 ms", 10)] {
        let sync = Sync::Interval(Duration::from_millis(interval));
        let (admitted, settled) = measure(sync)?;
        println!("keeper {name}: {admitted} ns to admit, {settled} ns to settle");
    }
    Ok(())
}

/// Nanoseconds for one admission and for one settlement, which takes in the sending of the entry: what half of them stay
/// within, since on a busy machine the mean tells of others.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn measure(sync: Sync) -> Result<(u128, u128), Box<dyn Error>> {
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
    let (mut admitting, mut settling) = (Vec::new(), Vec::new());
    let mut pending = Vec::with_capacity(IN_FLIGHT);
    for n in 0..CALLS {
        let call = entry(n, &terms);
        let permit = recorder.permit().ok_or("the ledger is full")?;
        let began = Instant::now();
        let admitted = recorder.admit(permit, &admission(&call))?;
        admitting.push(began.elapsed());
        pending.push((admitted, call));
        if pending.len() == IN_FLIGHT {
            for (call, entry) in pending.drain(..) {
                let began = Instant::now();
                drop(call.settle(entry));
                settling.push(began.elapsed());
            }
            if n % 20_000 == 19_999 {
                runtime.block_on(store.flush());
            }
        }
    }
    store.close();
    Ok((median(admitting), median(settling)))
}

fn median(mut all: Vec<Duration>) -> u128 {
    all.sort_unstable();
    all.get(all.len() / 2).map_or(0, Duration::as_nanos)
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
