//! What one data-plane thread works with, and what all of them share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, Now, RequestId};
use limits::{Engine, Seen};
use storage::{RandomPool, Recorder, Store};
use tokio::sync::Semaphore;

use crate::drain::Drains;
use crate::gather::AnswerRoom;
use crate::numbers::{Numbers, Totals};
use crate::paths::Paths;
use crate::settings::Settings;
use crate::target::Targets;
use crate::upstream::Upstream;

/// Long prompts that are counted at once, each on a thread of its own; a further one is counted by its bytes. Each
/// holds at most [`tokens::COUNTED_MAX`] of text.
const COUNTS_MAX: usize = 4;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    pub(crate) store: Store,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) buffered: AtomicUsize,
    pub(crate) answer_room: AnswerRoom,
    pub(crate) drains: Drains,
    pub(crate) numbers: Numbers,
    #[cfg(feature = "otel")]
    pub(crate) spans: std::sync::OnceLock<crate::spans::Spans>,
    /// Places for long prompts to be counted beside the threads that serve calls.
    pub(crate) counts: Arc<Semaphore>,
    in_flight: AtomicUsize,
    leaving: AtomicBool,
    draining: AtomicBool,
}

impl Shared {
    /// Brings together what the data plane needs.
    #[must_use]
    pub fn new(store: Store, engine: Arc<Engine>, clock: Arc<dyn Clock>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            store,
            engine,
            clock,
            answer_room: AnswerRoom::new(settings.buffered_max),
            drains: Drains::new(settings.drain_timeout),
            numbers: Numbers::default(),
            #[cfg(feature = "otel")]
            spans: std::sync::OnceLock::new(),
            settings,
            buffered: AtomicUsize::new(0),
            counts: Arc::new(Semaphore::new(COUNTS_MAX)),
            in_flight: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// From now on the gateway says that it is not ready; it still serves.
    pub fn start_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the gateway will stop soon.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// From now on new calls are answered 503 `draining`; those admitted go on.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Calls admitted and not settled yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// What calls came to since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.numbers.totals()
    }

    /// Spans that were dropped since the start; none where no spans are wanted.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn spans_lost(&self) -> Option<u64> {
        self.spans.get().map(crate::spans::Spans::lost)
    }

    /// From now on spans of calls are handed over there. The first such place counts.
    #[cfg(feature = "otel")]
    pub fn trace(&self, spans: crate::spans::Spans) {
        let _ = self.spans.set(spans);
    }

    /// Bytes of request bodies that have room in memory now.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    pub(crate) fn call_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn call_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One data-plane thread: its own connections upstream, its own lane of the journal and its own memory of compiled paths.
#[derive(Debug)]
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstream: Upstream,
    pub(crate) paths: Paths,
    pub(crate) targets: Targets,
    /// Its own way into the journal.
    pub(crate) recorder: Recorder,
    /// What the last admission saw: kept for its room.
    pub(crate) seen: Mutex<Seen>,
    /// What the ids of calls are made of.
    random: Mutex<RandomPool>,
}

impl Worker {
    /// A worker; `upstream` is its own.
    #[must_use]
    pub fn new(shared: Arc<Shared>, upstream: Upstream) -> Arc<Self> {
        let (paths, targets) = (Paths::default(), Targets::default());
        let recorder = shared.store.recorder();
        let (seen, random) = (Mutex::default(), Mutex::default());
        Arc::new(Self { shared, upstream, paths, targets, recorder, seen, random })
    }

    /// The id of a call that arrives now.
    pub(crate) fn fresh_id(&self, now: Now) -> RequestId {
        let random = self.random.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        RequestId::new(now.wall_ms, random)
    }

    /// Closes upstream connections that nobody used for a while. Called every minute.
    pub fn tidy(&self) {
        self.upstream.drop_idle(self.shared.clock.now());
    }
}
