//! Reading an answer that comes whole: bounded in size, in time per piece, in time in all, and over all answers.
//!
//! Guarantees: long answers take room before they take memory, and keep it until they are sent. One for which there is
//! no room waits, and its model server with it: it was generated and has to be paid, so it is not thrown away. Who
//! waits holds no room, so that they never wait for each other. Short answers cost nothing of this.
//! Begins at [`gather`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domain::Outcome;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::UpstreamFailure;
use crate::upstream::{UpstreamBody, due_in};
use crate::worker::Shared;

/// Answers up to this length take no room.
const SHORT_MAX: usize = 1024 * 1024;
/// What room is counted in, in bytes.
const UNIT: usize = 1024;

/// A body that came to its end.
pub(crate) struct Gathered {
    pub(crate) bytes: Bytes,
    pub(crate) place: Option<Place>,
}

/// A body that did not.
pub(crate) struct Broken {
    pub(crate) seen: usize,
    pub(crate) outcome: Outcome,
    pub(crate) failure: UpstreamFailure,
}

/// The room that all long answers share.
#[derive(Debug)]
pub(crate) struct AnswerRoom {
    free: Arc<Semaphore>,
    units: u32,
}

/// A share of it.
#[derive(Debug)]
pub(crate) struct Place(OwnedSemaphorePermit);

/// An answer and its place, given back with its last byte.
struct Held {
    bytes: Bytes,
    _place: Place,
}

impl AnswerRoom {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = units(bytes);
        let permits = usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), units }
    }

    /// Waits for so much room. The longest answer fits, however little there is.
    async fn take(&self, bytes: usize) -> Option<Place> {
        let wanted = units(bytes).min(self.units);
        Arc::clone(&self.free).acquire_many_owned(wanted).await.ok().map(Place)
    }
}

impl Place {
    /// Gives back what the answer did not need.
    fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.0.split(surplus));
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer that keeps its place, if it has one, until it is gone.
pub(crate) fn held(bytes: Bytes, place: Option<Place>) -> Bytes {
    match place {
        Some(place) => Bytes::from_owner(Held { bytes, _place: place }),
        None => bytes,
    }
}

/// Reads a body to its end.
pub(crate) async fn gather(shared: &Shared, body: UpstreamBody) -> Result<Gathered, Broken> {
    let announced = body.announced().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let bytes_max = shared.settings.body_max;
    let room = announced.unwrap_or(bytes_max).min(bytes_max);
    let expected = announced.map_or(0, |_| room);
    let mut pieces = Pieces { room, expected, first: Bytes::new(), rest: BytesMut::new(), place: None };
    let deadline = due_in(shared.settings.upstream.timeouts.total);
    match pieces.read(shared, body, deadline).await {
        Ok(()) => Ok(pieces.join()),
        Err((outcome, failure)) => Err(Broken { seen: pieces.len(), outcome, failure }),
    }
}

/// A body as it gathers. Most come in one piece, which is then never copied.
struct Pieces {
    /// How long it may become.
    room: usize,
    /// How long it says it will be, so that it is allocated once: pages that nothing was written to cost nothing.
    expected: usize,
    first: Bytes,
    /// All of it, once there is a second piece.
    rest: BytesMut,
    place: Option<Place>,
}

impl Pieces {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    async fn read(
        &mut self,
        shared: &Shared,
        mut body: UpstreamBody,
        deadline: Instant,
    ) -> Result<(), (Outcome, UpstreamFailure)> {
        loop {
            let idle = shared.settings.upstream.timeouts.idle;
            let piece = body.data_by(|| due_in(idle).min(deadline)).await;
            let Some(data) = piece.map_err(|_| late(deadline))? else { return Ok(()) };
            let data = data.map_err(|fault| (Outcome::UpstreamError, fault.into()))?;
            let length = self.len().saturating_add(data.len());
            if length > shared.settings.body_max {
                let failure = UpstreamFailure::Garbage("an answer larger than server.max_body_mb");
                return Err((Outcome::UpstreamError, failure));
            }
            if length > SHORT_MAX && self.place.is_none() {
                let place = timeout_at(deadline, shared.answer_room.take(self.room)).await;
                self.place = place.map_err(|_| late(deadline))?;
            }
            self.push(data);
        }
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.rest.reserve(self.expected.max(first.len() + data.len()));
            self.rest.extend_from_slice(&first);
        }
        self.rest.extend_from_slice(&data);
    }

    fn join(self) -> Gathered {
        let bytes = if self.rest.is_empty() { self.first } else { self.rest.freeze() };
        let mut place = self.place;
        if let Some(place) = &mut place {
            place.shrink(bytes.len());
        }
        Gathered { bytes, place }
    }
}

/// What was waited for too long: the next piece, or the end.
fn late(deadline: Instant) -> (Outcome, UpstreamFailure) {
    let stage = if Instant::now() >= deadline {
        "not complete within upstream.total_timeout"
    } else {
        "no data within upstream.idle_timeout"
    };
    (Outcome::UpstreamTimeout, UpstreamFailure::Timeout(stage))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_answer_did_not_need_is_free_at_once_and_the_rest_when_it_is_gone() {
        let room = AnswerRoom::new(10 * UNIT);
        let mut place = room.take(100 * UNIT).await.unwrap();
        assert_eq!(room.free.available_permits(), 0, "the longest fits, and takes all");
        place.shrink(2 * UNIT + 1);
        assert_eq!(room.free.available_permits(), 7);
        let bytes = held(Bytes::from_static(b"abc"), Some(place));
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!(room.free.available_permits(), 7);
        drop(slice);
        assert_eq!(room.free.available_permits(), 10);
    }
}
