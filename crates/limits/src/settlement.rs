//! Settlement: what an admitted call held is replaced with what it used.

mod charges;

use std::sync::Arc;

use domain::{LateCharge, Now, Tariff, Usd};

use crate::locked::Locked;
use crate::measure::Size;
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
    usd: Usd,
    tariff: Tariff,
}

/// When a call was settled, and what of its charges came late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// By the time under the locks: the day and the periods that it was charged to.
    pub at: Now,
    /// Those of its tokens that rolling windows were charged after its admission, oldest first: what it was topped up
    /// with, less what went back, and what it used beyond all it held. None where no rolling window counts tokens.
    pub late: Box<[LateCharge]>,
}

/// How a reservation ends, for every limit on its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// When the call was admitted.
    pub(crate) admitted: Moment,
    /// What it held in all.
    pub(crate) held: Size,
    /// Tokens that it was given after its admission, oldest first.
    pub(crate) later: &'a [Charge],
    /// What was used.
    pub(crate) used: Size,
    /// Requests that stay charged: 1, or 0 if the call never was.
    pub(crate) requests: u64,
}

impl Reservation {
    pub(crate) fn new(path: Arc<Path>, (size, tariff): (Size, Tariff), admitted: Now) -> Self {
        Self { path, charges: Charges::new(size.tokens, admitted), usd: size.usd, tariff }
    }

    /// What is held until the end: what was granted at admission, and every top-up.
    #[must_use]
    pub fn held(&self) -> Size {
        Size { tokens: self.charges.total(), usd: self.usd }
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

    /// What further tokens cost at most.
    pub(crate) fn tariff(&self) -> Tariff {
        self.tariff
    }

    /// Makes room to remember one more charge, so that nothing is allocated while it is made.
    pub(crate) fn make_room(&mut self, now: Now) {
        self.charges.make_room(self.path.token_windows, now);
    }

    /// Remembers a charge that was just made.
    pub(crate) fn remember(&mut self, more: Size, at: Now) {
        self.usd = self.usd.plus(more.usd);
        self.charges.push(self.path.token_windows, Charge { amount: more.tokens, at });
    }
}

pub(crate) fn settle(reservation: Reservation, used: Size, now: Now) -> Settled {
    end(reservation, used, 1, now)
}

pub(crate) fn cancel(reservation: Reservation, now: Now) {
    end(reservation, Size::ZERO, 0, now);
}

fn end(reservation: Reservation, used: Size, requests: u64, now: Now) -> Settled {
    let held = reservation.held();
    let Reservation { path, charges, .. } = reservation;
    let admitted = Moment::at(charges.begun());
    let ending = Ending { admitted, held, later: charges.later(), used, requests };
    let mut locked = Locked::new(&path);
    let moment = locked.moment(now);
    locked.each(|hop, counter| counter.end(hop.kind, &ending, &moment));
    // The path may be the last reference to its trees: free them after the locks.
    drop(locked);
    let at = moment.now();
    let late = match path.token_windows {
        Some(_) => charges.late(used.tokens, at),
        None => Box::default(),
    };
    drop(path);
    Settled { at, late }
}
