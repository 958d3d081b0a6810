//! Reading a request body: whole, in one piece of memory, bounded per call and over all callers.
//!
//! Guarantees: memory is counted before it is taken, at its capacity and not at what has arrived; growing counts the
//! old piece and the new one. An announced body has all its room, or 503, before its first byte is asked for, and is
//! allocated once: pages that nothing was written to cost nothing. Large bodies never take the last eighth of the room,
//! so that a flood of them leaves small calls alone. Begins at [`read`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::error::{BodyFault, Error};
use crate::worker::Shared;

/// Bodies up to this length may use all of the room; larger ones leave an eighth of it to them.
const SMALL_MAX: usize = 1024 * 1024;
const LEFT_TO_SMALL: usize = 8;

/// First room of a body whose length is not announced and that does not come in one piece.
const FIRST_ROOM: usize = 64 * 1024;

/// A body may take this long however small it is, and then a second more for each [`PACE_BYTES`]; and so long it may
/// stand still. Otherwise one that came quickly to its middle could keep its room for hours.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE_BYTES: usize = 1024;

/// Bodies longer than this take their room with them: a call may go on upstream after its caller has left, and its
/// body with it. The room of shorter ones ends with the request, which is cheaper.
const CARRIED_MIN: usize = 64 * 1024;

/// A request body in memory; its share of the common room is given back when it and every slice of it are dropped.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) bytes: Bytes,
    _room: Option<Room>,
}

/// The memory of a long body, and its room.
struct Carried {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Carried {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
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
    let mut gathered = Gathered::new(Room::take(shared, announced)?);
    let mut began = None;
    loop {
        let frame = match what_has_come(&mut body).await {
            Poll::Ready(frame) => frame.transpose().map_err(|_| BodyFault::Broken)?,
            Poll::Pending => next(&mut body, *began.get_or_insert_with(Instant::now), gathered.len()).await?,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        if gathered.len() + data.len() > bytes_max {
            return Err(BodyFault::TooLarge { bytes_max }.into());
        }
        gathered.push(data)?;
    }
    Ok(gathered.into_intake())
}

/// The next frame, if it is there. Most bodies come with their head: then there is nothing to wait for, and no clock to
/// read.
async fn what_has_come<B>(body: &mut B) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
where
    B: Body<Data = Bytes> + Unpin,
{
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await
}

/// The next frame of a body of which this much has come, if it comes in time.
async fn next<B>(body: &mut B, began: Instant, come: usize) -> Result<Option<Frame<Bytes>>, BodyFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let pace = Duration::from_secs(u64::try_from(come / PACE_BYTES).unwrap_or(u64::MAX));
    let due = (began + pace).min(Instant::now()) + PATIENCE;
    let frame = timeout_at(due, body.frame()).await.map_err(|_| BodyFault::Slow)?;
    frame.transpose().map_err(|_| BodyFault::Broken)
}

/// A body as it gathers: most come in one piece, which is then never copied.
struct Gathered {
    first: Bytes,
    /// All of it, once there is more than a first piece. Never longer than its room.
    whole: Vec<u8>,
    room: Room,
}

impl Gathered {
    fn new(room: Room) -> Self {
        Self { first: Bytes::new(), whole: Vec::new(), room }
    }

    fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    fn push(&mut self, data: Bytes) -> Result<(), Error> {
        if self.len() == 0 {
            if data.len() > self.room.taken {
                self.room = Room::take(&self.room.shared, data.len())?;
            }
            self.first = data;
            return Ok(());
        }
        self.make_room(self.len() + data.len())?;
        self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        self.whole.extend_from_slice(&data);
        Ok(())
    }

    /// Sees to it that this much fits without growing.
    fn make_room(&mut self, length: usize) -> Result<(), Error> {
        if length <= self.room.taken {
            // Announced: all of it at once, the first time.
            self.whole.reserve_exact(self.room.taken - self.whole.len());
            return Ok(());
        }
        let bytes_max = self.room.shared.settings.body_max;
        let wanted = length.saturating_mul(2).max(FIRST_ROOM).min(bytes_max);
        // While the old piece is copied into the new one, both are there and both are counted.
        let larger = Room::take(&self.room.shared, wanted)?;
        self.whole.reserve_exact(wanted - self.whole.len());
        self.room = larger;
        Ok(())
    }

    fn into_intake(self) -> Intake {
        let bytes = if self.whole.is_empty() { self.first } else { self.whole.into() };
        if bytes.len() <= CARRIED_MIN {
            return Intake { bytes, _room: Some(self.room) };
        }
        Intake { bytes: Bytes::from_owner(Carried { bytes, _room: self.room }), _room: None }
    }
}

/// A share of the memory that request bodies may take together.
#[derive(Debug)]
struct Room {
    shared: Arc<Shared>,
    taken: usize,
}

impl Room {
    /// All of it or nothing: a body that does not fit takes nothing away from those that do.
    fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Self, Error> {
        let all = shared.settings.buffered_max;
        // However little there is in all, one body of the longest kind fits.
        let to_large = (all - all / LEFT_TO_SMALL).max(shared.settings.body_max).min(all);
        let bound = if bytes > SMALL_MAX { to_large } else { all };
        let fits = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= bound);
        match shared.buffered.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Self { shared: Arc::clone(shared), taken: bytes }),
            Err(_) => Err(Error::Overloaded),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.buffered.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Context;

    use super::*;

    /// A body that never goes on.
    struct Stalled;

    impl Body for Stalled {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    /// After how many seconds a body is given up that began so many seconds ago and does not go on.
    async fn patience(ago: u64, come: usize) -> u64 {
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(ago)).await;
        let waiting = Instant::now();
        assert!(matches!(next(&mut Stalled, began, come).await, Err(BodyFault::Slow)));
        waiting.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_slower_than_a_kilobyte_a_second_after_ten_seconds_is_given_up() {
        for (ago, come, seconds) in
            [(0, 0, 10), (4, 0, 6), (4, 1_023, 6), (15, 8 * 1_024, 3), (30, 20 * 1_024, 0)]
        {
            assert_eq!(patience(ago, come).await, seconds, "{come} bytes in {ago} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_for_ten_seconds_is_given_up_however_much_has_come() {
        for (ago, come) in [(0, 1 << 20), (100, 1 << 20), (10, 50 << 20)] {
            assert_eq!(patience(ago, come).await, 10, "{come} bytes in {ago} s");
        }
    }
}
