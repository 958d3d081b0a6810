//! The end of a lane: the segment that is appended to, the spare one after it, and those before it that are still needed.
//!
//! Records gather in memory, so that what belongs to one turn of a worker is one write.
//!
//! Guarantees: a record is written in full or is not there; its place in its segment is its own from the beginning on. What
//! the disk refuses stays and is tried again; until it is written, or after a sync that failed until there is another
//! segment, nothing is admitted.
//! Begins at [`Tail::append`] and [`Tail::write_out`].

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;

use domain::{Entry, RequestId, Terms};

use super::Full;
use crate::journal::dictionary::Dictionary;
use crate::journal::frame::{self, FRAME_LEN};
use crate::journal::record::{
    Admission, Held, SETTLEMENT_LEN_MAX, put_admission, put_cancellation, put_hold, put_moved,
    put_settlement, put_terms,
};
use crate::journal::segment::{HEADER_LEN, Segment};

/// How often a record is put into words: for this segment, and for the next.
const TRIES_MAX: usize = 2;
/// Bytes that gather at most before they are written, whoever waits for them.
const UNWRITTEN_MAX: usize = 64 * 1024;

/// What is appended.
pub(super) enum What<'a> {
    Admission(&'a Admission<'a>),
    /// An admission of an older segment, and its terms.
    Moved(&'a Place, &'a Arc<Terms>),
    Hold(RequestId, Held),
    Settlement(&'a Entry),
    Cancellation(RequestId),
}

/// Where an admission stands.
pub(super) struct Place {
    pub(super) request_id: RequestId,
    pub(super) segment: Arc<Segment>,
    /// Of its frame.
    at: u64,
    len: usize,
}

/// A segment to go on with.
pub(in crate::journal) struct Spare {
    pub(in crate::journal) segment: Arc<Segment>,
    pub(in crate::journal) len: u64,
}

/// A segment that was gone on from.
pub(in crate::journal) struct Kept {
    pub(in crate::journal) segment: Arc<Segment>,
    pub(in crate::journal) len: u64,
    latest_ns: u64,
}

struct Current {
    segment: Arc<Segment>,
    len: u64,
    /// Where the next record goes.
    at: u64,
    is_dirty: bool,
}

#[derive(Default)]
pub(super) struct Tail {
    current: Option<Current>,
    spare: Option<Spare>,
    older: VecDeque<Kept>,
    dictionary: Dictionary,
    /// What was appended to the current segment and is not written: the bytes before its end.
    unwritten: Vec<u8>,
    /// The same of segments before it, whose end the disk refused: the segment, where in it, and what.
    stuck: VecDeque<(Arc<Segment>, u64, Vec<u8>)>,
    /// What is moved.
    moved: Vec<u8>,
    /// Written to since they were last synced.
    dirty: Vec<Arc<Segment>>,
    /// Bytes ever appended.
    position: u64,
    latest_ns: u64,
    /// What was written to the current segment could not be brought to the disk.
    is_failing: bool,
    /// What gathered could not be written.
    is_refused: bool,
}

impl Tail {
    /// Appends a record, if so many bytes stay free after it.
    pub(super) fn append(&mut self, what: &What<'_>, promised: u64) -> Result<Place, Full> {
        let appended = self.try_append(what, promised);
        match appended {
            Ok(_) => self.dictionary.confirm(),
            Err(Full) => self.dictionary.take_back(),
        }
        appended
    }

    fn try_append(&mut self, what: &What<'_>, promised: u64) -> Result<Place, Full> {
        if let What::Moved(place, _) = what {
            self.read(place)?;
        }
        for _ in 0..TRIES_MAX {
            let before = self.unwritten.len();
            let appended =
                self.encode(what).and_then(|frame_at| self.keep((before, frame_at), what, promised));
            match appended {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => self.unwritten.truncate(before),
                Err(Full) => {
                    self.unwritten.truncate(before);
                    return Err(Full);
                }
            }
            // The next segment has told of no terms, so it is put into words anew.
            self.roll()?;
        }
        Err(Full)
    }

    /// Puts the record behind what gathered, after its terms if they have to be told. Answers where it begins there. What
    /// is moved was read before.
    fn encode(&mut self, what: &What<'_>) -> Result<usize, Full> {
        let Self { current: Some(current), dictionary, unwritten: out, moved, .. } = self else {
            return Err(Full);
        };
        let salt = current.segment.salt;
        let mut number = |terms: &Arc<Terms>, out: &mut Vec<u8>| {
            let (number, is_new) = dictionary.number(terms);
            if is_new {
                frame::put(out, salt, |out| put_terms(out, number, terms));
            }
            (number, out.len())
        };
        let mut at = out.len();
        match what {
            What::Admission(admission) => {
                let (terms, after) = number(admission.terms, out);
                at = after;
                frame::put(out, salt, |out| put_admission(out, terms, admission));
            }
            What::Moved(_, terms) => {
                let (terms, after) = number(terms, out);
                at = after;
                frame::put(out, salt, |out| put_moved(out, terms, moved));
            }
            What::Hold(request_id, held) => frame::put(out, salt, |out| put_hold(out, *request_id, *held)),
            What::Settlement(entry) => frame::put(out, salt, |out| put_settlement(out, entry)),
            What::Cancellation(request_id) => {
                frame::put(out, salt, |out| put_cancellation(out, *request_id));
            }
        }
        Ok(at)
    }

    /// Keeps what was put behind `before`, if there is room for it; none if that is in the next segment.
    fn keep(
        &mut self,
        (before, frame_at): (usize, usize),
        what: &What<'_>,
        promised: u64,
    ) -> Result<Option<Place>, Full> {
        let len = bytes(self.unwritten.len() - before);
        // What was admitted before the disk refused can still be ended.
        if !self.has_space(len, promised) || (self.is_refused && what.is_for_more()) {
            return Err(Full);
        }
        let Some(current) = self.current.as_mut().filter(|current| current.len - current.at >= len) else {
            return Ok(None);
        };
        let place = Place {
            request_id: what.request_id(),
            segment: Arc::clone(&current.segment),
            at: current.at + bytes(frame_at - before),
            len: self.unwritten.len() - frame_at,
        };
        current.at += len;
        self.position += len;
        if self.unwritten.len() >= UNWRITTEN_MAX {
            // What is refused is said, and tried again.
            let _ = self.write_out();
        }
        Ok(Some(place))
    }

    /// Writes what gathered. What the disk refuses stays where it is.
    pub(super) fn write_out(&mut self) -> Result<(), Full> {
        let written = self.write_stuck().and_then(|()| self.write_current());
        if let Err(error) = &written
            && !self.is_refused
        {
            tracing::error!(%error, "the journal cannot be written; no call is admitted until it can");
        }
        self.is_refused = written.is_err();
        written.map_err(|_| Full)
    }

    fn write_stuck(&mut self) -> io::Result<()> {
        while let Some((segment, at, bytes)) = self.stuck.front() {
            segment.write(bytes, *at)?;
            self.dirty.extend(self.stuck.pop_front().map(|(segment, ..)| segment));
        }
        Ok(())
    }

    fn write_current(&mut self) -> io::Result<()> {
        let Self { current: Some(current), unwritten, dirty, .. } = self else { return Ok(()) };
        if unwritten.is_empty() {
            return Ok(());
        }
        current.segment.write(unwritten, current.at - bytes(unwritten.len()))?;
        unwritten.clear();
        if !current.is_dirty {
            current.is_dirty = true;
            dirty.push(Arc::clone(&current.segment));
        }
        Ok(())
    }

    /// The payload of an admission that was appended before.
    fn read(&mut self, place: &Place) -> Result<(), Full> {
        self.write_out()?;
        read(place, &mut self.moved).map_err(|error| {
            tracing::error!(%error, "the journal cannot be read");
            Full
        })
    }

    /// Whether a call can be admitted that takes so many bytes, and so many others after them.
    pub(super) fn has_room(&self, wanted: u64, promised: u64) -> bool {
        !self.is_refused && self.has_space(wanted, promised)
    }

    /// Whether so many bytes can be appended, and so many others after them.
    fn has_space(&self, wanted: u64, promised: u64) -> bool {
        let (tail, spare) = (self.free(), self.spare.as_ref().map_or(0, |spare| capacity(spare.len)));
        // Of the current segment the length of one record may be left over.
        let usable = tail.saturating_sub(if spare > 0 { bytes(SETTLEMENT_LEN_MAX) } else { 0 });
        let left = if wanted <= tail {
            Some(usable.saturating_sub(wanted) + spare)
        } else {
            spare.checked_sub(wanted)
        };
        !self.is_failing && left.is_some_and(|left| left >= promised)
    }

    /// Goes on with the spare segment if so few bytes are left in the current one.
    pub(super) fn roll_ahead(&mut self, wanted: u64) {
        if self.free() < wanted {
            // Without a spare one there is still room for what was promised.
            let _ = self.roll();
        }
    }

    fn roll(&mut self) -> Result<(), Full> {
        let Spare { segment, len } = self.spare.take().ok_or(Full)?;
        // What is refused is tried again.
        let _ = self.write_out();
        let next = Current { segment, len, at: bytes(HEADER_LEN), is_dirty: false };
        if let Some(last) = self.current.replace(next) {
            if !self.unwritten.is_empty() {
                let unwritten = mem::take(&mut self.unwritten);
                let at = last.at - bytes(unwritten.len());
                self.stuck.push_back((Arc::clone(&last.segment), at, unwritten));
            }
            self.older.push_back(Kept { segment: last.segment, len: last.len, latest_ns: self.latest_ns });
        }
        self.dictionary.begin();
        self.is_failing = false;
        Ok(())
    }

    pub(super) fn is_current(&self, segment: &Arc<Segment>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.segment, segment))
    }

    pub(super) fn note_time(&mut self, mono_ns: u64) {
        self.latest_ns = self.latest_ns.max(mono_ns);
    }

    pub(super) fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// Bytes that were ever appended.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many of them are written.
    pub(super) fn written(&self) -> u64 {
        let stuck: usize = self.stuck.iter().map(|(.., bytes)| bytes.len()).sum();
        self.position - bytes(self.unwritten.len() + stuck)
    }

    fn free(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.len.saturating_sub(current.at))
    }
}

/// For the keeper.
impl Tail {
    pub(super) fn take_dirty(&mut self, into: &mut Vec<Arc<Segment>>) {
        into.append(&mut self.dirty);
        if let Some(current) = &mut self.current {
            current.is_dirty = false;
        }
    }

    pub(super) fn put_back_dirty(&mut self, dirty: &mut Vec<Arc<Segment>>) {
        for segment in dirty.drain(..) {
            if !self.dirty.iter().any(|known| Arc::ptr_eq(known, &segment)) {
                self.dirty.push(segment);
            }
        }
    }

    /// Goes on with another segment: the current one has a fault.
    pub(super) fn give_up(&mut self) {
        self.is_failing = true;
        // Without a spare one, that which comes next is gone on with.
        let _ = self.roll();
    }

    pub(super) fn wants_spare(&self) -> bool {
        self.spare.is_none() || self.current.is_none()
    }

    /// The first segment that is given is begun with, and so is one that comes after an error.
    pub(super) fn give_spare(&mut self, spare: Spare) {
        self.spare = Some(spare);
        if self.current.is_none() || self.is_failing {
            // There is a spare one.
            let _ = self.roll();
        }
    }

    pub(super) fn oldest_before(&self, before_ns: u64) -> Option<Arc<Segment>> {
        let oldest = self.older.front().filter(|oldest| oldest.latest_ns < before_ns)?;
        Some(Arc::clone(&oldest.segment))
    }

    /// Whoever needs a segment holds it, and comes by it only from one who does.
    pub(super) fn retire(&mut self, before_ns: u64) -> Option<Kept> {
        let oldest = self.older.front().filter(|oldest| oldest.latest_ns < before_ns)?;
        if Arc::strong_count(&oldest.segment) > 1 {
            return None;
        }
        self.older.pop_front()
    }

    pub(super) fn segments(&self) -> usize {
        self.older.len() + usize::from(self.current.is_some()) + usize::from(self.spare.is_some())
    }
}

impl What<'_> {
    /// Whether it lets a call begin, or go on for longer.
    fn is_for_more(&self) -> bool {
        match self {
            Self::Admission(_) | Self::Hold(..) => true,
            Self::Moved(..) | Self::Settlement(_) | Self::Cancellation(_) => false,
        }
    }

    fn request_id(&self) -> RequestId {
        match self {
            Self::Admission(admission) => admission.request_id,
            Self::Moved(place, _) => place.request_id,
            Self::Hold(request_id, _) | Self::Cancellation(request_id) => *request_id,
            Self::Settlement(entry) => entry.request_id,
        }
    }
}

/// The payload of an admission that was written before.
fn read(place: &Place, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    into.resize(place.len.saturating_sub(FRAME_LEN), 0);
    place.segment.read(into, place.at + bytes(FRAME_LEN))
}

/// What a segment of this length has for records.
fn capacity(len: u64) -> u64 {
    len.saturating_sub(bytes(HEADER_LEN))
}

fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
