//! What is held in memory against the disk, while calls run.
//!
//! A counter and the ledger are never read at one moment. So a counter is read, the ledger written and read, and the
//! counter read again: if it did not change, both were looked at together. What differs then differs only for good if no
//! call was under way either; a counter that is never quiet is left out, and said to be.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Now, Snapshot, Version};
use rusqlite::Connection;

use super::Audit;
use super::subject::{Subject, Verdict, batches};
use crate::embedded;
use crate::error::Unavailable;
use crate::store::Store;

/// Counters that are kept to be looked at again. Further ones are left out.
const AGAIN_MAX: usize = 4_096;
/// How often they are.
const LOOKS_MAX: u32 = 20;
/// How long calls may go on between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What an audit has to know of the gateway that runs.
#[derive(Clone)]
pub struct Watch {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Calls that were admitted and have not been settled.
    pub in_flight: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The configuration that the gateway was started with. Of calls that were under way when a later one declared a
    /// DAY limit, that limit knows nothing, though they are its owner's.
    pub started_at: Version,
}

/// Compares every DAY counter and every line with the disk.
pub(super) async fn compare(store: &Store, watch: &Watch, audit: &mut Audit) -> Result<(), Unavailable> {
    let snapshot = store.snapshot();
    let mut reader = embedded::open_reader(store.dir()).map_err(|_| Unavailable)?;
    let mut again = Vec::new();
    for batch in batches(&snapshot) {
        // Whatever else runs on this thread goes on, also where a million groups have no such limit.
        tokio::task::yield_now().await;
        if batch.is_empty() {
            continue;
        }
        let left;
        (reader, left) = look(store, watch, &snapshot, (reader, batch), audit).await?;
        keep(&mut again, left, audit);
    }
    for _ in 0..LOOKS_MAX {
        if again.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        (reader, again) = look(store, watch, &snapshot, (reader, again), audit).await?;
    }
    for subject in again {
        audit.skip(|| format!("{}: calls were under way all the time", subject.name()));
    }
    Ok(())
}

fn keep(again: &mut Vec<Subject>, left: Vec<Subject>, audit: &mut Audit) {
    for subject in left {
        if again.len() < AGAIN_MAX {
            again.push(subject);
        } else {
            audit.skip(|| format!("{}: too many counters are busy", subject.name()));
        }
    }
}

/// Looks at all of these once. Answers those that have to be looked at again.
async fn look(
    store: &Store,
    watch: &Watch,
    snapshot: &Snapshot,
    (reader, batch): (Connection, Vec<Subject>),
    audit: &mut Audit,
) -> Result<(Connection, Vec<Subject>), Unavailable> {
    let now = watch.clock.now();
    let quiet = || (watch.in_flight)() == 0;
    let was_quiet = quiet();
    let version = store.snapshot().version();
    let before: Vec<_> = batch.iter().map(|subject| subject.held(store, now)).collect();
    store.flush().await;
    let (reader, batch, disk) = read(store, reader, batch, now).await?;
    let mut left = Vec::new();
    for ((mut subject, before), disk) in batch.into_iter().zip(before).zip(disk) {
        let after = subject.held(store, now);
        let stands = before == after && store.snapshot().version() == version;
        let is_proof = stands && after.pending == 0 && was_quiet && quiet();
        match subject.verdict(watch, after, disk, (stands, is_proof)) {
            Verdict::Same => audit.compared = audit.compared.saturating_add(1),
            Verdict::Unclear(why) => audit.skip(|| why),
            Verdict::Again => left.push(subject),
            Verdict::Differs if version != snapshot.version() => {
                audit.skip(|| format!("{}: the configuration was edited meanwhile", subject.name()));
            }
            Verdict::Differs => subject.tell(after, disk, audit),
        }
    }
    Ok((reader, left))
}

/// What the disk says of each, on a thread that may wait for it.
async fn read(
    store: &Store,
    reader: Connection,
    batch: Vec<Subject>,
    now: Now,
) -> Result<(Connection, Vec<Subject>, Vec<u64>), Unavailable> {
    let engine = Arc::clone(store.engine());
    let read = tokio::task::spawn_blocking(move || {
        let present = |subject: &Subject| subject.home.map_or(now, |home| engine.present(home, now));
        let disk = batch.iter().map(|subject| subject.on_disk(&reader, present(subject)));
        let disk = disk.collect::<rusqlite::Result<Vec<_>>>();
        disk.map(|disk| (reader, batch, disk))
    });
    read.await.map_err(|_| Unavailable)?.map_err(|error| {
        tracing::error!(%error, "the store cannot be read");
        Unavailable
    })
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}
