//! Billing events as they are read back, for whoever writes bills: by sequence, by time, and of some keys or customers.
//!
//! Guarantees: a window that was pinned never changes, whatever is written meanwhile. The work for one page has a bound,
//! however few of the events in its window match.
//! Knows nothing of: who asks, and in which form events are told.
//! Begins at [`Store::event_page`].

use domain::{BillingEvent, WorkspaceId};

use crate::embedded;
use crate::error::Unavailable;
use crate::store::Store;

/// Which events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSpan {
    /// Those of a span of time, in milliseconds since 1970 UTC.
    Time {
        /// The first moment that is in it.
        start_ms: u64,
        /// The first that is not.
        end_ms: u64,
    },
    /// Those that follow this sequence.
    After(u64),
    /// What is left of a window.
    Window(EventWindow),
}

/// Events by their sequence: what a span comes to at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventWindow {
    /// The first sequence that is in it.
    pub from: u64,
    /// The first that is not.
    pub until: u64,
}

/// Which events match. Without any names, all do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Prefixes of keys, any of which will do; empty is every key.
    pub key_prefixes: Vec<String>,
    /// Identifiers of groups, any of which will do; empty is every group.
    pub external_entity_ids: Vec<String>,
}

/// Some of the events of a window, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// No more than were asked for. There may be fewer, even none, and still more to come.
    pub events: Vec<BillingEvent>,
    /// What is left of the window; none where nothing is.
    pub rest: Option<EventWindow>,
}

impl EventFilter {
    /// Whether every event matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key_prefixes.is_empty() && self.external_entity_ids.is_empty()
    }
}

impl Store {
    /// Events of a workspace from this sequence on, in order; no more than `most`. One that follows the last is written
    /// later, never one before it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn billing_events(
        &self,
        workspace: WorkspaceId,
        from_sequence: u64,
        most: u16,
    ) -> Result<Vec<BillingEvent>, Unavailable> {
        let window = EventWindow { from: from_sequence, until: u64::MAX };
        self.read(move |reader| embedded::read_events(reader, workspace, window, most)).await
    }

    /// The first page of a span, or the next one of a window; no more than `most` events.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn event_page(
        &self,
        workspace: WorkspaceId,
        span: EventSpan,
        filter: EventFilter,
        most: u16,
    ) -> Result<EventPage, Unavailable> {
        self.read_page(move |reader| {
            let window = embedded::event_window(reader, workspace, span)?;
            embedded::event_page(reader, workspace, window, (&filter, most))
        })
        .await
    }
}
