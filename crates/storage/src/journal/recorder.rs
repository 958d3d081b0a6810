//! What a worker writes the journal with: a call is recorded when it is admitted, and once more when it ends.
//!
//! Guarantees: what could be admitted can be ended: that neither waits nor fails, even in `Drop`.
//! Begins at [`Recorder::admit`].

use std::fmt;
use std::sync::Arc;

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
}

/// The disk has, or will soon have, what was written about a call.
#[must_use = "with `ledger.sync = \"always\"` the last byte waits for it"]
pub struct Synced(Option<(watch::Receiver<u64>, u64)>);

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

    /// Writes a call down, before it goes upstream.
    ///
    /// # Errors
    /// When the journal has no room, or the disk refuses: then the call must not be made.
    pub fn admit(&self, permit: Permit, admission: &Admission<'_>) -> Result<Pending, Full> {
        let slot = self.lane.admit(admission)?;
        let waits = self.store.journal.waits();
        Ok(Pending { lane: Arc::clone(&self.lane), slot, permit, waits })
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

    /// The call is over. Neither waits nor fails; whether to wait is said by the answer.
    pub fn settle(self, entry: Entry) -> Synced {
        let Self { lane, slot, permit, waits } = self;
        let Ended { pin, position } = lane.settle(slot, &entry);
        permit.record_pinned(entry, pin);
        Synced(waits.then(|| (lane.synced(), position)))
    }

    /// The call was never made.
    pub fn cancel(self, now: Now) {
        self.lane.cancel(self.slot, now.mono_ns);
    }
}

impl Synced {
    /// Nothing to wait for.
    pub fn already() -> Self {
        Self(None)
    }

    /// Whether there is something to wait for: in `ledger.sync = "always"`.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.is_some()
    }

    /// Ends when the disk has it; at once, unless every end is waited for.
    pub async fn wait(self) {
        if let Some((mut synced, position)) = self.0 {
            // A journal that is closed syncs no more.
            let _ = synced.wait_for(|synced| *synced >= position).await;
        }
    }
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
