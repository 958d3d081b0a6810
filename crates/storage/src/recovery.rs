//! What a start does with the journal of the process before it: writes into the ledger what had not come there.
//!
//! Calls whose end is known come first; then those that were under way, each taken for all that it could have used,
//! since nobody knows better. An entry that is in the ledger already changes nothing, so a start that is cut short is
//! made up for by the next. What is so old that retention took it out of the ledger was there, and is not written again: a
//! gateway with few calls may keep a segment for longer than the ledger keeps what it says.
//!
//! Guarantees: a segment is deleted only after everything in it is in the ledger. What charged rolling windows in the last
//! minute is kept, in the files for a start that follows soon, and in memory for this one.
//! Knows nothing of: how records look, SQL.
//! Begins at [`run`].

use std::path::Path;

use domain::{Entry, Now};

use crate::embedded::Books;
use crate::error::OpenError;
use crate::journal::{BootId, End, Ended, Files, Found, Join, KEPT_FOR_NS};
use crate::recent::{Gathering, RecentCharges};

/// Entries in one transaction.
const BATCH_MAX: usize = 1_000;

/// What a start goes on with.
pub(crate) struct Recovered {
    pub(crate) files: Files,
    pub(crate) recent: RecentCharges,
    /// The latest time of settlement that was found, in milliseconds since 1970 UTC.
    pub(crate) latest_ms: u64,
}

/// What is found on the way.
struct Reading<'a> {
    books: &'a mut Books,
    batch: Vec<Entry>,
    recent: Gathering,
    now: Now,
    boot: BootId,
    latest_ms: u64,
    /// What is of this time and before may have been taken out of the ledger.
    pruned_ms: Option<u64>,
    /// Entries that the ledger did not have.
    fresh: u64,
}

/// Takes up what is there, for a process that begins at this time after this start of the machine.
pub(crate) fn run(dir: &Path, books: &mut Books, (now, boot): (Now, BootId)) -> Result<Recovered, OpenError> {
    let (mut files, found) = Files::find(dir)?;
    let recent = Gathering::new(now, boot);
    let pruned_ms = books.pruned_ms().map_err(OpenError::database("reading the ledger"))?;
    let mut reading =
        Reading { books, batch: Vec::new(), recent, now, boot, latest_ms: 0, pruned_ms, fresh: 0 };
    let mut open = Vec::new();
    let mut ages = Vec::with_capacity(found.len());
    for lane in found.chunk_by(|one, next| one.lane() == next.lane()) {
        let mut join = Join::default();
        for segment in lane {
            ages.push(reading.read(&mut join, segment)?);
        }
        open.extend(join.open());
    }
    reading.write()?;
    let ended = reading.fresh;
    for call in open {
        // An earlier start took it up, and that is so long ago that it is gone again.
        if !reading.was_pruned(call.admitted_ms()) {
            reading.take(call.recovered(now))?;
        }
    }
    reading.write()?;
    tell(ended, reading.fresh - ended);
    for (segment, age_ns) in found.into_iter().zip(ages) {
        if age_ns < KEPT_FOR_NS { files.keep(segment) } else { segment.delete()? }
    }
    Ok(Recovered { files, recent: reading.recent.finish(), latest_ms: reading.latest_ms })
}

/// What the operator should know: of a call that was taken up before nothing is said again.
fn tell(ended: u64, recovered: u64) {
    if ended > 0 {
        tracing::info!(calls = ended, "calls that had ended were taken from the journal into the ledger");
    }
    if recovered > 0 {
        tracing::warn!(
            calls = recovered,
            "calls were under way when the gateway ended; they are charged with all they could have used"
        );
    }
}

impl Reading<'_> {
    /// Reads a segment, and answers how long ago its last record was written.
    fn read(&mut self, join: &mut Join, segment: &Found) -> Result<u64, OpenError> {
        let bytes = segment.read()?;
        let (boot, _) = segment.key();
        let mut result = Ok(());
        let (end, latest) = join.read(segment.key(), &bytes, |ended| {
            if result.is_ok() {
                result = self.take(ended);
            }
        });
        result?;
        if end == End::Torn {
            segment.warn_torn();
        }
        Ok(latest.map_or(u64::MAX, |latest| self.age_ns(latest, boot)))
    }

    fn take(&mut self, ended: Ended) -> Result<(), OpenError> {
        self.recent.add(&ended);
        self.latest_ms = self.latest_ms.max(ended.entry.settled.wall_ms);
        if self.was_pruned(ended.entry.settled.wall_ms) {
            return Ok(());
        }
        self.batch.push(ended.entry);
        if self.batch.len() >= BATCH_MAX { self.write() } else { Ok(()) }
    }

    /// Retention is days behind: what it has come to was written long ago.
    fn was_pruned(&self, wall_ms: u64) -> bool {
        self.pruned_ms.is_some_and(|pruned_ms| wall_ms <= pruned_ms)
    }

    fn write(&mut self) -> Result<(), OpenError> {
        let written = self.books.write_entries(&self.batch);
        self.batch.clear();
        self.fresh +=
            written.map_err(OpenError::database("writing into the ledger what the journal says"))?;
        Ok(())
    }

    fn age_ns(&self, then: Now, boot: BootId) -> u64 {
        if boot == self.boot {
            self.now.mono_ns.saturating_sub(then.mono_ns)
        } else {
            self.now.wall_ms.saturating_sub(then.wall_ms).saturating_mul(1_000_000)
        }
    }
}
