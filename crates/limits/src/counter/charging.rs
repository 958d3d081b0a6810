//! What a call takes from a counter, and what comes back when it ends.
//!
//! Guarantees: what was used beyond a hold is charged in full; a surplus returns only to the slots that took it.
//! Begins at [`Counter::charge`] and [`Counter::end`].

use crate::counter::ring::Ring;
use crate::counter::{Counter, Form, Gauge};
use crate::measure::Kind;
use crate::moment::Moment;
use crate::settlement::Ending;

impl Counter {
    /// Takes `amount` for an admitted call, and of that holds `hold` until the call ends.
    #[inline]
    pub(crate) fn charge(&mut self, amount: u64, hold: u64, moment: &Moment) {
        self.inflight = self.inflight.saturating_add(1);
        self.gauge.held = self.gauge.held.saturating_add(hold);
        self.add(amount, moment);
    }

    /// Takes so much more for a call that was charged before, held until it settles.
    #[inline]
    pub(crate) fn top_up(&mut self, amount: u64, moment: &Moment) {
        self.gauge.held = self.gauge.held.saturating_add(amount);
        self.add(amount, moment);
    }

    #[inline]
    fn add(&mut self, amount: u64, moment: &Moment) {
        self.gauge.add(amount);
        match &mut self.form {
            Form::Ring(ring) if amount > 0 => ring.charge(&mut self.gauge, amount, moment.place(ring.span)),
            Form::Vacant | Form::Calls | Form::Ring(_) => {}
            Form::Period(period) => period.touched = true,
            Form::Log(log) => log.push(&mut self.gauge, moment.mono_ns),
        }
    }

    /// Replaces what an admitted call took with what it used.
    #[inline]
    pub(crate) fn end(&mut self, kind: Kind, ending: &Ending<'_>, moment: &Moment) {
        self.inflight = self.inflight.saturating_sub(1);
        let &Ending { held, used, .. } = ending;
        match kind {
            Kind::Requests if ending.requests == 0 => self.give_request_back(ending, moment),
            Kind::Requests => {}
            Kind::Tokens => self.settle_amount((held.tokens, used.tokens), ending, moment),
            Kind::Usd => self.settle_amount((held.usd.0, used.usd.0), ending, moment),
            Kind::Calls => self.gauge.release(1),
        }
    }

    fn give_request_back(&mut self, ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        let gauge = &mut self.gauge;
        match &mut self.form {
            Form::Vacant | Form::Calls => {}
            Form::Period(period) => period.give_request_back(gauge, &ending.admitted),
            Form::Log(log) => log.give_back(gauge, ending.admitted.mono_ns),
            Form::Ring(ring) => ring.refund(gauge, 1, ending.admitted.place(ring.span).slot),
        }
    }

    /// A surplus goes back to the slots that took it, or nowhere if they have left; overage is charged now, in full, past
    /// the threshold if need be.
    #[inline]
    fn settle_amount(&mut self, (held, used): (u64, u64), ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        match &mut self.form {
            // Tokens are never logged.
            Form::Vacant | Form::Calls | Form::Log(_) => {}
            Form::Period(period) => period.settle(&mut self.gauge, held, used),
            Form::Ring(ring) => {
                self.gauge.held = self.gauge.held.saturating_sub(held);
                match held.checked_sub(used) {
                    Some(0) => {}
                    Some(surplus) => refund(ring, &mut self.gauge, surplus, ending),
                    None => self.add(used.saturating_sub(held), moment),
                }
            }
        }
    }
}

/// Gives a surplus back, of the newest charge first, each part to the slot that took it.
#[inline]
fn refund(ring: &mut Ring, gauge: &mut Gauge, surplus: u64, ending: &Ending<'_>) {
    let mut left = surplus;
    for charge in ending.later.iter().rev() {
        let part = left.min(charge.amount);
        ring.refund(gauge, part, ring.span.place(charge.at.mono_ns).slot);
        left = left.saturating_sub(part);
        if left == 0 {
            return;
        }
    }
    ring.refund(gauge, left, ending.admitted.place(ring.span).slot);
}
