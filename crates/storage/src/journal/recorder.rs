//! What a worker writes the journal with: a call is recorded when it is admitted, and once more when it ends.
//!
//! Records gather, and who has to have one written waits for one turn of the worker: all that are ready in it become one
//! write.
//!
//! Guarantees: what could be admitted can be ended: that neither waits nor fails, even in `Drop`.
//! Begins at [`Recorder::admit`]; what is to be waited for is [`Written`] before a call goes upstream, [`Synced`] before the
//! last byte of its answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use domain::{Entry, Now, RequestId};
use tokio::sync::watch;

use super::lane::{Ended, Full, Lane, Slot};
use super::record::{Admission, Held};
use crate::ledger::Permit;
use crate::store::{Inner, Store};

/// One worker's way into the journal. A clone goes the same way.
#[derive(Clone)]
pub struct Recorder {
    store: Arc<Inner>,
    lane: Arc<Lane>,
}

/// A call that is in the journal and has not ended.
///
/// It ends by [`settle`](Self::settle) or [`cancel`](Self::cancel). Dropped before, it is what a crash would leave: the next start takes it for a call whose end is not known.
#[must_use = "a call that is admitted has to end"]
pub struct Pending {
    lane: Arc<Lane>,
    slot: Slot,
    permit: Permit,
    waits: bool,
    /// Its admission is written when so many bytes of the lane are.
    position: u64,
}

/// What was recorded is in the page cache, where it stays however the process ends.
///
/// It lets everything else that is ready in this turn of the worker have its own turn first, and then writes all of it.
#[must_use = "a call goes upstream after its admission is written"]
pub struct Written {
    lane: Arc<Lane>,
    position: u64,
    /// Others had their turn.
    has_yielded: bool,
}

/// The end of a call is written and, where every end is waited for, on the disk.
#[must_use = "the last byte of an answer waits for it"]
pub struct Synced(Option<Ending>);

struct Ending {
    written: Written,
    /// Where the disk is waited for.
    disk: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Store {
    /// A way into the journal for one worker. Where the disk refuses it now, calls are refused until it does not.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        let inner = self.inner();
        Recorder { lane: inner.journal.lane(), store: Arc::clone(inner) }
    }
}

impl Recorder {
    /// Room for one call: in the journal, and in the ledger after that. None while either cannot be written.
    #[must_use]
    pub fn permit(&self) -> Option<Permit> {
        if self.lane.has_room() { Permit::take(&self.store) } else { None }
    }

    /// Puts a call down. It goes upstream when that is [written](Pending::written).
    ///
    /// # Errors
    /// When the journal has no room: then the call must not be made.
    pub fn admit(&self, permit: Permit, admission: &Admission<'_>) -> Result<Pending, Full> {
        let (slot, position) = self.lane.admit(admission)?;
        let waits = self.store.journal.waits();
        Ok(Pending { lane: Arc::clone(&self.lane), slot, permit, waits, position })
    }
}

impl Pending {
    /// The call holds so many completion tokens in all from now on: what it is taken for if its end is never known.
    ///
    /// # Errors
    /// When the journal has no room: then the call must not use more than it held before.
    pub fn hold(&mut self, output: u64, now: Now) -> Result<(), Full> {
        self.lane.hold(self.slot, Held { mono_ns: now.mono_ns, output })
    }

    /// Ends when the call's admission is written. An error is that the disk refuses: then the call must not be made, and is
    /// to be [cancelled](Self::cancel).
    pub fn written(&self) -> Written {
        Written::up_to(&self.lane, self.position)
    }

    /// The call is over. Neither waits nor fails; what to wait for is the answer. Dropped, it is written soon all the same.
    pub fn settle(self, entry: Entry) -> Synced {
        let Self { lane, slot, permit, waits, .. } = self;
        let Ended { pin, position } = lane.settle(slot, &entry);
        permit.record_pinned(entry, pin);
        let disk = waits.then(|| Box::pin(on_disk(lane.synced(), position)) as _);
        Synced(Some(Ending { written: Written::up_to(&lane, position), disk }))
    }

    /// The call was never made.
    pub fn cancel(self, now: Now) {
        self.lane.cancel(self.slot, now.mono_ns);
    }
}

impl Written {
    fn up_to(lane: &Arc<Lane>, position: u64) -> Self {
        Self { lane: Arc::clone(lane), position, has_yielded: false }
    }
}

impl Future for Written {
    type Output = Result<(), Full>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.lane.is_written(self.position) {
            return Poll::Ready(Ok(()));
        }
        if self.has_yielded {
            return Poll::Ready(self.lane.write_out());
        }
        self.has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Synced {
    /// Nothing to wait for.
    pub fn already() -> Self {
        Self(None)
    }

    /// Whether there is something to wait for.
    #[must_use]
    pub fn waits(&self) -> bool {
        let waits = |end: &Ending| end.disk.is_some() || !end.written.lane.is_written(end.written.position);
        self.0.as_ref().is_some_and(waits)
    }

    /// Ends when it is written; with `ledger.sync = "always"`, when the disk has it.
    pub async fn wait(self) {
        self.await;
    }
}

impl Future for Synced {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Ending { written, disk }) = &mut self.0 else { return Poll::Ready(()) };
        // What the disk refuses is kept and tried again; the entry is on its way into the ledger, too.
        let _ = ready!(Pin::new(written).poll(cx));
        if let Some(disk) = disk {
            ready!(disk.as_mut().poll(cx));
        }
        self.0 = None;
        Poll::Ready(())
    }
}

/// Ends when so much of a lane is on the disk. A journal that is closed syncs no more.
async fn on_disk(mut synced: watch::Receiver<u64>, position: u64) {
    let _ = synced.wait_for(|synced| *synced >= position).await;
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("lane", &self.lane.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(..)")
    }
}

impl fmt::Debug for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.waits() { "Synced(waits)" } else { "Synced(already)" })
    }
}

/// What calls say of customers has no place in a dump.
impl fmt::Debug for Admission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id: &RequestId = &self.request_id;
        f.debug_struct("Admission").field("request_id", id).finish_non_exhaustive()
    }
}
