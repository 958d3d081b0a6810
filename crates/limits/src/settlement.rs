//! Settlement: what an admitted call held is replaced with what it used.

use std::sync::Arc;

use domain::Now;

use crate::moment::Moment;
use crate::path::Path;

/// What an admitted call holds. It ends exactly once, because ending consumes it: [`settle`](crate::Engine::settle),
/// [`release`](crate::Engine::release) or [`cancel`](crate::Engine::cancel).
///
/// Dropping it ends nothing: what it holds would be held for ever. Who keeps it while the call runs has the clock that
/// ending needs, and ends it.
#[must_use = "what is held must be settled, released or cancelled"]
#[derive(Debug)]
pub struct Reservation {
    path: Arc<Path>,
    tokens: u64,
    charged: Now,
}

/// How a reservation ends, for every limit on its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// Tokens that were taken at admission.
    pub(crate) held: u64,
    /// When that was.
    pub(crate) charged: Moment,
    /// Tokens that were used.
    pub(crate) tokens: u64,
    /// Requests that stay charged: 1, or 0 if the call never was.
    pub(crate) requests: u64,
}

impl Reservation {
    pub(crate) fn new(path: Arc<Path>, tokens: u64, charged: Now) -> Self {
        Self { path, tokens, charged }
    }

    /// Tokens held until the end.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The path it was admitted on, and on which it settles whatever has been edited since.
    #[must_use]
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }
}

pub(crate) fn settle(reservation: Reservation, tokens: u64, now: Now) {
    end(reservation, tokens, 1, now);
}

pub(crate) fn cancel(reservation: Reservation, now: Now) {
    end(reservation, 0, 0, now);
}

fn end(reservation: Reservation, tokens: u64, requests: u64, now: Now) {
    let Reservation { path, tokens: held, charged } = reservation;
    let ending = Ending { held, charged: Moment::at(charged), tokens, requests };
    let mut state = path.tree.state();
    let moment = state.moment(now);
    for hop in &path.hops {
        state.held(hop.counter).end(hop.measure, &ending, &moment);
    }
    // The path may be the last reference to its tree: free it after the lock.
    drop(state);
    drop(path);
}
