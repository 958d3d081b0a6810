//! Every metric there is: its name, what it tells, and where it is read.
//!
//! Numbers are kept where they come about, as plain atomics; they become text here, when somebody scrapes, and only then.
//! A new metric is a field where its number is kept, and a line in one of the lists below.
//!
//! Guarantees: labels have values from closed lists alone, so there are as many series on the last day as on the first;
//! seconds and bytes are the units; whatever counts ends in `_total`.
//! Knows nothing of: HTTP, and who may read this. Begins at [`Source::write`].

mod page;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use proxy::{Shared, Totals};
use storage::{LastAudit, Numbers, OutboxNumbers, Store};
use webhooks::{Ending, Tally};

use self::page::Page;
use crate::node::Door;

/// The form of what is written.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where numbers are read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    pub(crate) door: Door,
    /// Bytes of request bodies that may be in memory at once.
    pub(crate) bodies_max: usize,
    /// Attempts to deliver to webhooks.
    pub(crate) deliveries: Arc<Tally>,
    /// What had to be asked of the disk for the page that is written.
    pub(crate) outbox: Arc<Mutex<OutboxNumbers>>,
}

/// All metrics, ready to be written.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    outbox: Arc<Mutex<OutboxNumbers>>,
}

impl Metrics {
    pub(crate) fn of(source: Source) -> Self {
        let outbox = Arc::clone(&source.outbox);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(source));
        Self { registry, outbox }
    }

    /// The numbers of this moment, in the text form of `OpenMetrics` 1.0. What the disk says of the outbox is brought along.
    ///
    /// # Errors
    /// Never: text is written to memory.
    pub(crate) fn text(&self, outbox: OutboxNumbers) -> Result<String, fmt::Error> {
        *self.outbox.lock().unwrap_or_else(PoisonError::into_inner) = outbox;
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(&mut Page::new(encoder))
    }
}

impl Source {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        calls(page, &self.shared.totals())?;
        self.load(page)?;
        storage(page, &self.store.numbers())?;
        let outbox = *self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        webhooks(page, outbox, &self.deliveries)?;
        audit(page, self.store.last_audit())?;
        self.gateway(page)
    }

    /// How much is going on.
    fn load(&self, page: &mut Page<'_>) -> fmt::Result {
        let Self { shared, door, bodies_max, .. } = self;
        page.gauge("tollgate_calls_in_flight", "Calls admitted and not settled yet.", shared.in_flight())?;
        page.gauge(
            "tollgate_request_body_bytes",
            "Room taken by request bodies in memory.",
            shared.buffered(),
        )?;
        page.gauge(
            "tollgate_request_body_bytes_max",
            "Room for request bodies in memory; beyond it calls are answered 503 (server.max_buffered_mb).",
            *bodies_max,
        )?;
        page.gauge("tollgate_connections", "Connections of callers that are served.", door.open())?;
        page.gauge(
            "tollgate_connections_max",
            "Connections that may be served at once; further ones wait (server.max_connections).",
            door.open_max(),
        )
    }

    /// The process itself.
    fn gateway(&self, page: &mut Page<'_>) -> fmt::Result {
        let version = self.store.snapshot().version().0;
        page.gauge("tollgate_configuration_version", "Number of the edit that is in force.", version)?;
        let ready = u64::from(!self.shared.is_leaving());
        #[cfg(feature = "otel")]
        if let Some(lost) = self.shared.spans_lost() {
            page.counter(
                "tollgate_spans_lost",
                "Spans of calls that were not sent on; calls are not affected.",
                lost,
            )?;
        }
        page.gauge("tollgate_ready", "1 while callers may be sent here, 0 from SIGTERM on.", ready)?;
        page.info("tollgate_build", "The program.", [("version", env!("CARGO_PKG_VERSION"))])
    }
}

/// What calls came to.
fn calls(page: &mut Page<'_>, totals: &Totals) -> fmt::Result {
    page.counters(
        "tollgate_calls",
        "Calls that were admitted and have ended, by route and by how they ended.",
        totals.calls.iter().map(|(operation, outcome, count)| {
            ([("route", operation.path()), ("outcome", outcome.name())], *count)
        }),
    )?;
    page.counters(
        "tollgate_refused_calls",
        "Calls that a limit refused, by the type and the unit of the limit that binds.",
        totals.refused.iter().map(|(measure, count)| {
            ([("type", measure.name()), ("unit", measure.unit_name().unwrap_or_default())], *count)
        }),
    )?;
    page.counters(
        "tollgate_turned_away_requests",
        "Requests that came to no limit, by the code of their answer.",
        totals.turned_away.iter().map(|(reason, count)| ([("code", reason.code())], *count)),
    )?;
    tokens(page, totals)?;
    times(page, totals)
}

fn tokens(page: &mut Page<'_>, totals: &Totals) -> fmt::Result {
    page.counters(
        "tollgate_tokens",
        "Tokens of calls that have ended; the prompt's include cached ones.",
        [([("kind", "input")], totals.input_tokens), ([("kind", "output")], totals.output_tokens)],
    )?;
    page.counter(
        "tollgate_cached_input_tokens",
        "The part of the prompts' tokens that model servers had in their caches.",
        totals.cached_tokens,
    )
}

fn times(page: &mut Page<'_>, totals: &Totals) -> fmt::Result {
    page.histogram(
        "tollgate_added_latency_seconds",
        "From the head of a request to its way upstream: reading its body, and what the gateway does.",
        &totals.added,
    )?;
    page.histograms(
        "tollgate_call_first_byte_seconds",
        "From admission to the head of the model server's answer, by route.",
        totals.first_byte.iter().map(|(operation, taken)| ([("route", operation.path())], taken)),
    )?;
    page.histograms(
        "tollgate_call_duration_seconds",
        "From admission to the end of the call, by route.",
        totals.duration.iter().map(|(operation, taken)| ([("route", operation.path())], taken)),
    )
}

/// How the store does.
fn storage(page: &mut Page<'_>, numbers: &Numbers) -> fmt::Result {
    page.gauge(
        "tollgate_ledger_pending_entries",
        "Ledger entries that are promised to calls or wait for the disk.",
        numbers.ledger_pending,
    )?;
    page.gauge(
        "tollgate_ledger_pending_entries_max",
        "How many of them there may be; beyond it calls are answered 503.",
        numbers.ledger_pending_max,
    )?;
    page.gauge(
        "tollgate_ledger_writable",
        "1 while the ledger can be written; while it is 0 no call is admitted.",
        u64::from(numbers.ledger_writable),
    )?;
    page.counter("tollgate_ledger_entries", "Ledger entries written to disk.", numbers.ledger_entries)?;
    let journal = numbers.journal;
    page.gauge("tollgate_journal_bytes", "What the journal takes of the disk.", journal.bytes)?;
    page.gauge(
        "tollgate_journal_unsynced_bytes",
        "What is written in the journal and would be lost with the power (ledger.sync_interval).",
        journal.unsynced_bytes,
    )?;
    page.gauge(
        "tollgate_journal_lag_entries",
        "Calls that have ended, are in the journal, and are not in the ledger yet.",
        journal.unwritten_entries,
    )?;
    page.counter(
        "tollgate_refusal_records_lost",
        "Refusals that could not be kept on disk to be explained later; calls are not affected.",
        numbers.refusals_lost,
    )
}

/// What becomes of billing events.
fn webhooks(page: &mut Page<'_>, outbox: OutboxNumbers, deliveries: &Tally) -> fmt::Result {
    page.counters(
        "tollgate_webhook_attempts",
        "Attempts to deliver billing events, by how they ended.",
        Ending::ALL.map(|ending| ([("ending", ending.name())], deliveries.of(ending))),
    )?;
    page.gauge(
        "tollgate_webhook_undelivered_events",
        "Billing events that have not arrived and are not given up.",
        outbox.undelivered,
    )?;
    page.gauge(
        "tollgate_webhook_oldest_undelivered_timestamp_seconds",
        "When the oldest of them came about, in seconds since 1970 UTC; 0 if there is none.",
        outbox.oldest_ms.unwrap_or(0) / 1_000,
    )?;
    page.gauge("tollgate_webhook_dead_letters", "Deliveries that were given up.", outbox.dead_letters)
}

/// Whether the books add up.
fn audit(page: &mut Page<'_>, last: Option<LastAudit>) -> fmt::Result {
    let (differences, at_ms) = last.map_or((0, 0), |last| (last.differences, last.at_ms));
    page.gauge(
        "tollgate_audit_differences",
        "Differences between the ledger and its sums, events and counters that the last audit found.",
        differences,
    )?;
    page.gauge(
        "tollgate_audit_last_timestamp_seconds",
        "When the last audit of this process ended, in seconds since 1970 UTC; 0 if there was none.",
        at_ms / 1_000,
    )
}
