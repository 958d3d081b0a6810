//! Idle connections, by origin; the last one used is the first one taken, so that spares grow old and go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::Now;
use outbound::Origin;

use super::Connection;

/// An idle connection older than this is closed: servers commonly close theirs after 60 to 75 s.
const IDLE_NANOS_MAX: u64 = 50_000_000_000;

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since_nanos: u64,
}

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Origin, Vec<Idle>>>,
    idle_max: usize,
}

impl Pool {
    pub(super) fn new(idle_max: usize) -> Self {
        Self { idle: Mutex::default(), idle_max }
    }

    pub(super) fn take(&self, origin: &Origin, now: Now) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spares = idle.get_mut(origin)?;
        while let Some(spare) = spares.pop() {
            if is_fresh(&spare, now) {
                return Some(spare.connection);
            }
        }
        None
    }

    pub(super) fn put(&self, origin: Origin, connection: Connection, now: Now) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spares = idle.entry(origin).or_default();
        if spares.len() < self.idle_max {
            spares.push(Idle { connection, since_nanos: now.mono_ns });
        }
    }

    pub(super) fn drop_idle(&self, now: Now) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, spares| {
            spares.retain(|spare| is_fresh(spare, now));
            !spares.is_empty()
        });
    }
}

fn is_fresh(spare: &Idle, now: Now) -> bool {
    !spare.connection.is_closed() && now.mono_ns.saturating_sub(spare.since_nanos) < IDLE_NANOS_MAX
}
