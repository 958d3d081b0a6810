//! Admission: check every limit of a path, then charge all of them, in one step that no other call can see into.

use std::sync::Arc;

use domain::Now;

use crate::explanation::{self, LIMIT_STATES_MAX, LimitState};
use crate::lock::MutexGuard;
use crate::moment::Moment;
use crate::path::Path;
use crate::refusal::{Judge, Refusal, obstacle};
use crate::seen::Seen;
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
    /// The call takes what fits: the prompt, and as much of `output` as every limit on tokens has room for. Refused if that
    /// is less than `least`, and for ever if the prompt and `least` together are above a threshold.
    Fitting {
        /// Tokens of the prompt.
        prompt: u64,
        /// The most that the answer may get.
        output: u64,
        /// The least that is worth an answer; above `output` it means `output`.
        least: u64,
    },
    /// Nothing is held: admitted while less than the threshold is used, charged when it settles.
    Observed,
}

impl Need {
    /// Tokens that have to fit, on a path whose smallest token threshold is `tokens_max`.
    pub(crate) fn tokens(self, tokens_max: u64) -> u64 {
        match self {
            Self::Declared { prompt, output } => prompt.saturating_add(output),
            Self::Guessed { prompt, output } => {
                prompt.saturating_add(output.min(tokens_max.saturating_sub(prompt)))
            }
            Self::Fitting { prompt, output, least } => prompt.saturating_add(least.min(output)),
            Self::Observed => 0,
        }
    }

    /// Tokens to hold where `least` fit: just these, unless the call takes what every limit on tokens has left.
    #[inline]
    pub(crate) fn granted(self, least: u64, room: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::Fitting { prompt, output, .. } => prompt.saturating_add(output).min(room()),
            Self::Declared { .. } | Self::Guessed { .. } | Self::Observed => least,
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

pub(crate) fn reserve(path: &Arc<Path>, need: Need, now: Now, mut seen: Option<&mut Seen>) -> Decision {
    if let Some(seen) = &mut seen {
        seen.prepare(path.hops.len());
    }
    let least = need.tokens(path.tokens_max);
    let places = Standings::with_room(path.shown.len());
    let mut state = path.tree.state();
    if path.epoch < state.epoch {
        return Decision::Stale;
    }
    let moment = state.moment(now);
    match check(path, least, &mut state, &moment) {
        None => Decision::Stale,
        Some(Fit::No) => Decision::Refused(refuse(path, least, state, (&moment, places))),
        Some(Fit::Yes) => {
            let tokens = need.granted(least, || room(path, &mut state));
            charge(path, tokens, &mut state, &moment);
            if let Some(seen) = seen {
                path.hops.iter().for_each(|hop| seen.note(state.held(hop.counter).mark()));
            }
            let standings = standings(path, (&mut state, &moment), places);
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
        if !counter.admits(hop.measure.demand(tokens), hop.threshold, moment) {
            fit = Fit::No;
        }
    }
    Some(fit)
}

/// Charges every limit. All of them fit.
#[inline]
fn charge(path: &Path, tokens: u64, state: &mut State, moment: &Moment) {
    for hop in &path.hops {
        state.held(hop.counter).charge(hop.measure, hop.measure.amount(tokens), moment);
    }
}

/// What every limit on tokens has left. All have been brought up to date.
fn room(path: &Path, state: &mut State) -> u64 {
    let of_tokens = path.hops.iter().filter(|hop| hop.measure.counts_tokens());
    of_tokens.map(|hop| state.held(hop.counter).remaining(hop.threshold)).min().unwrap_or(u64::MAX)
}

/// Says which limit binds, when the same call would pass, and how all of them stand. At least one does not fit.
#[cold]
fn refuse(
    path: &Path,
    tokens: u64,
    mut state: MutexGuard<'_, State>,
    (moment, places): (&Moment, Standings),
) -> Refusal {
    let mut judge = Judge::default();
    let mut states = [LimitState::UNSEEN; LIMIT_STATES_MAX];
    for (limit, hop) in path.hops.iter().enumerate() {
        let counter = state.held(hop.counter);
        let obstacle = obstacle(counter, hop.measure.demand(tokens), hop.threshold, moment);
        judge.hear(limit, obstacle);
        if let Some(seen) = states.get_mut(limit) {
            *seen = LimitState::of(counter, hop.threshold, obstacle, moment);
        }
    }
    let standings = standings(path, (&mut state, moment), places);
    drop(state);
    let (limit, verdict) = judge.verdict();
    let states = &mut states[..path.hops.len().min(LIMIT_STATES_MAX)];
    explanation::join(states, verdict);
    Refusal { limit, verdict, tokens, standings, states: (*states).into(), at: moment.now() }
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
