//! The end of a lane: the segment that is appended to, the spare one after it, and those before it that are still needed.
//!
//! Guarantees: a record is written in full or is not there; after an error nothing is admitted until there is another
//! segment.
//! Begins at [`Tail::append`].

use std::collections::VecDeque;
use std::io;
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

/// How often a record is put into words: for this segment, for the next, and for the one after if that has a fault.
const TRIES_MAX: usize = 3;

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
    at: u64,
    is_dirty: bool,
}

#[derive(Default)]
pub(super) struct Tail {
    current: Option<Current>,
    spare: Option<Spare>,
    older: VecDeque<Kept>,
    dictionary: Dictionary,
    /// What is being written.
    buffer: Vec<u8>,
    /// What is moved.
    moved: Vec<u8>,
    /// Written to since they were last synced.
    dirty: Vec<Arc<Segment>>,
    /// Bytes ever appended.
    position: u64,
    latest_ns: u64,
    /// The current segment could not be written to.
    is_failing: bool,
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
        for _ in 0..TRIES_MAX {
            let frame_at = self.encode(what)?;
            let len = bytes(self.buffer.len());
            if !self.has_room(len, promised) {
                return Err(Full);
            }
            if len <= self.free() {
                match self.write(what, frame_at) {
                    Ok(place) => return Ok(place),
                    Err(error) => self.fail(&error),
                }
            }
            // The next segment has told of no terms, so it is put into words anew.
            self.roll()?;
        }
        Err(Full)
    }

    /// Puts the record into the buffer, after its terms if they have to be told. Answers where in it the record begins.
    fn encode(&mut self, what: &What<'_>) -> Result<usize, Full> {
        let Self { current: Some(current), dictionary, buffer, moved, .. } = self else { return Err(Full) };
        buffer.clear();
        let salt = current.segment.salt;
        let mut number = |terms: &Arc<Terms>, buffer: &mut Vec<u8>| {
            let (number, is_new) = dictionary.number(terms);
            if is_new {
                frame::put(buffer, salt, |out| put_terms(out, number, terms));
            }
            (number, buffer.len())
        };
        let at = match what {
            What::Admission(admission) => {
                let (terms, at) = number(admission.terms, buffer);
                frame::put(buffer, salt, |out| put_admission(out, terms, admission));
                at
            }
            What::Moved(place, terms) => {
                read(place, moved).map_err(|error| {
                    tracing::error!(%error, "the journal cannot be read");
                    Full
                })?;
                let (terms, at) = number(terms, buffer);
                frame::put(buffer, salt, |out| put_moved(out, terms, moved));
                at
            }
            What::Hold(request_id, held) => {
                frame::put(buffer, salt, |out| put_hold(out, *request_id, *held));
                0
            }
            What::Settlement(entry) => {
                frame::put(buffer, salt, |out| put_settlement(out, entry));
                0
            }
            What::Cancellation(request_id) => {
                frame::put(buffer, salt, |out| put_cancellation(out, *request_id));
                0
            }
        };
        Ok(at)
    }

    fn write(&mut self, what: &What<'_>, frame_at: usize) -> io::Result<Place> {
        let Self { current: Some(current), buffer, dirty, .. } = self else {
            return Err(io::ErrorKind::NotFound.into());
        };
        current.segment.write(buffer, current.at)?;
        let place = Place {
            request_id: what.request_id(),
            segment: Arc::clone(&current.segment),
            at: current.at + bytes(frame_at),
            len: buffer.len() - frame_at,
        };
        current.at += bytes(buffer.len());
        self.position += bytes(buffer.len());
        if !current.is_dirty {
            current.is_dirty = true;
            dirty.push(Arc::clone(&current.segment));
        }
        Ok(place)
    }

    fn fail(&mut self, error: &io::Error) {
        if !self.is_failing {
            tracing::error!(%error, "the journal cannot be written; no call is admitted until it can");
        }
        self.is_failing = true;
    }

    /// Whether so many bytes can be appended, and so many others after them.
    pub(super) fn has_room(&self, wanted: u64, promised: u64) -> bool {
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
        let next = Current { segment, len, at: bytes(HEADER_LEN), is_dirty: false };
        if let Some(last) = self.current.replace(next) {
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

    pub(super) fn position(&self) -> u64 {
        self.position
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
