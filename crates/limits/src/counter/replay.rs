//! How a rolling counter takes up what was charged before a restart.
//!
//! Guarantees: it then stands as it would if those charges had been made one after the other on this very counter.

use crate::counter::log::{LOG_LEN_MAX, Log};
use crate::counter::{Counter, Form, Gauge};
use crate::measure::Kind;
use crate::recent::{Charged, Recent};

impl Counter {
    /// Charges what came before; what has left the window meanwhile goes as the next call looks at it.
    pub(crate) fn replay(&mut self, kind: Kind, recent: &Recent) {
        for charge in recent.charges() {
            match &mut self.form {
                Form::Log(log) => replay_requests(log, &mut self.gauge, charge),
                Form::Ring(ring) => {
                    let amount = if kind == Kind::Requests { charge.requests } else { charge.tokens };
                    if amount > 0 {
                        ring.expire(&mut self.gauge, charge.mono_ns);
                        self.gauge.add(amount);
                        ring.charge(&mut self.gauge, amount, ring.span.place(charge.mono_ns));
                    }
                }
                // Days and periods open with what the ledger says; no call in flight outlives the process.
                Form::Vacant | Form::Calls | Form::Period(_) => return,
            }
        }
    }
}

/// A log was a ring before, if its threshold was lowered: then the latest requests are those that count longest.
fn replay_requests(log: &mut Log, gauge: &mut Gauge, charge: &Charged) {
    let most = u64::try_from(LOG_LEN_MAX).unwrap_or(u64::MAX);
    for _ in 0..charge.requests.min(most) {
        log.expire(gauge, charge.mono_ns);
        log.push_over(gauge, charge.mono_ns);
    }
}
