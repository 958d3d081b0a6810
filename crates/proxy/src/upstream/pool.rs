//! Idle connections, by origin; the last one used is the first one taken, so that spares grow old and go.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, Now};
use foldhash::{HashMap, HashMapExt as _};
use outbound::Origin;

use super::Line;

/// An idle connection older than this is closed: servers commonly close theirs after 60 to 75 s.
const IDLE_NANOS_MAX: u64 = 50_000_000_000;

#[derive(Debug)]
struct Idle {
    line: Box<Line>,
    since_nanos: u64,
}

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Arc<Origin>, Vec<Idle>>>,
    idle_max: usize,
    clock: Arc<dyn Clock>,
}

impl Pool {
    pub(super) fn new(idle_max: usize, clock: Arc<dyn Clock>) -> Self {
        Self { idle: Mutex::new(HashMap::new()), idle_max, clock }
    }

    /// A connection that may serve a request, as far as anyone can tell without sending it.
    pub(super) fn take(&self, origin: &Arc<Origin>) -> Option<Box<Line>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spares = idle.get_mut(origin)?;
        let now = self.clock.now();
        while let Some(mut spare) = spares.pop() {
            if spare.is_fresh(now) {
                return Some(spare.line);
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended, if it may serve another request.
    pub(super) fn put(&self, origin: Arc<Origin>, mut line: Box<Line>) {
        if !line.connection.is_reusable() {
            return;
        }
        let now = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spares = idle.entry(origin).or_default();
        if spares.len() < self.idle_max {
            spares.push(Idle { line, since_nanos: now.mono_ns });
        }
    }

    pub(super) fn drop_idle(&self, now: Now) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, spares| {
            spares.retain_mut(|spare| spare.is_fresh(now));
            !spares.is_empty()
        });
    }
}

impl Idle {
    fn is_fresh(&mut self, now: Now) -> bool {
        now.mono_ns.saturating_sub(self.since_nanos) < IDLE_NANOS_MAX && self.line.connection.is_quiet()
    }
}
