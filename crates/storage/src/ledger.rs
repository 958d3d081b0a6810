//! Room in the ledger: a permit is taken before a call is admitted, so that booking it later can neither wait nor fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use domain::Entry;

use crate::committer::Message;
use crate::journal::Pin;
use crate::store::Inner;

/// Entries that may be promised or wait for the disk. At 300 bytes each this bounds memory to about 20 MB.
pub const LEDGER_PENDING_MAX: usize = 65_536;

/// How full the ledger's queue is, and whether it can be written.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken: AtomicUsize,
    /// Those of them that have been recorded.
    recorded: AtomicUsize,
    /// The last batch could not be written; it is kept and tried again.
    failing: AtomicBool,
    /// The committer ends or has ended.
    closed: AtomicBool,
    /// Entries that the disk took.
    written: AtomicU64,
}

impl Room {
    /// Takes room for one entry.
    pub(crate) fn take(&self) -> Option<()> {
        let more = |taken| (taken < LEDGER_PENDING_MAX).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, more).ok()?;
        // Looked at after taking: who closes looks at `taken` after closing, so one of the two sees the other.
        if !self.is_open() {
            self.give_back(1);
            return None;
        }
        Some(())
    }

    pub(crate) fn give_back(&self, entries: usize) {
        self.taken.fetch_sub(entries, SeqCst);
    }

    /// The disk took so many entries that were recorded; their room is free.
    pub(crate) fn wrote(&self, entries: usize) {
        self.recorded.fetch_sub(entries, SeqCst);
        self.give_back(entries);
        self.written.fetch_add(u64::try_from(entries).unwrap_or(u64::MAX), Relaxed);
    }

    /// Entries on disk since the store was opened.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Entries that were recorded and are not on disk.
    pub(crate) fn recorded(&self) -> usize {
        self.recorded.load(SeqCst)
    }

    /// Whether room is given, if there is some.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(SeqCst) && !self.failing.load(SeqCst)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }

    /// The disk refused. Answers whether this is news.
    pub(crate) fn shut(&self) -> bool {
        !self.failing.swap(true, SeqCst)
    }

    /// The disk took a batch. Answers whether this is news.
    pub(crate) fn reopen(&self) -> bool {
        self.failing.swap(false, SeqCst)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
    }
}

/// Room for one ledger entry. Dropping it gives the room back.
#[must_use]
pub struct Permit {
    /// Keeps the store open: the committer does not end while a permit may still be used.
    store: Arc<Inner>,
    used: bool,
}

impl Permit {
    pub(crate) fn take(store: &Arc<Inner>) -> Option<Self> {
        store.room.take().map(|()| Self { store: Arc::clone(store), used: false })
    }

    /// Books an entry that the journal does not know of. Neither waits nor fails.
    pub fn record(self, entry: Entry) {
        self.record_pinned(entry, None);
    }

    /// Books an entry; what the journal says of it is kept until then.
    pub(crate) fn record_pinned(mut self, entry: Entry, pin: Option<Pin>) {
        let (request_id, is_kept) = (entry.request_id, pin.is_some());
        self.store.room.recorded.fetch_add(1, SeqCst);
        if self.store.sender.send(Message::Entry(entry, pin)).is_ok() {
            self.used = true;
            return;
        }
        self.store.room.recorded.fetch_sub(1, SeqCst);
        if is_kept {
            tracing::warn!(request.id = %request_id, "an entry came after the ledger was closed; the next start takes it from the journal");
        } else {
            tracing::error!(request.id = %request_id, "an entry came after the ledger was closed; it is lost");
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.used {
            self.store.room.give_back(1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_comes_back() {
        let room = Room::default();
        let given = std::iter::from_fn(|| room.take()).count();
        assert_eq!(given, LEDGER_PENDING_MAX);
        room.give_back(2);
        assert_eq!(std::iter::from_fn(|| room.take()).count(), 2);
    }

    #[test]
    fn no_room_is_given_while_the_ledger_cannot_be_written() {
        let room = Room::default();
        assert!(room.shut() && !room.shut());
        assert!(room.take().is_none());
        assert!(room.reopen() && !room.reopen());
        assert!(room.take().is_some());
        room.close();
        assert!(room.take().is_none());
        assert_eq!(room.taken(), 1);
    }
}
