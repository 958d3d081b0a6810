//! Top-up: a call in flight asks for more tokens than it was admitted with.
//!
//! All or nothing, like an admission, but of the limits on tokens alone: it is no new request, and no new call in
//! flight. A call keeps the path that it was admitted on, so an edit neither stops its top-ups nor changes the
//! thresholds that they are checked against.

use domain::Now;

use crate::moment::Moment;
use crate::path::{Hop, Path};
use crate::refusal::{Judge, Verdict, obstacle};
use crate::settlement::Reservation;
use crate::tree::State;

/// The answer to a call in flight that asks for more.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopUp {
    /// The reservation holds that much more.
    Granted,
    /// At least one limit on tokens does not fit; nothing is charged, and the reservation holds what it held.
    Refused {
        /// The limit that binds, as an index into the limits of the reservation's path.
        limit: usize,
        /// When the same top-up would pass. What the call itself holds counts as held like any other.
        verdict: Verdict,
    },
}

pub(crate) fn top_up(reservation: &mut Reservation, tokens: u64, now: Now) -> TopUp {
    reservation.make_room(now);
    let path = reservation.path();
    let mut state = path.tree.state();
    let moment = state.moment(now);
    if !fits(path, tokens, &mut state, &moment) {
        return refuse(path, tokens, &mut state, &moment);
    }
    for hop in token_hops(path) {
        state.held(hop.counter).top_up(tokens, &moment);
    }
    drop(state);
    reservation.remember(tokens, moment.now());
    TopUp::Granted
}

fn fits(path: &Path, tokens: u64, state: &mut State, moment: &Moment) -> bool {
    token_hops(path)
        .all(|hop| state.held(hop.counter).admits(hop.measure.demand(tokens), hop.threshold, moment))
}

#[cold]
fn refuse(path: &Path, tokens: u64, state: &mut State, moment: &Moment) -> TopUp {
    let mut judge = Judge::default();
    for (limit, hop) in path.hops.iter().enumerate().filter(|(_, hop)| hop.measure.counts_tokens()) {
        let counter = state.held(hop.counter);
        judge.hear(limit, obstacle(counter, hop.measure.demand(tokens), hop.threshold, moment));
    }
    let (limit, verdict) = judge.verdict();
    TopUp::Refused { limit, verdict }
}

fn token_hops(path: &Path) -> impl Iterator<Item = &Hop> {
    path.hops.iter().filter(|hop| hop.measure.counts_tokens())
}
