//! The journal's own thread: it makes segments ahead of need, brings what was appended to the disk, and deletes what
//! nobody needs any more.
//!
//! A segment goes when everything in it is in the ledger and its last record is older than the longest rolling window: a
//! start reads the last minute's charges from there. Calls that run longer are written down again in the current
//! segment. Where all segments together come to their bound, the oldest go without waiting for the minute.
//!
//! Guarantees: it rests while nothing is appended. Nothing is deleted while somebody copies the journal.
//! Begins at [`Keeper::run`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::lane::{Full, Kept, Lane, Pin, Spare};
use super::segment::Segment;
use super::{Common, JournalOptions, KEPT_FOR_NS, Sync};

/// Pause before the disk is asked again for what it refused.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// A segment of a former process, read when this one began.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

pub(super) struct Keeper {
    common: Arc<Common>,
    leftovers: Vec<Leftover>,
    /// Until then the leftovers are kept, on the clock of rolling windows.
    leftovers_until_ns: u64,
    /// Room to put in what is dirty.
    dirty: Vec<Pin>,
    has_warned: Warned,
}

/// What was said already, so that it is said once.
#[derive(Default)]
struct Warned {
    of_bound: AtomicBool,
    of_disk: AtomicBool,
    of_sync: AtomicBool,
}

/// Whether something could not be done and is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Done,
    Again,
}

impl Keeper {
    pub(super) fn new(common: Arc<Common>, leftovers: Vec<Leftover>, opened_ns: u64) -> Self {
        let leftovers_until_ns = opened_ns.saturating_add(KEPT_FOR_NS);
        Self { common, leftovers, leftovers_until_ns, dirty: Vec::new(), has_warned: Warned::default() }
    }

    /// Works until the journal is closed.
    pub(super) fn run(mut self) {
        while !self.common.is_closed() {
            if !self.common.lanes().iter().any(|lane| lane.was_stirred()) {
                thread::park();
                continue;
            }
            if let Sync::Interval(interval) = self.options().sync {
                thread::park_timeout(interval);
            }
            if self.pass() == Pass::Again {
                thread::park_timeout(RETRY_WAIT);
            }
        }
        // Nobody syncs what comes now. It goes to the ledger, or is read from the journal at the next start.
        for lane in self.common.lanes() {
            lane.leave_alone();
            self.sync(&lane);
            lane.was_synced(u64::MAX);
        }
    }

    fn pass(&mut self) -> Pass {
        let lanes = self.common.lanes();
        let mut pass = Pass::Done;
        for lane in &lanes {
            if self.sync(lane) == Pass::Again || self.provide(lane) == Pass::Again {
                pass = Pass::Again;
            }
        }
        let latest_ns = lanes.iter().map(|lane| lane.latest_ns()).max().unwrap_or(0);
        self.tidy(&lanes, latest_ns);
        pass
    }

    /// Writes what has gathered, and brings to the disk what was written.
    fn sync(&mut self, lane: &Lane) -> Pass {
        let (position, gathered) = lane.take_dirty(&mut self.dirty);
        if let Err(error) = self.dirty.iter().try_for_each(|segment| segment.sync()) {
            if !self.has_warned.of_sync.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "the journal cannot be brought to the disk; it goes on in another segment, if one can be made");
            }
            lane.was_not_synced(&mut self.dirty);
            return Pass::Again;
        }
        self.has_warned.of_sync.store(false, Ordering::Relaxed);
        self.dirty.clear();
        lane.was_synced(position);
        match gathered {
            Ok(()) => Pass::Done,
            Err(Full) => {
                lane.stir_again();
                Pass::Again
            }
        }
    }

    /// Makes the segment after the current one.
    fn provide(&mut self, lane: &Lane) -> Pass {
        while lane.wants_spare() {
            if !self.has_room() {
                // What is in the way are calls that are not in the ledger yet.
                lane.stir_again();
                return Pass::Again;
            }
            match self.common.make_segment(lane.index) {
                Ok(spare) => {
                    lane.give_spare(spare);
                    self.has_warned.of_disk.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    if !self.has_warned.of_disk.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "no segment of the journal can be made; calls are refused when the last is full");
                    }
                    lane.stir_again();
                    return Pass::Again;
                }
            }
        }
        Pass::Done
    }

    /// Whether one more segment stays within the bound; the oldest that nobody needs go for it.
    fn has_room(&mut self) -> bool {
        if self.common.has_room() {
            return true;
        }
        if !self.has_warned.of_bound.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the journal has come to its bound; a restart may forget charges of the last minute"
            );
        }
        self.drop_leftovers();
        for lane in self.common.lanes() {
            lane.carry_forward(u64::MAX);
            while !self.common.has_room() && self.retire(&lane, u64::MAX) {}
        }
        self.common.has_room()
    }

    /// Deletes what is old enough and needed by nobody.
    fn tidy(&mut self, lanes: &[Arc<Lane>], latest_ns: u64) {
        if latest_ns >= self.leftovers_until_ns {
            self.drop_leftovers();
        }
        let before_ns = latest_ns.saturating_sub(KEPT_FOR_NS);
        for lane in lanes {
            lane.carry_forward(before_ns);
            while self.retire(lane, before_ns) {}
        }
    }

    fn retire(&self, lane: &Lane, before_ns: u64) -> bool {
        if self.common.holds.is_held() {
            return false;
        }
        let Some(Kept { segment, len, .. }) = lane.retire(before_ns) else { return false };
        segment.remove();
        self.common.gave_up(len);
        true
    }

    fn drop_leftovers(&mut self) {
        if self.common.holds.is_held() {
            return;
        }
        for Leftover { path, len } in self.leftovers.drain(..) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, file = %path.display(), "a segment of the journal cannot be deleted");
            }
            self.common.gave_up(len);
        }
    }

    fn options(&self) -> &JournalOptions {
        &self.common.options
    }
}

impl Common {
    /// A new segment for a lane, counted in.
    pub(super) fn make_segment(&self, lane: u32) -> std::io::Result<Spare> {
        let (number, len) = (self.next_number(), self.options.segment_len);
        let segment = Segment::create(&self.folder, (lane, number, self.options.boot_id), len)?;
        self.took(len);
        Ok(Spare { segment: Arc::new(segment), len })
    }
}
