//! Admission: check every limit of a path, then charge all of them, in one step that no other call can see into.

use std::sync::Arc;

use domain::Now;

use crate::ask::{Ask, Room};
use crate::explanation::{self, LIMIT_STATES_MAX, LimitState};
use crate::locked::Locked;
use crate::measure::{Amounts, Size};
use crate::moment::Moment;
use crate::path::Path;
use crate::refusal::{Judge, Refusal, obstacle};
use crate::seen::Seen;
use crate::settlement::Reservation;
use crate::standing::{Standing, Standings};

/// The answer to a call.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// Every limit fits and is charged.
    Admitted(Admission),
    /// At least one limit does not fit; nothing is charged.
    Refused(Refusal),
    /// The tree or the workspace was edited, or a counter was given back, since the path was bound. Reload the snapshot, bind again, ask
    /// again; nothing is charged.
    Stale,
}

/// A call that may go on.
#[derive(Debug)]
pub struct Admission {
    /// What it holds, until it ends.
    pub reservation: Reservation,
    /// The limits that the caller is shown, after the charge.
    pub standings: Standings,
}

pub(crate) fn reserve(path: &Arc<Path>, ask: Ask, now: Now, mut seen: Option<&mut Seen>) -> Decision {
    if let Some(seen) = &mut seen {
        seen.prepare(path.hops.len());
    }
    let least = ask.least(path.ceiling);
    let places = Standings::with_room(path.shown.len());
    let mut locked = Locked::new(path);
    if locked.is_stale() {
        return Decision::Stale;
    }
    let moment = locked.moment(now);
    match check(&mut locked, least, &moment) {
        None => Decision::Stale,
        Some(Fit::No) => Decision::Refused(refuse(path, least, locked, (&moment, places))),
        Some(Fit::Yes) => {
            let size = ask.granted(least, || room(&mut locked));
            charge(&mut locked, size, &moment);
            if let Some(seen) = seen {
                locked.each(|_, counter| seen.note(counter.mark()));
            }
            let standings = standings(path, (&mut locked, &moment), places);
            drop(locked);
            let reservation = Reservation::new(Arc::clone(path), (size, ask.tariff), moment.now());
            Decision::Admitted(Admission { reservation, standings })
        }
    }
}

/// Whether a path fits as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
}

/// Looks at every limit, changing nothing but what time has changed. `None`: a counter is not the one that was bound.
#[inline]
fn check(locked: &mut Locked<'_>, size: Size, moment: &Moment) -> Option<Fit> {
    let mut fit = Fit::Yes;
    let demanded = Amounts::demanded(size);
    locked.each_bound(|hop, counter| {
        if !counter.admits(demanded.of(hop.kind), hop.threshold, moment) {
            fit = Fit::No;
        }
    })?;
    Some(fit)
}

/// Charges every limit. All of them fit.
#[inline]
fn charge(locked: &mut Locked<'_>, size: Size, moment: &Moment) {
    let (charged, held) = (Amounts::charged(size), Amounts::held(size));
    locked.each(|hop, counter| counter.charge(charged.of(hop.kind), held.of(hop.kind), moment));
}

/// What limits on tokens and dollars have left. All have been brought up to date.
fn room(locked: &mut Locked<'_>) -> Room {
    let mut room = Room::default();
    locked.each(|hop, counter| room = room.narrow(hop.kind, counter.remaining(hop.threshold)));
    room
}

/// Says which limit binds, when the same call would pass, and how all of them stand. At least one does not fit.
#[cold]
fn refuse(
    path: &Path,
    size: Size,
    mut locked: Locked<'_>,
    (moment, places): (&Moment, Standings),
) -> Refusal {
    let mut judge = Judge::default();
    let mut states = [LimitState::UNSEEN; LIMIT_STATES_MAX];
    let mut unseen = states.iter_mut();
    let demanded = Amounts::demanded(size);
    locked.each(|hop, counter| {
        let obstacle = obstacle(counter, demanded.of(hop.kind), hop.threshold, moment);
        judge.hear(hop.kind, obstacle);
        if let Some(seen) = unseen.next() {
            *seen = LimitState::of(counter, hop.threshold, obstacle, moment);
        }
    });
    let standings = standings(path, (&mut locked, moment), places);
    drop(locked);
    let (limit, verdict) = judge.verdict();
    let states = &mut states[..path.hops.len().min(LIMIT_STATES_MAX)];
    explanation::join(states, verdict);
    Refusal { limit, verdict, asked: size, standings, states: (*states).into(), at: moment.now() }
}

/// How the limits that the caller is shown stand, written into room that was made before the lock.
#[inline]
fn standings(
    path: &Path,
    (locked, moment): (&mut Locked<'_>, &Moment),
    mut standings: Standings,
) -> Standings {
    for &limit in &path.shown {
        let (hop, counter) = locked.at(limit);
        let (remaining, reset_nanos) = (counter.remaining(hop.threshold), counter.restored_in(moment));
        standings.push(Standing { limit, remaining, reset_nanos });
    }
    standings
}
