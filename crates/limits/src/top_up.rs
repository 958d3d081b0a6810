//! Top-up: a call in flight asks for more tokens than it was admitted with.
//!
//! All or nothing, like an admission, but of the limits on tokens and dollars alone: it is no new request, and no new
//! call in flight. A call keeps the path that it was admitted on, so an edit neither stops its top-ups nor changes the
//! thresholds that they are checked against.

use domain::Now;

use crate::ask::cost;
use crate::locked::Locked;
use crate::measure::{Amounts, Size};
use crate::moment::Moment;
use crate::refusal::{Judge, Verdict, obstacle};
use crate::settlement::Reservation;

/// The answer to a call in flight that asks for more.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopUp {
    /// The reservation holds that much more.
    Granted,
    /// At least one limit on tokens or dollars does not fit; nothing is charged, and the reservation holds what it held.
    Refused {
        /// The limit that binds, as an index into the limits of the reservation's path.
        limit: usize,
        /// When the same top-up would pass. What the call itself holds counts as held like any other.
        verdict: Verdict,
    },
}

pub(crate) fn top_up(reservation: &mut Reservation, tokens: u64, now: Now) -> TopUp {
    reservation.make_room(now);
    // All of it is output: the prompt was held at the admission.
    let more = Size { tokens, usd: cost(reservation.tariff(), 0, tokens) };
    let charged = Amounts::charged(more);
    let mut locked = Locked::new(reservation.path());
    let moment = locked.moment(now);
    if !fits(&mut locked, more, &moment) {
        return refuse(&mut locked, more, &moment);
    }
    locked.each(|hop, counter| {
        if hop.kind.weighs() {
            counter.top_up(charged.of(hop.kind), &moment);
        }
    });
    drop(locked);
    reservation.remember(more, moment.now());
    TopUp::Granted
}

fn fits(locked: &mut Locked<'_>, more: Size, moment: &Moment) -> bool {
    let mut fits = true;
    let demanded = Amounts::demanded(more);
    locked.each(|hop, counter| {
        fits &= !hop.kind.weighs() || counter.admits(demanded.of(hop.kind), hop.threshold, moment);
    });
    fits
}

#[cold]
fn refuse(locked: &mut Locked<'_>, more: Size, moment: &Moment) -> TopUp {
    let mut judge = Judge::default();
    let demanded = Amounts::demanded(more);
    locked.each(|hop, counter| {
        let asked = hop.kind.weighs().then(|| demanded.of(hop.kind));
        judge.hear(hop.kind, asked.and_then(|asked| obstacle(counter, asked, hop.threshold, moment)));
    });
    let (limit, verdict) = judge.verdict();
    TopUp::Refused { limit, verdict }
}
