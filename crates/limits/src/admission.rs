//! Admission: check every limit of a path, then charge all of them, in one step that no other call can see into.

use std::sync::Arc;

use domain::{LimitType, Now};

use crate::moment::Moment;
use crate::path::Path;
use crate::refusal::{self, Refusal, obstacle};
use crate::settlement::Reservation;
use crate::standing::{Standing, Standings};
use crate::tree::State;

/// What a call asks for, in tokens. It always asks for one request as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The caller bounds its output. If the sum is above a threshold the call can never fit.
    Declared {
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens the caller allows for the answer.
        output: u64,
    },
    /// The output is our guess: clamped to what the smallest threshold leaves beside the prompt, so that only the prompt
    /// can be the reason that a call can never fit.
    Guessed {
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens we expect of the answer.
        output: u64,
    },
    /// Nothing is held: admitted while less than the threshold is used, charged when it settles.
    Observed,
}

impl Need {
    /// Tokens to hold on a path whose smallest token threshold is `tokens_max`.
    pub(crate) fn tokens(self, tokens_max: u64) -> u64 {
        match self {
            Self::Declared { prompt, output } => prompt.saturating_add(output),
            Self::Guessed { prompt, output } => {
                prompt.saturating_add(output.min(tokens_max.saturating_sub(prompt)))
            }
            Self::Observed => 0,
        }
    }
}

/// The answer to a call.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// Every limit fits and is charged.
    Admitted(Admission),
    /// At least one limit does not fit; nothing is charged.
    Refused(Refusal),
    /// The tree was edited, or a counter was given back, since the path was bound. Reload the snapshot, bind again, ask
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

pub(crate) fn reserve(path: &Arc<Path>, need: Need, now: Now) -> Decision {
    let tokens = need.tokens(path.tokens_max);
    let room = Standings::with_room(path.shown.len());
    let mut state = path.tree.state();
    if path.epoch < state.epoch {
        return Decision::Stale;
    }
    let moment = state.moment(now);
    match check(path, tokens, &mut state, &moment) {
        None => Decision::Stale,
        Some(Fit::No) => Decision::Refused(refuse(path, tokens, (&mut state, &moment), room)),
        Some(Fit::Yes) => {
            charge(path, tokens, &mut state, &moment);
            let standings = standings(path, (&mut state, &moment), room);
            drop(state);
            let reservation = Reservation::new(Arc::clone(path), tokens, moment.now());
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
fn check(path: &Path, tokens: u64, state: &mut State, moment: &Moment) -> Option<Fit> {
    let mut fit = Fit::Yes;
    for hop in &path.hops {
        let counter = state.bound(hop.counter)?;
        if !counter.admits(demand(hop.kind, tokens), hop.threshold, moment) {
            fit = Fit::No;
        }
    }
    Some(fit)
}

/// Charges every limit. All of them fit.
#[inline]
fn charge(path: &Path, tokens: u64, state: &mut State, moment: &Moment) {
    for hop in &path.hops {
        state.held(hop.counter).charge(hop.kind, amount(hop.kind, tokens), moment);
    }
}

/// Says which limit binds and when the same call would pass. At least one does not fit.
#[cold]
fn refuse(path: &Path, tokens: u64, (state, moment): (&mut State, &Moment), room: Standings) -> Refusal {
    let obstacles = path
        .hops
        .iter()
        .map(|hop| obstacle(state.held(hop.counter), demand(hop.kind, tokens), hop.threshold, moment));
    let (limit, verdict) = refusal::verdict(obstacles);
    Refusal { limit, verdict, standings: standings(path, (state, moment), room) }
}

/// How the limits that the caller is shown stand, written into room that was made before the lock.
#[inline]
fn standings(path: &Path, (state, moment): (&mut State, &Moment), mut standings: Standings) -> Standings {
    for &limit in &path.shown {
        let hop = &path.hops[limit];
        let counter = state.held(hop.counter);
        let (remaining, reset_nanos) = (counter.remaining(hop.threshold), counter.restored_in(moment));
        standings.push(Standing { limit, remaining, reset_nanos });
    }
    standings
}

/// What an admitted call is charged.
#[inline]
fn amount(kind: LimitType, tokens: u64) -> u64 {
    match kind {
        LimitType::Request => 1,
        LimitType::Token => tokens,
    }
}

/// What has to fit: an exhausted counter refuses a call that costs nothing as well.
#[inline]
pub(crate) fn demand(kind: LimitType, tokens: u64) -> u64 {
    amount(kind, tokens).max(1)
}
