//! The one thread that writes: ledger entries in batches, and edits one at a time between them.
//!
//! One queue carries both, so its order is the cut: an edit sees exactly the entries recorded before it. A batch that
//! the disk refuses is kept and tried again, and meanwhile no permit is given and no edit is made.
//!
//! Guarantees: no entry is dropped while the process lives. An edit that panics changes nothing and ends nothing.
//! Knows nothing of: SQL, which is in `embedded`.
//! Begins at [`Committer::run`].

mod job;

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use domain::Entry;

pub(crate) use self::job::{DeskJob, EditJob, FlushJob, Prepared};
use crate::backup::JournalHolds;
use crate::embedded::Books;
use crate::journal::Pin;
use crate::ledger::Room;

/// How long a first entry waits for others to share its transaction. The journal has it meanwhile; each transaction costs
/// some pages and a wait for the disk, however few entries it brings.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// Entries in one transaction. Where many wait, one of many costs less: sums of busy groups are written once in each.
const BATCH_MAX: usize = 8_192;
/// Pause before a batch that the disk refused is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// After so long without anything to do, sums that wait are written.
const IDLE_WAIT: Duration = Duration::from_secs(2);
/// How many pauses closing allows for permits that are still out, or a disk that refuses: two seconds.
const CLOSE_ATTEMPTS: u32 = 20;

/// What the committer is asked to do.
pub(crate) enum Message {
    /// Write this; its room is taken, and what the journal says of it is kept until it is written. Not in a box, which
    /// would be allocated on one thread and freed on another.
    Entry(Entry, Option<Pin>),
    /// Make this edit.
    Edit(EditJob),
    /// Write this, which is neither.
    Desk(DeskJob),
    /// Say when everything before this is on disk.
    Flush(FlushJob),
    /// Write when management keys were last used. Asked for once a minute, so it takes no room.
    LastUsed,
    /// Write what there is and end.
    Close,
}

/// What ended the gathering of a batch.
enum After {
    Time,
    Edit(EditJob),
    Desk(DeskJob),
    Flush(FlushJob),
    LastUsed,
    Close,
}

pub(crate) struct Committer {
    books: Books,
    receiver: Receiver<Message>,
    room: Arc<Room>,
    /// Recorded and not yet on disk, oldest first. Bounded by the room.
    backlog: Vec<Entry>,
    /// What keeps them in the journal, entry by entry.
    pins: Vec<Option<Pin>>,
    /// Flushes that came while the disk refused. Bounded like edits.
    flushes: Vec<FlushJob>,
    /// The disk refused the sums that wait, and that was said.
    sums_refused: bool,
    /// What keeps all of the journal, should this end with entries that are not written.
    holds: JournalHolds,
}

impl Committer {
    pub(crate) fn new(
        (books, receiver): (Books, Receiver<Message>),
        room: Arc<Room>,
        holds: JournalHolds,
    ) -> Self {
        let (backlog, pins, flushes) = (Vec::new(), Vec::new(), Vec::new());
        Self { books, receiver, room, backlog, pins, flushes, sums_refused: false, holds }
    }

    /// Works until closed. However it ends, no permit is given afterwards.
    pub(crate) fn run(mut self) {
        loop {
            let after = self.gather(self.patience());
            let is_idle = self.backlog.is_empty() && matches!(after, After::Time);
            let written = self.write_backlog();
            if is_idle {
                // Said where it happens.
                let _ = self.write_sums();
            }
            match after {
                After::Time => {}
                // Without its answer, the one who asked is told that storage is unavailable.
                After::Edit(job) if written.is_err() => drop(job),
                After::Edit(job) => self.books.edit(job),
                After::Desk(job) if written.is_err() => drop(job),
                After::Desk(job) => job.run(&mut self.books),
                After::Flush(flush) => self.flushes.push(flush),
                After::LastUsed => self.books.write_last_used(),
                After::Close => return self.finish(),
            }
            self.answer_flushes();
        }
    }

    /// How long to wait for work before there is something to do without any: what the disk refused is tried again.
    fn patience(&self) -> Option<Duration> {
        if !self.backlog.is_empty() || !self.flushes.is_empty() {
            return Some(RETRY_WAIT);
        }
        self.books.has_late_sums().then_some(IDLE_WAIT)
    }

    /// Waits for work, then for as much as fits one batch, until something other than an entry comes.
    fn gather(&mut self, wait: Option<Duration>) -> After {
        let Some(first) = self.receive(wait) else { return After::Time };
        if let Some(after) = self.put_aside(first) {
            return after;
        }
        // Parked, this thread costs the workers that record nothing: only an edit or the like wakes it early.
        let full = self.backlog.len() + BATCH_MAX;
        self.drain(full).unwrap_or_else(|| {
            if self.backlog.len() < full {
                thread::park_timeout(BATCH_WAIT);
            }
            self.drain(full).unwrap_or(After::Time)
        })
    }

    /// Takes what is there, until the backlog is `full` or something other than an entry comes.
    fn drain(&mut self, full: usize) -> Option<After> {
        while self.backlog.len() < full {
            let message = self.receiver.try_recv().ok()?;
            if let Some(after) = self.put_aside(message) {
                return Some(after);
            }
        }
        None
    }

    /// Keeps an entry for the batch; anything else ends the batch.
    fn put_aside(&mut self, message: Message) -> Option<After> {
        match message {
            Message::Entry(entry, pin) => {
                self.backlog.push(entry);
                self.pins.push(pin);
                None
            }
            Message::Edit(job) => Some(After::Edit(job)),
            Message::Desk(job) => Some(After::Desk(job)),
            Message::Flush(flush) => Some(After::Flush(flush)),
            Message::LastUsed => Some(After::LastUsed),
            Message::Close => Some(After::Close),
        }
    }

    /// The next message; none when the wait is over.
    fn receive(&self, wait: Option<Duration>) -> Option<Message> {
        match wait {
            None => Some(self.receiver.recv().unwrap_or(Message::Close)),
            Some(wait) => match self.receiver.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Close),
            },
        }
    }

    /// Writes the backlog, batch by batch. What could not be written stays in it.
    fn write_backlog(&mut self) -> Result<(), Refused> {
        while !self.backlog.is_empty() {
            let batch = self.backlog.len().min(BATCH_MAX);
            match self.books.write_entries(&self.backlog[..batch]) {
                Ok(_) => self.backlog.drain(..batch),
                Err(error) => {
                    if self.room.shut() {
                        tracing::error!(%error, "the ledger cannot be written; no call is admitted until it can");
                    }
                    return Err(Refused);
                }
            };
            self.pins.drain(..batch);
            self.room.wrote(batch);
            if self.room.reopen() {
                tracing::info!("the ledger can be written again");
            }
        }
        Ok(())
    }

    /// Whoever flushes wants to read sums, too.
    fn answer_flushes(&mut self) {
        if self.flushes.is_empty() || !self.backlog.is_empty() {
            return;
        }
        if self.write_sums().is_ok() {
            self.flushes.drain(..).for_each(FlushJob::answer);
        }
    }

    /// Writes the sums that wait. What the disk refuses is tried again, here or by the next start.
    fn write_sums(&mut self) -> Result<(), Refused> {
        let written = self.books.write_sums();
        let was_refused = mem::replace(&mut self.sums_refused, written.is_err());
        written.map_err(|error| {
            if !was_refused {
                tracing::warn!(%error, "sums of the ledger cannot be written yet; they are tried again");
            }
            Refused
        })
    }

    /// Writes what is still coming from permits that are out, until nothing has moved for a while.
    fn finish(mut self) {
        self.room.close();
        let mut quiet = 0;
        while self.room.taken() > 0 && quiet < CLOSE_ATTEMPTS {
            let before = self.room.taken();
            if let After::Flush(flush) = self.gather(Some(RETRY_WAIT)) {
                self.flushes.push(flush);
            }
            // The error is logged once; what is left in the end is told below.
            let _ = self.write_backlog();
            quiet = if self.room.taken() < before { 0 } else { quiet + 1 };
        }
        let _ = self.write_sums();
        self.answer_flushes();
        self.books.write_last_used();
        if self.room.taken() > 0 {
            tracing::error!(
                entries.unwritten = self.backlog.len(),
                permits.out = self.room.taken().saturating_sub(self.backlog.len()),
                "the ledger was closed before everything was in it"
            );
        }
    }
}

/// The disk refused.
struct Refused;

/// Closes the room also when the committer ends by a fault. What was not written is in the journal for the next start, and
/// with its pins gone the keeper would take it for written.
impl Drop for Committer {
    fn drop(&mut self) {
        self.room.close();
        if self.room.taken() > 0 {
            self.holds.hold_for_good();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use domain::Now;

    use super::*;
    use crate::embedded;
    use crate::vault::{MasterKey, Vault};

    #[test]
    fn the_journal_stays_if_the_committer_ends_before_everything_is_written() {
        for (unwritten, stays) in [(0, false), (1, true)] {
            let dir = tempfile::tempdir().unwrap();
            let vault = Arc::new(Vault::new(&MasterKey::from_bytes([7; 32])));
            let engine = Arc::new(limits::Engine::new());
            let opened = embedded::open(dir.path(), vault, engine, Now::default()).unwrap();
            let (room, holds) = (Arc::new(Room::default()), JournalHolds::default());
            (0..unwritten).for_each(|_| room.take().unwrap());
            let (_sender, receiver) = mpsc::channel();
            drop(Committer::new((opened.books, receiver), Arc::clone(&room), holds.clone()));
            assert_eq!((holds.is_held(), room.is_open()), (stays, false), "{unwritten} unwritten");
        }
    }
}
