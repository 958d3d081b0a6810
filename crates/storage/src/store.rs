//! The store as everyone else sees it: read the snapshot, edit it, book calls.

mod additions;
mod reads;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use arc_swap::ArcSwap;
use domain::{
    Change, Context, Day, GroupId, KeyHash, Line, ModelConfig, Now, Rejection, Slug, Snapshot, Version,
};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit::LastAudit;
use crate::backup::JournalHolds;
use crate::bell::Bell;
use crate::committer::{Committer, DeskJob, EditJob, FlushJob, Message};
use crate::decisions::{DecisionBounds, Decisions};
use crate::embedded::{self, Books, Inspection};
use crate::error::{EditError, OpenError, Unavailable};
use crate::journal::{Journal, JournalOptions, JournalUse};
use crate::last_used::LastUsed;
use crate::ledger::{Permit, Room};
use crate::line_use::{LineKey, LineUse};
use crate::recent::RecentCharges;
use crate::recovery;
use crate::refusals::Refusals;
use crate::today::{Today, Use, UseScope};
use crate::vault::{MasterKey, Vault};

pub use self::additions::{ADDITIONS_MAX, Additions};

/// Edits and flushes that may wait for the committer; further ones wait for their turn to wait.
pub const EDITS_PENDING_MAX: usize = 256;

/// What a store needs to open.
#[derive(Debug)]
pub struct Options {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// The key that credentials are hashed and secrets are sealed with.
    pub master_key: MasterKey,
    /// Told of every edit of a tree.
    pub engine: Arc<limits::Engine>,
    /// The time of opening.
    pub now: Now,
    /// How many decisions on calls are kept.
    pub decisions: DecisionBounds,
    /// How the journal is kept.
    pub journal: JournalOptions,
}

/// Configuration and ledger of one node. A clone is another handle to the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles share with the permits.
pub(crate) struct Inner {
    pub(crate) room: Arc<Room>,
    pub(crate) sender: Sender<Message>,
    edits: Arc<Semaphore>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    vault: Arc<Vault>,
    today: Arc<Today>,
    line_use: Arc<LineUse>,
    engine: Arc<limits::Engine>,
    last_used: Arc<LastUsed>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) bell: Arc<Bell>,
    last_recorded_ms: u64,
    decisions: Decisions,
    dir: PathBuf,
    journal_holds: JournalHolds,
    last_audit: Mutex<Option<LastAudit>>,
    pub(crate) journal: Journal,
    /// What was charged in the minute before the store was opened.
    pub(crate) recent: RecentCharges,
    /// Reads beside the committer, for management only. Gone once closed.
    reader: Mutex<Option<Connection>>,
    /// The same for pages of the ledger, so that short questions do not wait for them.
    pages: Mutex<Option<Connection>>,
    /// The committer may be waiting for a batch to fill.
    wake: Thread,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// Opening and closing.
impl Store {
    /// Locks the directory, brings the schema up to date (after a copy), checks the master key, loads the
    /// configuration, and starts the committer. Makes the workspace `default` in an empty store.
    ///
    /// # Errors
    /// When the directory is in use, the store is newer than this program, or was made with another master key, or
    /// when the disk refuses.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options { dir, master_key, engine, now, decisions, journal } = options;
        let vault = Arc::new(Vault::new(&master_key));
        let embedded::Opened { mut books, last_recorded_ms } = embedded::open(&dir, vault, engine, now)?;
        let recovery::Recovered { files, recent, latest_ms } =
            recovery::run(&dir, &mut books, (now, journal.boot_id))?;
        let journal_holds = JournalHolds::default();
        let journal = Journal::start(files, journal, (journal_holds.clone(), now.mono_ns))?;
        let (reader, pages) = (embedded::open_reader(&dir)?, embedded::open_reader(&dir)?);
        let (snapshot, vault) = (books.snapshot().clone(), books.vault().clone());
        let (today, last_used) = (books.today().clone(), books.last_used().clone());
        let (line_use, engine) = (books.line_use().clone(), books.engine().clone());
        let bell = books.bell().clone();
        let room = Arc::new(Room::default());
        let (sender, receiver) = mpsc::channel();
        let committer = Committer::new((books, receiver), Arc::clone(&room), journal_holds.clone());
        let thread = thread::Builder::new().name("committer".to_owned()).spawn(move || committer.run());
        let thread = thread.map_err(OpenError::io("starting the committer of", &dir))?;
        let inner = Inner {
            room,
            sender,
            edits: Arc::new(Semaphore::new(EDITS_PENDING_MAX)),
            snapshot,
            vault,
            today,
            line_use,
            engine,
            last_used,
            refusals: Arc::default(),
            bell,
            last_recorded_ms: last_recorded_ms.max(latest_ms),
            decisions: Decisions::open(&dir, decisions),
            journal,
            recent,
            dir,
            journal_holds,
            last_audit: Mutex::default(),
            reader: Mutex::new(Some(reader)),
            pages: Mutex::new(Some(pages)),
            wake: thread.thread().clone(),
            committer: Mutex::new(Some(thread)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What opening this directory would meet. Changes nothing.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
        embedded::inspect(dir)
    }

    /// Groups and endpoints as they are kept in `dir`, without keys and secrets, for whoever looks at a store from
    /// outside. `None`: there is no store of this program's version, or the last process did not close it. Changes
    /// nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn configuration(dir: &Path) -> Result<Option<Snapshot>, OpenError> {
        embedded::configuration(dir)
    }

    /// Writes everything recorded so far, then closes. Other handles cannot edit or book from here on.
    pub fn close(self) {
        self.inner.close();
    }
}

/// Reading.
impl Store {
    /// The configuration of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshot.load_full()
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The last audit since it was opened.
    #[must_use]
    pub fn last_audit(&self) -> Option<LastAudit> {
        *self.inner.last_audit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_audit(&self, audit: LastAudit) {
        *self.inner.last_audit.lock().unwrap_or_else(PoisonError::into_inner) = Some(audit);
    }

    /// Who wants files of the journal to stay.
    pub(crate) fn journal_holds(&self) -> &JournalHolds {
        &self.inner.journal_holds
    }

    /// What is told of every edit of a tree.
    pub(crate) fn engine(&self) -> &Arc<limits::Engine> {
        &self.inner.engine
    }

    /// What credentials are hashed with.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// What a group has used of a slug on a day, by the ledger. Meant for the present day: of earlier ones only the
    /// last may be known.
    #[must_use]
    pub fn used_today(&self, group: GroupId, scope: UseScope, slug: &Slug, day: Day) -> Use {
        self.inner.today.used(group, scope, slug, day)
    }

    /// What a line of a model config has used in its present period: by its live counter, or by the ledger where none is
    /// open. Requests, tokens or nano-dollars; what calls in flight hold is not in it.
    #[must_use]
    pub fn line_used(&self, snapshot: &Snapshot, config: &ModelConfig, line: &Line<'_>, now: Now) -> u64 {
        let key = (line.id, line.meter);
        let home = embedded::line_home(snapshot, config);
        let live = home.and_then(|home| {
            self.inner.engine.peek(home, &embedded::line_counter(key), Version::default(), now)
        });
        live.map_or_else(|| self.ledger_line_use(key, now.wall_ms), |live| live.used)
    }

    /// The same by the ledger alone: what a counter that has to be opened begins with.
    pub(crate) fn ledger_line_use(&self, key: LineKey, wall_ms: u64) -> u64 {
        self.inner.line_use.used(key, wall_ms)
    }

    /// When a management key in force was last used, in seconds since 1970 UTC. After a crash up to a minute may be
    /// missing.
    #[must_use]
    pub fn last_used_s(&self, key: &KeyHash) -> Option<u64> {
        self.inner.last_used.at_s(key)
    }

    /// Decisions on calls, as far as they are kept.
    #[must_use]
    pub fn decisions(&self) -> &Decisions {
        &self.inner.decisions
    }

    pub(crate) fn room(&self) -> &Room {
        &self.inner.room
    }

    /// How full the journal is, and what waits for the ledger.
    #[must_use]
    pub fn journal_use(&self) -> JournalUse {
        JournalUse { unwritten_entries: self.inner.room.recorded(), ..self.inner.journal.usage() }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The latest time of settlement in the ledger when it was opened, in milliseconds since 1970 UTC; 0 if it was
    /// empty.
    #[must_use]
    pub fn last_recorded_ms(&self) -> u64 {
        self.inner.last_recorded_ms
    }
}

/// Writing.
impl Store {
    /// Runs one edit between two batches of the ledger: what was recorded before it is written first, then `edit`
    /// sees the configuration as it stands, and what it answers is on disk and in force before this returns. An
    /// edit without records makes no version. Dropping the future does not take a sent edit back.
    ///
    /// # Errors
    /// What `edit` said, or that the store cannot write.
    pub async fn edit<T, F>(&self, now: Now, edit: F) -> Result<T, EditError>
    where
        F: FnOnce(&Context<'_>) -> Result<(Change, T), Rejection> + Send + 'static,
        T: Send + 'static,
    {
        let room = Arc::clone(&self.inner.edits).acquire_owned().await.map_err(|_| EditError::Unavailable)?;
        let (job, answer) = EditJob::new(now, room, edit);
        self.inner.ask(Message::Edit(job)).map_err(|Unavailable| EditError::Unavailable)?;
        answer.await.unwrap_or(Err(EditError::Unavailable))
    }

    /// Writes something between two batches of the ledger: neither entries nor an edit of the configuration.
    ///
    /// # Errors
    /// When the store cannot write.
    pub(crate) async fn on_desk<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        F: FnOnce(&mut Books) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.inner.edit_room().await?;
        let (job, answer) = DeskJob::new(room, work);
        self.inner.ask(Message::Desk(job))?;
        answer.await.map_err(|_| Unavailable)?.map_err(|error| {
            tracing::error!(%error, "the store cannot be written");
            Unavailable
        })
    }

    /// Brings the sums of a group, or all of them, up to what was recorded so far, for who reads them on the disk.
    pub(crate) async fn write_sums(&self, of: Option<GroupId>) -> Result<(), Unavailable> {
        self.on_desk(move |books| match of {
            Some(group) => books.write_sums_of(group),
            None => books.write_sums(),
        })
        .await
    }

    /// Notes that a management key in force was used. Written by the committer now and then, and on closing.
    pub fn note_used(&self, key: &KeyHash, now: Now) {
        if self.inner.last_used.note(*key, now.wall_s()) {
            // A store that is closed has written everything it was going to write.
            let _ = self.inner.ask(Message::LastUsed);
        }
    }

    /// Room for one ledger entry that the journal is not told of; none when too many wait for the disk, or when the disk
    /// refuses. Calls go through a [`recorder`](Self::recorder).
    #[must_use]
    pub fn permit(&self) -> Option<Permit> {
        Permit::take(&self.inner)
    }

    /// Waits until everything recorded so far is on disk, and in every sum there.
    pub async fn flush(&self) {
        let Ok(room) = Arc::clone(&self.inner.edits).acquire_owned().await else { return };
        let (flush, written) = FlushJob::new(room);
        if self.inner.ask(Message::Flush(flush)).is_ok() {
            // An answer, or a committer that is no more: either way there is nothing left to wait for.
            let _ = written.await;
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("version", &self.snapshot().version()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Tells the committer something that should not wait for a batch to fill.
    pub(crate) fn ask(&self, message: Message) -> Result<(), Unavailable> {
        self.sender.send(message).map_err(|_| Unavailable)?;
        self.wake.unpark();
        Ok(())
    }

    /// What the disk refuses, or comes after closing, is written another time or not at all: refusals are no bills.
    pub(crate) fn ask_to_write_refusals(&self) {
        let refusals = Arc::clone(&self.refusals);
        let job = DeskJob::unasked(move |books| embedded::write_refusals(books, &refusals));
        let _ = self.ask(Message::Desk(job));
    }

    /// Room for one more edit or the like; waits for it.
    pub(crate) async fn edit_room(&self) -> Result<OwnedSemaphorePermit, Unavailable> {
        Arc::clone(&self.edits).acquire_owned().await.map_err(|_| Unavailable)
    }

    fn close(&self) {
        // While the directory is still ours.
        self.decisions.close();
        // The committer's connection has to be the last one: it tidies up the files when it goes.
        for reader in [&self.reader, &self.pages] {
            reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let thread = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        self.ask_to_write_refusals();
        // If nobody hears it, the committer has ended already.
        let _ = self.ask(Message::Close);
        // An edit may have held the last handle; then this is the committer's own thread and will end by itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!(
                "the committer ended by a fault; the next start takes what it had not written from the journal"
            );
        }
        self.journal.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
