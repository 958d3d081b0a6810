//! Settlement: what an admitted call held is replaced with what it used.

mod charges;

use std::sync::Arc;

use domain::Now;

use crate::moment::Moment;
use crate::path::Path;
pub(crate) use crate::settlement::charges::{Charge, Charges};

/// What an admitted call holds. It ends exactly once, because ending consumes it: [`settle`](crate::Engine::settle),
/// [`release`](crate::Engine::release) or [`cancel`](crate::Engine::cancel).
///
/// Dropping it ends nothing: what it holds would be held for ever. Who keeps it while the call runs has the clock that
/// ending needs, and ends it.
#[must_use = "what is held must be settled, released or cancelled"]
#[derive(Debug)]
pub struct Reservation {
    path: Arc<Path>,
    charges: Charges,
}

/// How a reservation ends, for every limit on its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// When the call was admitted.
    pub(crate) admitted: Moment,
    /// Tokens that it held in all.
    pub(crate) held: u64,
    /// Those that it was given after its admission, oldest first.
    pub(crate) later: &'a [Charge],
    /// Tokens that were used.
    pub(crate) tokens: u64,
    /// Requests that stay charged: 1, or 0 if the call never was.
    pub(crate) requests: u64,
}

impl Reservation {
    pub(crate) fn new(path: Arc<Path>, tokens: u64, admitted: Now) -> Self {
        Self { path, charges: Charges::new(tokens, admitted) }
    }

    /// Tokens held until the end: what was granted at admission, and every top-up.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.charges.total()
    }

    /// The moment at which it was admitted: that of the tree, which never runs backward, and not always the caller's.
    #[must_use]
    pub fn admitted_at(&self) -> Now {
        self.charges.begun()
    }

    /// The path it was admitted on, and on which it settles whatever has been edited since.
    #[must_use]
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Makes room to remember one more charge, so that nothing is allocated while it is made.
    pub(crate) fn make_room(&mut self, now: Now) {
        self.charges.make_room(self.path.token_windows, now);
    }

    /// Remembers a charge that was just made.
    pub(crate) fn remember(&mut self, amount: u64, at: Now) {
        self.charges.push(self.path.token_windows, Charge { amount, at });
    }
}

pub(crate) fn settle(reservation: Reservation, tokens: u64, now: Now) -> Now {
    end(reservation, tokens, 1, now)
}

pub(crate) fn cancel(reservation: Reservation, now: Now) {
    end(reservation, 0, 0, now);
}

/// Returns when that was, by the tree's time.
fn end(reservation: Reservation, tokens: u64, requests: u64, now: Now) -> Now {
    let Reservation { path, charges } = reservation;
    let admitted = Moment::at(charges.begun());
    let ending = Ending { admitted, held: charges.total(), later: charges.later(), tokens, requests };
    let mut state = path.tree.state();
    let moment = state.moment(now);
    for hop in &path.hops {
        state.held(hop.counter).end(hop.measure, &ending, &moment);
    }
    // The path may be the last reference to its tree: free it after the lock.
    drop(state);
    drop(path);
    moment.now()
}
