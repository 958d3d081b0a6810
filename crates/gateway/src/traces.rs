//! Sends spans of calls to a collector, by OTLP over HTTP.
//!
//! Guarantees: no call ever waits for it. Spans wait in a bounded queue and are sent in batches by a thread of its own;
//! what finds no room there, or what the collector does not take, is dropped and counted, and one line a minute says so.
//! What is left at the end is sent before the gateway ends, if that is done quickly.
//! Knows nothing of: calls. Begins at [`attach`]; `otlp` is the form, `collector` the way.

mod collector;
mod otlp;

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use proxy::{Shared, Span, Spans};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::collector::Collector;
use crate::config::Config;
use crate::node::Phase;

/// Spans in one request.
const BATCH_MAX: usize = 512;
/// How long a first span waits for others to share its request.
const BATCH_WAIT: Duration = Duration::from_secs(2);
/// How long what is left may take when the gateway ends.
const LAST_MAX: Duration = Duration::from_secs(3);
/// Between two lines in the log about what was lost.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Has the data plane hand its spans over, if a collector is configured, and starts the thread that sends them on.
///
/// # Errors
/// A collector that cannot be called, or a machine that gives no threads.
pub(crate) fn attach(
    shared: &Shared,
    config: &Config,
    phase: watch::Receiver<Phase>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let telemetry = &config.telemetry;
    if telemetry.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let collector = Collector::at(&telemetry.otlp_endpoint)?;
    let (spans, arriving) = Spans::channel(telemetry.sample_one_in);
    let exporter = Exporter { collector, spans: spans.clone(), batch: Vec::new(), said: None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of traces")?;
    let thread = std::thread::Builder::new()
        .name("traces".into())
        .spawn(move || runtime.block_on(exporter.run(arriving, phase)))
        .context("cannot start the thread of traces")?;
    shared.trace(spans);
    Ok(Some(thread))
}

struct Exporter {
    collector: Collector,
    spans: Spans,
    batch: Vec<Span>,
    /// When it was last said that spans were lost, and how many were by then.
    said: Option<(Instant, u64)>,
}

impl Exporter {
    async fn run(mut self, mut arriving: Receiver<Span>, mut phase: watch::Receiver<Phase>) {
        let ending = async { drop(phase.wait_for(|phase| *phase >= Phase::Ending).await) };
        tokio::select! {
            () = self.send_as_they_come(&mut arriving) => {}
            () = ending => {}
        }
        if timeout(LAST_MAX, self.send_what_is_left(&mut arriving)).await.is_err() {
            self.spans.note_lost(self.batch.len());
        }
        self.report(Duration::ZERO);
    }

    async fn send_as_they_come(&mut self, arriving: &mut Receiver<Span>) {
        while arriving.recv_many(&mut self.batch, BATCH_MAX).await > 0 {
            // In time or not: then it is sent.
            let _ = timeout(BATCH_WAIT, fill(&mut self.batch, arriving)).await;
            self.send().await;
            self.report(REPORT_EVERY);
        }
    }

    /// Calls have ended, so nothing more comes.
    async fn send_what_is_left(&mut self, arriving: &mut Receiver<Span>) {
        loop {
            while self.batch.len() < BATCH_MAX
                && let Ok(span) = arriving.try_recv()
            {
                self.batch.push(span);
            }
            if self.batch.is_empty() {
                return;
            }
            self.send().await;
        }
    }

    /// Sends the batch, once: a collector that is away must not make spans pile up.
    async fn send(&mut self) {
        if let Err(error) = self.collector.post(otlp::request(&self.batch)).await {
            tracing::debug!(%error, spans = self.batch.len(), "the collector took no spans");
            self.spans.note_lost(self.batch.len());
        }
        self.batch.clear();
    }

    fn report(&mut self, every: Duration) {
        let (lost, now) = (self.spans.lost(), Instant::now());
        let (said_at, said) = self.said.map_or((None, 0), |(at, lost)| (Some(at), lost));
        if lost > said && said_at.is_none_or(|at| now.duration_since(at) >= every) {
            tracing::warn!(
                spans = lost - said,
                "spans were lost: the collector does not take them, or not as fast"
            );
            self.said = Some((now, lost));
        }
    }
}

/// Takes what comes until the batch is full.
async fn fill(batch: &mut Vec<Span>, arriving: &mut Receiver<Span>) {
    while batch.len() < BATCH_MAX {
        let room = BATCH_MAX - batch.len();
        if arriving.recv_many(batch, room).await == 0 {
            return;
        }
    }
}
