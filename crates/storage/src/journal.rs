//! The journal: every admitted call is in it before it goes upstream, and how it ended before its caller has the last
//! byte.
//!
//! A worker appends to a lane of its own, into the page cache: what the process wrote is there however it ends. The
//! keeper brings it to the disk soon after. The committer takes entries from memory, not from here; here a start finds
//! what had not come to it, and the charges of the last minute.
//!
//! Guarantees: appending allocates nothing in the long run and waits for no disk; a call is admitted only where there is
//! room for its end; all segments together stay within a bound.
//! Knows nothing of: SQL, limits.
//! Begins at [`Recorder`] for those who write, and at [`Join`] for who reads.

mod codec;
mod dictionary;
mod files;
mod frame;
mod inspect;
mod join;
mod keeper;
mod lane;
mod late;
mod record;
mod recorder;
mod segment;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use self::files::{Files, Found};
pub use self::inspect::{SegmentSummary, read_segment};
pub(crate) use self::join::{End, Ended, Join};
use self::keeper::Keeper;
pub use self::lane::Full;
use self::lane::Lane;
pub(crate) use self::lane::Pin;
pub use self::record::Admission;
pub use self::recorder::{Pending, Recorder, Synced, Written};
pub use self::segment::BootId;
use crate::backup::JournalHolds;
use crate::error::OpenError;

/// Lanes there may be; further workers share them.
const LANES_MAX: usize = 256;
/// Segments that each lane finds room for: the current one, the spare one, one that is not yet in the ledger, and one of
/// the process before. Where the bound has no room for as many, there are fewer lanes: one without a spare segment could
/// never go on, and its workers would refuse every call.
const LANE_SEGMENTS: u64 = 4;
/// The shortest segment: room for some hundred calls.
const SEGMENT_LEN_MIN: u64 = 64 * 1024;
/// So long what was charged is kept for rolling windows: a minute, and a little for clocks that are read late.
pub(crate) const KEPT_FOR_NS: u64 = 65_000_000_000;

/// How the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// When it is brought to the disk.
    pub sync: Sync,
    /// Bytes of a segment; at least 64 KiB.
    pub segment_len: u64,
    /// Bytes of all segments together. Where calls that are not in the ledger need more, no further ones are admitted.
    pub bytes_max: u64,
    /// Which start of the machine this is: rolling windows go on as they were if it is the same.
    pub boot_id: BootId,
}

/// When the journal is brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// So long after something was written: a loss of power may lose as much.
    Interval(Duration),
    /// At once, and the last byte of an answer waits for it.
    Always,
}

/// How full the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalUse {
    /// Bytes that its segments take on the disk.
    pub bytes: u64,
    /// Segments of this process.
    pub segments: usize,
    /// Bytes that were written and are not on the disk yet.
    pub unsynced_bytes: u64,
    /// Calls that have ended and are not in the ledger yet.
    pub unwritten_entries: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            sync: Sync::Interval(Duration::from_millis(10)),
            segment_len: 16 * 1024 * 1024,
            bytes_max: 2 * 1024 * 1024 * 1024,
            boot_id: [0; 16],
        }
    }
}

impl JournalOptions {
    /// Lanes that have room side by side.
    fn lanes_max(&self) -> usize {
        let fit = self.bytes_max / self.segment_len.saturating_mul(LANE_SEGMENTS).max(1);
        usize::try_from(fit).unwrap_or(LANES_MAX).clamp(1, LANES_MAX)
    }
}

/// What lanes and keeper share.
struct Common {
    folder: PathBuf,
    options: JournalOptions,
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// Whether somebody copies the segments.
    holds: JournalHolds,
    next_number: AtomicU64,
    bytes: AtomicU64,
    is_closed: AtomicBool,
}

/// The journal of an open store.
pub(crate) struct Journal {
    common: Arc<Common>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    thread: thread::Thread,
    /// Recorders given out.
    given: AtomicU64,
}

impl Journal {
    /// Starts the journal beside what a former process left.
    pub(crate) fn start(
        files: Files,
        mut options: JournalOptions,
        (holds, opened_ns): (JournalHolds, u64),
    ) -> Result<Self, OpenError> {
        options.segment_len = options.segment_len.max(SEGMENT_LEN_MIN);
        let Files { folder, leftovers, last_number } = files;
        let common = Arc::new(Common {
            options,
            holds,
            lanes: Mutex::default(),
            next_number: AtomicU64::new(last_number.saturating_add(1)),
            bytes: AtomicU64::new(leftovers.iter().map(|leftover| leftover.len).sum()),
            is_closed: AtomicBool::new(false),
            folder: folder.clone(),
        });
        let keeper = Keeper::new(Arc::clone(&common), leftovers, opened_ns);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || keeper.run());
        let keeper = thread.map_err(OpenError::io("starting the keeper of", &folder))?;
        let thread = keeper.thread().clone();
        Ok(Self { common, keeper: Mutex::new(Some(keeper)), thread, given: AtomicU64::new(0) })
    }

    /// A lane: a new one, as long as there are not too many.
    fn lane(&self) -> Arc<Lane> {
        let mut lanes = self.common.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        let shared = usize::try_from(given).unwrap_or(0) % self.common.options.lanes_max();
        if let Some(lane) = lanes.get(shared) {
            return Arc::clone(lane);
        }
        let index = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
        let lane = Arc::new(Lane::new(index, self.thread.clone()));
        // The first segment is there before the first call, or the keeper goes on trying.
        if self.common.has_room() {
            match self.common.make_segment(index) {
                Ok(first) => lane.give_spare(first),
                Err(error) => {
                    tracing::error!(%error, "no segment of the journal can be made; calls are refused");
                }
            }
        }
        lanes.push(Arc::clone(&lane));
        self.thread.unpark();
        lane
    }

    /// Whether the last byte of an answer waits for the disk.
    fn waits(&self) -> bool {
        self.common.options.sync == Sync::Always
    }

    /// How full it is, but for what waits for the ledger.
    pub(crate) fn usage(&self) -> JournalUse {
        let mut usage =
            JournalUse { bytes: self.common.bytes.load(Ordering::Relaxed), ..JournalUse::default() };
        for lane in self.common.lanes() {
            let (written, synced) = lane.progress();
            usage.unsynced_bytes = usage.unsynced_bytes.saturating_add(written.saturating_sub(synced));
            usage.segments += lane.segments();
        }
        usage
    }

    /// Brings everything to the disk and ends the keeper.
    pub(crate) fn close(&self) {
        self.common.is_closed.store(true, Ordering::Release);
        self.thread.unpark();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if keeper.is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the keeper of the journal ended by a fault");
        }
    }
}

#[cfg(test)]
mod tests;

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Common {
    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether one more segment stays within the bound.
    fn has_room(&self) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        bytes.saturating_add(self.options.segment_len) <= self.options.bytes_max
    }

    fn took(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn gave_up(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
