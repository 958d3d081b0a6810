//! What one data-plane thread works with, and what all of them share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use domain::Clock;
use limits::{Engine, Seen};
use storage::Store;
use tokio::sync::Semaphore;

use crate::drain::Drains;
use crate::gather::AnswerRoom;
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

    pub(crate) fn call_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn call_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One data-plane thread: its own connections upstream and its own memory of compiled paths.
#[derive(Debug)]
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) upstream: Upstream,
    pub(crate) paths: Paths,
    pub(crate) targets: Targets,
    /// What the last admission saw: kept for its room.
    pub(crate) seen: Mutex<Seen>,
}

impl Worker {
    /// A worker; `upstream` is its own.
    #[must_use]
    pub fn new(shared: Arc<Shared>, upstream: Upstream) -> Arc<Self> {
        let (paths, targets) = (Paths::default(), Targets::default());
        Arc::new(Self { shared, upstream, paths, targets, seen: Mutex::default() })
    }

    /// Closes upstream connections that nobody used for a while. Called every minute.
    pub fn tidy(&self) {
        self.upstream.drop_idle(self.shared.clock.now());
    }
}
