//! The outbox: what of the ledger is to be delivered to webhooks, and how that went.
//!
//! Events are written with their entries, so they are the outbox themselves. Of what is leased, waits or was given up
//! there is a row; the courier asks for as much as it can carry, and says how each attempt ended, in one exchange.
//!
//! Guarantees: what was leased and not reported on when the process ended is leased again; a delivery keeps its id and
//! its events. Knows nothing of: HTTP, schedules, signatures.
//! Begins at [`Outbox::exchange`].

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{BillingEvent, DeliveryId, Snapshot, UnknownWord, WorkspaceId};
use rusqlite::{Connection, Transaction};

use crate::bell::Bell;
use crate::embedded::{self, delivery_rows};
use crate::error::Unavailable;
use crate::events::EventWindow;
use crate::store::Store;

/// Most events of one dead letter that was never leased.
pub(crate) const DEAD_RANGE_MAX: u64 = 1_000;
/// Most dead letters that one transaction redrives, so that the ledger never waits long for it.
const REDRIVEN_AT_ONCE_MAX: usize = 100;
/// Most deliveries that one transaction forgets.
const PRUNED_AT_ONCE_MAX: u16 = 1_000;

/// A delivery that was leased: somebody is to make an attempt, and then to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The same for all attempts.
    pub id: DeliveryId,
    /// Whose events.
    pub workspace: WorkspaceId,
    /// Its first event.
    pub first_sequence: u64,
    /// Its last event.
    pub last_sequence: u64,
    /// Attempts that have ended.
    pub attempts: u32,
    /// When the first attempt began, in milliseconds since 1970 UTC.
    pub first_attempt_ms: u64,
}

/// How many deliveries of a workspace somebody can carry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub workspace: WorkspaceId,
    /// How many at most; 1 or more.
    pub most: u16,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The delivery.
    pub id: DeliveryId,
    /// Milliseconds since 1970 UTC.
    pub ended_ms: u64,
    /// The status of the receiver's answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong, for people.
    pub error: Option<Box<str>>,
    /// What becomes of the delivery.
    pub then: Then,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It arrived.
    Done,
    /// It is tried again, at this time in milliseconds since 1970 UTC.
    Again {
        /// When.
        at_ms: u64,
    },
    /// It is given up.
    Dead,
}

/// What was leased of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What was leased.
    pub deliveries: Vec<Delivery>,
    /// When there may be more, in milliseconds since 1970 UTC; none before the next event.
    pub next_due_ms: Option<u64>,
}

/// A delivery as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLine {
    /// The same for all attempts.
    pub id: DeliveryId,
    /// Whose events.
    pub workspace: WorkspaceId,
    /// Its first event.
    pub first_sequence: u64,
    /// Its last event.
    pub last_sequence: u64,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts that have ended.
    pub attempts: u32,
    /// When the first one began, in milliseconds since 1970 UTC.
    pub first_attempt_ms: Option<u64>,
    /// When the last one ended, in milliseconds since 1970 UTC.
    pub last_attempt_ms: Option<u64>,
    /// When the next one begins, in milliseconds since 1970 UTC; while it is pending.
    pub next_attempt_ms: Option<u64>,
    /// The status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// What went wrong the last time.
    pub last_error: Option<String>,
}

impl DeliveryLine {
    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.last_sequence.saturating_sub(self.first_sequence).saturating_add(1)
    }
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its next attempt.
    Pending,
    /// An attempt is being made.
    UnderWay,
    /// It arrived.
    Done,
    /// It was given up: a dead letter.
    Dead,
    /// It was given up, and other deliveries were made of its events since.
    Redriven,
}

impl DeliveryState {
    const ALL: [Self; 5] = [Self::Pending, Self::UnderWay, Self::Done, Self::Dead, Self::Redriven];

    /// The word in the table and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::UnderWay => "under_way",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Redriven => "redriven",
        }
    }
}

impl FromStr for DeliveryState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.name() == word).ok_or(UnknownWord)
    }
}

/// How much there is to deliver over all workspaces, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxNumbers {
    /// Events that have not arrived and are not given up.
    pub undelivered: u64,
    /// The time of the oldest of them, in milliseconds since 1970 UTC.
    pub oldest_ms: Option<u64>,
    /// Dead letters.
    pub dead_letters: u64,
}

/// Which dead letters are to be delivered again.
#[derive(Debug, Clone)]
pub enum Redrive {
    /// All that there are now.
    All,
    /// These; all of them or, if one is not there, none.
    These(BTreeSet<DeliveryId>),
}

/// Why dead letters were not redriven. None of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveError {
    /// No dead letter of the workspace has this id.
    Unknown(DeliveryId),
    /// Whoever asked may not any more.
    NotAllowed,
    /// The store cannot write now.
    Unavailable,
}

/// The courier's side of the store. It must be dropped before the store is closed.
pub struct Outbox {
    store: Store,
    /// Its own, so that reading events stands in nobody's way.
    reader: Arc<Mutex<Connection>>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox(..)")
    }
}

impl Outbox {
    /// The store that it is of.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Says how attempts ended and leases what is wanted, in one transaction.
    ///
    /// # Errors
    /// When the store cannot write now; then nothing was reported and nothing leased.
    pub async fn exchange(
        &self,
        now_ms: u64,
        reports: Arc<[Report]>,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Lane>, Unavailable> {
        let write = move |tx: &Transaction<'_>| {
            reports.iter().try_for_each(|report| delivery_rows::report(tx, report))?;
            wanted.into_iter().map(|wanted| delivery_rows::lease(tx, wanted, now_ms)).collect()
        };
        self.store.write(write).await
    }

    /// Makes what was under way when the last process ended pending again. Answers how many deliveries that were.
    ///
    /// # Errors
    /// When the store cannot write now.
    pub async fn reclaim(&self, now_ms: u64) -> Result<usize, Unavailable> {
        self.store.write(move |tx| delivery_rows::reclaim(tx, now_ms)).await
    }

    /// Forgets deliveries that were made before this time, in milliseconds since 1970 UTC, and arrived or were redriven:
    /// some of them. Answers whether there may be more.
    ///
    /// # Errors
    /// When the store cannot write now.
    pub async fn prune(&self, before_ms: u64) -> Result<bool, Unavailable> {
        let prune = move |tx: &Transaction<'_>| delivery_rows::prune(tx, before_ms, PRUNED_AT_ONCE_MAX);
        Ok(self.store.write(prune).await? >= usize::from(PRUNED_AT_ONCE_MAX))
    }

    /// The events of a delivery, in order. Those that are past retention are missing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(
        &self,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<Vec<BillingEvent>, Unavailable>> + Send + use<> {
        let workspace = delivery.workspace;
        let until = delivery.last_sequence.saturating_add(1);
        let window = EventWindow { from: delivery.first_sequence, until };
        let reader = Arc::clone(&self.reader);
        read(reader, move |reader| embedded::read_events(reader, workspace, window, u16::MAX))
    }
}

/// Asks the disk something, on a thread that may wait for it.
async fn read<T, F>(reader: Arc<Mutex<Connection>>, ask: F) -> Result<T, Unavailable>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let asked = tokio::task::spawn_blocking(move || {
        ask(&reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|error| {
            tracing::error!(%error, "the outbox cannot be read");
            Unavailable
        })
    });
    asked.await.map_err(|_| Unavailable)?
}

/// Webhooks.
impl Store {
    /// The courier's side.
    ///
    /// # Errors
    /// When the store is closed, or cannot be read.
    pub fn outbox(&self) -> Result<Outbox, Unavailable> {
        let reader = self.another_reader()?;
        Ok(Outbox { store: self.clone(), reader: Arc::new(Mutex::new(reader)) })
    }

    /// Rung when there may be something to deliver.
    #[must_use]
    pub fn bell(&self) -> &Arc<Bell> {
        &self.inner.bell
    }

    /// Dead letters of a workspace in order of making, those after `after` only; no more than `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(
        &self,
        workspace: WorkspaceId,
        after: Option<DeliveryId>,
        most: usize,
    ) -> Result<Vec<DeliveryLine>, Unavailable> {
        self.read(move |reader| delivery_rows::dead_letters(reader, workspace, after, most)).await
    }

    /// The deliveries that an event was in, in order of making, as far as they are kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn delivery_attempts(
        &self,
        workspace: WorkspaceId,
        sequence: u64,
    ) -> Result<Vec<DeliveryLine>, Unavailable> {
        self.read(move |reader| delivery_rows::of_event(reader, workspace, sequence)).await
    }

    /// How much there is to deliver.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn outbox_numbers(&self) -> Result<OutboxNumbers, Unavailable> {
        self.read(delivery_rows::numbers).await
    }

    /// Delivers dead letters again, in new deliveries. `allowed` is asked of the configuration as it stands then. Answers
    /// how many dead letters that were.
    ///
    /// # Errors
    /// An id that names no dead letter, a right that holds no more, or a store that cannot write now.
    pub async fn redrive(
        &self,
        workspace: WorkspaceId,
        which: Redrive,
        now_ms: u64,
        allowed: impl Fn(&Snapshot) -> bool + Copy + Send + 'static,
    ) -> Result<u64, RedriveError> {
        let redriven = match which {
            Redrive::All => self.redrive_all(workspace, now_ms, allowed).await,
            Redrive::These(ids) => {
                let these = move |tx: &Transaction<'_>| redrive_these(tx, workspace, ids, now_ms);
                self.write_if(allowed, these).await.and_then(|these| these)
            }
        };
        self.bell().ring([workspace]);
        redriven
    }

    /// Some at a time, up to the last that is there now: what dies meanwhile stays dead.
    async fn redrive_all(
        &self,
        workspace: WorkspaceId,
        now_ms: u64,
        allowed: impl Fn(&Snapshot) -> bool + Copy + Send + 'static,
    ) -> Result<u64, RedriveError> {
        let (mut after, mut redriven) = (None, 0_u64);
        loop {
            let some = move |tx: &Transaction<'_>| {
                let letters = delivery_rows::dead_letters(tx, workspace, after, REDRIVEN_AT_ONCE_MAX)?;
                let letters: Vec<_> =
                    letters.into_iter().filter(|letter| letter.was_made_by(now_ms)).collect();
                let some = delivery_rows::redrive(tx, &letters, now_ms)?;
                Ok((letters.len(), letters.last().map(|letter| letter.id), some))
            };
            let (looked_at, last, some) = self.write_if(allowed, some).await?;
            redriven = redriven.saturating_add(some);
            after = last;
            if looked_at < REDRIVEN_AT_ONCE_MAX {
                return Ok(redriven);
            }
        }
    }

    /// Writes something in a transaction of its own, if whoever asked still may.
    async fn write_if<T, F>(
        &self,
        allowed: impl Fn(&Snapshot) -> bool + Send + 'static,
        write: F,
    ) -> Result<T, RedriveError>
    where
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let written = self.on_desk(move |books| {
            if allowed(&books.snapshot().load()) { books.write(write).map(Some) } else { Ok(None) }
        });
        written.await.map_err(|Unavailable| RedriveError::Unavailable)?.ok_or(RedriveError::NotAllowed)
    }

    /// Writes something in a transaction of its own.
    async fn write<T, F>(&self, write: F) -> Result<T, Unavailable>
    where
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_desk(move |books| books.write(write)).await
    }
}

/// All of these, or none.
fn redrive_these(
    tx: &Transaction<'_>,
    workspace: WorkspaceId,
    ids: BTreeSet<DeliveryId>,
    now_ms: u64,
) -> rusqlite::Result<Result<u64, RedriveError>> {
    let mut letters = Vec::new();
    for id in ids {
        match delivery_rows::dead_letter(tx, workspace, id)? {
            Some(letter) => letters.push(letter),
            None => return Ok(Err(RedriveError::Unknown(id))),
        }
    }
    delivery_rows::redrive(tx, &letters, now_ms).map(Ok)
}

impl DeliveryLine {
    fn was_made_by(&self, wall_ms: u64) -> bool {
        self.id <= DeliveryId::new(wall_ms, [u8::MAX; 10])
    }
}
