//! Questions that the disk answers: each on a thread that may wait for it, on a connection that only reads.
//!
//! Guarantees: a page of the ledger keeps no short question waiting; what takes long gets a connection of its own.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{GroupId, LineId, RequestId, Slug};
use rusqlite::Connection;

use super::{Inner, Store};
use crate::embedded::{self, LedgerLine, LineEdit};
use crate::error::Unavailable;
use crate::today::UseScope;

impl Store {
    /// Whether a group ever used a slug, on any day.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ever_used(&self, group: GroupId, scope: UseScope, slug: &Slug) -> Result<bool, Unavailable> {
        let slug = slug.clone();
        // While the disk takes nothing, what was written last is missing.
        let _ = self.write_sums(Some(group)).await;
        self.read(move |reader| embedded::ever_used(reader, group, scope, &slug)).await
    }

    /// The ledger's line about a call, as far as it is on disk ([`Self::flush`] waits for that). None for a call that
    /// was refused, and for one that has not ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entry(&self, request: RequestId) -> Result<Option<LedgerLine>, Unavailable> {
        self.read(move |reader| embedded::read_entry(reader, &request)).await
    }

    /// The ledger's lines about the calls that arrived last, as far as they are on disk, newest first; no more than
    /// `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_entries(&self, most: u16) -> Result<Vec<LedgerLine>, Unavailable> {
        self.read(move |reader| embedded::read_last_entries(reader, most)).await
    }

    /// The ledger's lines about calls whose ids follow this one, as far as they are on disk, in the order of ids; no
    /// more than `most`. Ids follow the time of admission.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entries_after(&self, after: RequestId, most: u16) -> Result<Vec<LedgerLine>, Unavailable> {
        self.read(move |reader| embedded::read_entries_after(reader, &after, most)).await
    }

    /// Every opening and every reset of a line of a model config, oldest first; no more than `most`. What the line has
    /// used is what its entries say in its present period, and these.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn line_edits(&self, line: LineId, most: u16) -> Result<Vec<LineEdit>, Unavailable> {
        self.read(move |reader| embedded::read_line_edits(reader, line, most)).await
    }

    /// Asks the disk something short, on a thread that may wait for it.
    pub(crate) async fn read<T, F>(&self, ask: F) -> Result<T, Unavailable>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.read_by(|inner| &inner.reader, ask).await
    }

    /// The same for a page of the ledger.
    pub(crate) async fn read_page<T, F>(&self, ask: F) -> Result<T, Unavailable>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.read_by(|inner| &inner.pages, ask).await
    }

    async fn read_by<T, F>(
        &self,
        reader: fn(&Inner) -> &Mutex<Option<Connection>>,
        ask: F,
    ) -> Result<T, Unavailable>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let asked = tokio::task::spawn_blocking(move || {
            let reader = reader(&inner).lock().unwrap_or_else(PoisonError::into_inner);
            ask(reader.as_ref().ok_or(Unavailable)?).map_err(|error| {
                tracing::error!(%error, "the store cannot be read");
                Unavailable
            })
        });
        asked.await.map_err(|_| Unavailable)?
    }

    /// One more connection that only reads. It must be gone before the store is closed.
    pub(crate) fn another_reader(&self) -> Result<Connection, Unavailable> {
        let reader = self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
        embedded::open_beside(reader.as_ref().ok_or(Unavailable)?).map_err(|error| {
            tracing::error!(%error, "the store cannot be opened once more");
            Unavailable
        })
    }
}
