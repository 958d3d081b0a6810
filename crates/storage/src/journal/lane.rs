//! A lane: what one worker appends to, and what is known of its calls until they are in the ledger.
//!
//! What is appended gathers until somebody has to have it [written](Lane::write_out), at the latest until the keeper comes
//! by.
//!
//! Guarantees: for every call that was admitted there is room for its end, in this segment or in the spare one. What is
//! needed for a call, or for the minute after it, is in a segment that stays.
//! Knows nothing of: waiting for the disk, and making files: the keeper does both.
//! Begins at [`Lane::admit`]; `tail` is where records are written.

mod tail;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use domain::{Entry, Terms};
use tokio::sync::watch;

pub(super) use self::tail::{Kept, Spare};
use self::tail::{Place, Tail, What};
use super::record::{Admission, Held, LATE_LEN, PROMISE_LEN, SETTLEMENT_LEN_MAX};
use super::segment::Segment;

/// There is no room in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal has no room for another call")]
pub struct Full;

/// A segment that is needed until this is dropped: until what it says is in the ledger.
pub(crate) type Pin = Arc<Segment>;

/// A lane as the worker and the keeper share it.
pub(super) struct Lane {
    pub(super) index: u32,
    state: Mutex<State>,
    /// How many bytes of those that were ever appended are written.
    written: AtomicU64,
    /// How many bytes of those that were ever appended are on disk.
    synced: watch::Sender<u64>,
    /// Something was appended that the keeper has not heard of.
    stirred: AtomicBool,
    keeper: Thread,
}

#[derive(Default)]
struct State {
    tail: Tail,
    calls: Vec<Option<Pending>>,
    free: Vec<u32>,
    /// Bytes that are kept free for the ends of calls.
    promised: u64,
    /// The keeper comes by no more.
    is_left_alone: bool,
}

/// A call that has not ended.
struct Pending {
    admission: Place,
    terms: Arc<Terms>,
    held: Option<Held>,
    promise: u64,
}

/// Which call of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot(u32);

/// What ending a call leaves behind.
pub(super) struct Ended {
    /// None where the journal could not take it.
    pub(super) pin: Option<Pin>,
    /// It is on disk when so many bytes of the lane are.
    pub(super) position: u64,
}

impl Lane {
    pub(super) fn new(index: u32, keeper: Thread) -> Self {
        let (synced, _) = watch::channel(0);
        let (state, written) = (Mutex::default(), AtomicU64::new(0));
        Self { index, state, written, synced, stirred: AtomicBool::new(true), keeper }
    }

    /// Puts down a call before it is made, and keeps room for its end. Answers what has to be written before.
    pub(super) fn admit(&self, admission: &Admission<'_>) -> Result<(Slot, u64), Full> {
        let mut state = self.lock();
        let State { tail, promised, .. } = &mut *state;
        let promise = len(PROMISE_LEN);
        let place = tail.append(&What::Admission(admission), *promised + promise)?;
        tail.note_time(admission.admitted.mono_ns);
        *promised += promise;
        let pending = Pending { admission: place, terms: Arc::clone(admission.terms), held: None, promise };
        let (slot, position) = (state.keep(pending), state.tail.position());
        drop(state);
        self.stir();
        Ok((slot, position))
    }

    /// A call holds so much output in all from now on: this is written when it answers.
    pub(super) fn hold(&self, slot: Slot, held: Held) -> Result<(), Full> {
        let mut state = self.lock();
        let State { tail, promised, calls, .. } = &mut *state;
        let Some(Some(call)) = calls.get_mut(slot.at()) else { return Err(Full) };
        // The end of a call that was topped up may be a charge longer, up to a bound.
        let more = len(LATE_LEN).min(len(SETTLEMENT_LEN_MAX).saturating_sub(call.promise));
        let request_id = call.admission.request_id;
        tail.append(&What::Hold(request_id, held), *promised + more)?;
        tail.note_time(held.mono_ns);
        *promised += more;
        call.promise += more;
        call.held = Some(held);
        self.stir();
        self.write(&mut state)
    }

    /// Puts down how a call ended.
    pub(super) fn settle(&self, slot: Slot, entry: &Entry) -> Ended {
        self.end(slot, &What::Settlement(entry), entry.settled.mono_ns)
    }

    /// Writes down that a call was never made.
    pub(super) fn cancel(&self, slot: Slot, mono_ns: u64) {
        let state = self.lock();
        let Some(Some(call)) = state.calls.get(slot.at()) else { return };
        let request_id = call.admission.request_id;
        drop(state);
        drop(self.end(slot, &What::Cancellation(request_id), mono_ns));
        // What the disk refuses is tried again.
        let _ = self.write_out();
    }

    fn end(&self, slot: Slot, what: &What<'_>, mono_ns: u64) -> Ended {
        let mut state = self.lock();
        state.bring_together(slot);
        let State { tail, promised, calls, free, .. } = &mut *state;
        let Some(call) = calls.get_mut(slot.at()).and_then(Option::take) else {
            return Ended { pin: None, position: tail.position() };
        };
        free.push(slot.0);
        *promised = promised.saturating_sub(call.promise);
        // What is promised is there, whatever else is.
        let written = tail.append(what, 0);
        tail.note_time(mono_ns);
        let position = tail.position();
        let pin = written.is_ok().then_some(call.admission.segment);
        if state.is_left_alone {
            // The next start reads it.
            let _ = self.write(&mut state);
        }
        drop(state);
        // The last to hold them may be this call: freed away from the lock.
        drop(call.terms);
        self.stir();
        Ended { pin, position }
    }

    /// Whether so many bytes are written.
    pub(super) fn is_written(&self, position: u64) -> bool {
        self.written.load(Ordering::Acquire) >= position
    }

    /// Writes what has gathered: into the page cache, where it stays however the process ends.
    ///
    /// # Errors
    /// When the disk refuses. It is tried again, and meanwhile nothing is admitted.
    pub(super) fn write_out(&self) -> Result<(), Full> {
        self.write(&mut self.lock())
    }

    fn write(&self, state: &mut State) -> Result<(), Full> {
        let written = state.tail.write_out();
        self.written.store(state.tail.written(), Ordering::Release);
        written
    }

    /// Whether a call could be admitted: said before limits are asked, so that they need not be asked in vain.
    pub(super) fn has_room(&self) -> bool {
        let state = self.lock();
        state.tail.has_room(ADMISSION_LEN_USUAL, state.promised + len(PROMISE_LEN))
    }

    /// Tells the keeper of it, once until it looks.
    fn stir(&self) {
        if !self.stirred.swap(true, Ordering::AcqRel) {
            self.keeper.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how far the lane is on disk, to whoever waits for it.
    pub(super) fn synced(&self) -> watch::Receiver<u64> {
        self.synced.subscribe()
    }
}

/// For the keeper.
impl Lane {
    /// Whether something was appended since this was last asked.
    pub(super) fn was_stirred(&self) -> bool {
        self.stirred.load(Ordering::Acquire)
    }

    /// What has to be synced for everything written so far to be on disk, and how much that is. Writes what has gathered,
    /// and answers whether that could be done.
    pub(super) fn take_dirty(&self, into: &mut Vec<Pin>) -> (u64, Result<(), Full>) {
        self.stirred.store(false, Ordering::Release);
        let mut state = self.lock();
        let gathered = self.write(&mut state);
        state.tail.take_dirty(into);
        (state.tail.written(), gathered)
    }

    /// The keeper comes by no more: what comes now is written at once.
    pub(super) fn leave_alone(&self) {
        self.lock().is_left_alone = true;
    }

    /// It is.
    pub(super) fn was_synced(&self, position: u64) {
        self.synced.send_replace(position);
    }

    /// It is not: to be tried again. The lane goes on in another segment; while none can be made, nothing is admitted.
    pub(super) fn was_not_synced(&self, dirty: &mut Vec<Pin>) {
        let mut state = self.lock();
        state.tail.put_back_dirty(dirty);
        state.tail.give_up();
        drop(state);
        self.stir_again();
    }

    /// There is more to do for it than was possible.
    pub(super) fn stir_again(&self) {
        self.stirred.store(true, Ordering::Release);
    }

    pub(super) fn wants_spare(&self) -> bool {
        self.lock().tail.wants_spare()
    }

    pub(super) fn give_spare(&self, spare: Spare) {
        self.lock().tail.give_spare(spare);
    }

    /// The latest time that was written down.
    pub(super) fn latest_ns(&self) -> u64 {
        self.lock().tail.latest_ns()
    }

    /// Takes out the oldest segment, if nothing needs it and its last record is from before `before_ns`.
    pub(super) fn retire(&self, before_ns: u64) -> Option<Kept> {
        self.lock().tail.retire(before_ns)
    }

    /// The calls that are all that keeps the oldest segment, if its last record is from before `before_ns`: they are
    /// written down again. Takes the lock for a few calls at a time.
    pub(super) fn carry_forward(&self, before_ns: u64) {
        let Some(oldest) = self.lock().tail.oldest_before(before_ns) else { return };
        let mut at = 0;
        while at < self.lock().calls.len() {
            let mut state = self.lock();
            for slot in at..at.saturating_add(CARRIED_AT_ONCE) {
                let is_there = |call: &Pending| Arc::ptr_eq(&call.admission.segment, &oldest);
                if state.calls.get(slot).and_then(Option::as_ref).is_some_and(is_there) {
                    state.carry(slot);
                }
            }
            at = at.saturating_add(CARRIED_AT_ONCE);
        }
    }

    /// Bytes that were ever appended, and how many of them are on disk.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.lock().tail.position(), *self.synced.borrow())
    }

    /// Segments of this lane, the spare one included.
    pub(super) fn segments(&self) -> usize {
        self.lock().tail.segments()
    }
}

/// What an admission takes, unless it has much to say.
const ADMISSION_LEN_USUAL: u64 = 512;
/// Calls that are carried forward under one lock.
const CARRIED_AT_ONCE: usize = 64;

impl State {
    fn keep(&mut self, call: Pending) -> Slot {
        if let Some(slot) = self.free.pop() {
            if let Some(place) = self.calls.get_mut(Slot(slot).at()) {
                *place = Some(call);
            }
            return Slot(slot);
        }
        self.calls.push(Some(call));
        // Permits bound the number of calls far below this.
        Slot(u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX))
    }

    /// Sees to it that the end of a call goes to the segment where its admission is, so that one tells all of it: the
    /// admission is written once more if need be. Where there is no room for that, two segments tell it.
    fn bring_together(&mut self, slot: Slot) {
        self.tail.roll_ahead(len(SETTLEMENT_LEN_MAX));
        let Some(Some(call)) = self.calls.get(slot.at()) else { return };
        if !self.tail.is_current(&call.admission.segment) {
            self.carry(slot.at());
        }
    }

    fn carry(&mut self, slot: usize) {
        let Self { tail, calls, promised, .. } = self;
        let Some(Some(call)) = calls.get_mut(slot) else { return };
        let what = What::Moved(&call.admission, &call.terms);
        let Ok(place) = tail.append(&what, *promised) else { return };
        if let Some(held) = call.held {
            let hold = What::Hold(call.admission.request_id, held);
            if tail.append(&hold, *promised).is_err() {
                return;
            }
        }
        call.admission = place;
    }
}

impl Slot {
    fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn len(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
