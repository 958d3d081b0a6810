//! What a call takes from a counter, and what comes back when it ends.
//!
//! Guarantees: what was used beyond a hold is charged in full; a surplus returns only to the slots that took it.
//! Begins at [`Counter::charge`] and [`Counter::end`].

use domain::LimitType;

use crate::counter::day::DayCounter;
use crate::counter::ring::Ring;
use crate::counter::{Counter, Form, Gauge};
use crate::measure::Measure;
use crate::moment::Moment;
use crate::settlement::Ending;

impl Counter {
    /// Takes `amount` for an admitted call; tokens, and its place among the calls in flight, are held until it ends.
    #[inline]
    pub(crate) fn charge(&mut self, measure: Measure, amount: u64, moment: &Moment) {
        self.inflight = self.inflight.saturating_add(1);
        let hold = match measure {
            Measure::Use(LimitType::Token, _) | Measure::Concurrency => amount,
            Measure::Use(LimitType::Request, _) => 0,
        };
        self.gauge.held = self.gauge.held.saturating_add(hold);
        self.add(amount, moment);
    }

    /// Takes `amount` tokens more for a call that was charged before, held until it settles.
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
            Form::Day(day) => day.touched = true,
            Form::Log(log) => log.push(&mut self.gauge, moment.mono_ns),
        }
    }

    /// Replaces what an admitted call took with what it used.
    #[inline]
    pub(crate) fn end(&mut self, measure: Measure, ending: &Ending<'_>, moment: &Moment) {
        self.inflight = self.inflight.saturating_sub(1);
        match measure {
            Measure::Use(LimitType::Request, _) if ending.requests == 0 => {
                self.give_request_back(ending, moment);
            }
            Measure::Use(LimitType::Request, _) => {}
            Measure::Concurrency => self.gauge.release(1),
            Measure::Use(LimitType::Token, _) => self.settle_tokens(ending, moment),
        }
    }

    fn give_request_back(&mut self, ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        let gauge = &mut self.gauge;
        match &mut self.form {
            Form::Vacant | Form::Calls => {}
            Form::Day(_) => DayCounter::give_request_back(gauge, ending.admitted.day),
            Form::Log(log) => log.give_back(gauge, ending.admitted.mono_ns),
            Form::Ring(ring) => ring.refund(gauge, 1, ending.admitted.place(ring.span).slot),
        }
    }

    /// A surplus goes back to the slots that took it, or nowhere if they have left; overage is charged now, in full, past
    /// the threshold if need be.
    #[inline]
    fn settle_tokens(&mut self, ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        let &Ending { held, tokens, .. } = ending;
        match &mut self.form {
            // Tokens are never logged.
            Form::Vacant | Form::Calls | Form::Log(_) => {}
            Form::Day(day) => day.settle(&mut self.gauge, held, tokens),
            Form::Ring(ring) => {
                self.gauge.held = self.gauge.held.saturating_sub(held);
                match held.checked_sub(tokens) {
                    Some(0) => {}
                    Some(surplus) => refund(ring, &mut self.gauge, surplus, ending),
                    None => self.add(tokens.saturating_sub(held), moment),
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
