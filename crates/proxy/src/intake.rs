//! Reading a request body: whole, bounded per call and over all callers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::error::{BodyFault, Error};
use crate::worker::Shared;

/// Room reserved in advance for a body whose length is announced; more is made as it arrives.
const FIRST_ROOM_MAX: usize = 64 * 1024;

/// A body may take this long however small it is, and then a second more for each [`PACE_BYTES`].
const PATIENCE: Duration = Duration::from_secs(10);
const PACE_BYTES: usize = 1024;

/// A request body in memory; its share of the common room is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) bytes: Bytes,
    _room: Room,
}

/// Reads the body.
pub(crate) async fn read(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    mut body: Incoming,
) -> Result<Intake, Error> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(BodyFault::Compressed.into());
    }
    let bytes_max = shared.settings.body_max;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(BodyFault::TooLarge { bytes_max }.into());
    }
    let mut room = Room { shared: Arc::clone(shared), taken: 0 };
    room.take(announced)?;
    let mut whole = Gathered::default();
    let began = Instant::now();
    loop {
        let pace = Duration::from_secs(u64::try_from(whole.len() / PACE_BYTES).unwrap_or(u64::MAX));
        let frame = timeout_at(began + PATIENCE + pace, body.frame()).await.map_err(|_| BodyFault::Slow)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > bytes_max {
            return Err(BodyFault::TooLarge { bytes_max }.into());
        }
        room.take(length.saturating_sub(room.taken))?;
        whole.push(data, announced);
    }
    Ok(Intake { bytes: whole.into_bytes(), _room: room })
}

/// A body as it gathers: most come in one piece, which is then never copied.
#[derive(Default)]
struct Gathered {
    first: Option<Bytes>,
    rest: Option<BytesMut>,
}

impl Gathered {
    fn len(&self) -> usize {
        self.rest.as_ref().map_or_else(|| self.first.as_ref().map_or(0, Bytes::len), BytesMut::len)
    }

    fn push(&mut self, data: Bytes, announced: usize) {
        match (&mut self.rest, self.first.take()) {
            (Some(rest), _) => rest.extend_from_slice(&data),
            (None, None) => self.first = Some(data),
            (None, Some(first)) => {
                let mut rest =
                    BytesMut::with_capacity(announced.min(FIRST_ROOM_MAX).max(first.len() + data.len()));
                rest.extend_from_slice(&first);
                rest.extend_from_slice(&data);
                self.rest = Some(rest);
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        self.rest.map_or_else(|| self.first.unwrap_or_default(), BytesMut::freeze)
    }
}

/// A share of the memory that request bodies may take together.
#[derive(Debug)]
struct Room {
    shared: Arc<Shared>,
    taken: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let before = self.shared.buffered.fetch_add(bytes, Ordering::AcqRel);
        self.taken += bytes;
        match before.saturating_add(bytes) > self.shared.settings.buffered_max {
            true => Err(Error::Overloaded),
            false => Ok(()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.buffered.fetch_sub(self.taken, Ordering::AcqRel);
    }
}
