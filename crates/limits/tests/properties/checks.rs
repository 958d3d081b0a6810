//! What the properties check and leave out: parts of outcomes, and the keys of counters.

use domain::{LimitType, Now, Unit};
use limits::{CounterKey, LimitState, Measure, Need, Standing};
use proptest::prelude::*;

use crate::trace::{Declared, Outcome, Step, World, demand};

/// What is granted is what was asked for; where the call takes what fits, as much as there is room for.
pub(crate) fn check_grant(need: Need, tokens: u64, room: u64) -> Result<(), TestCaseError> {
    match need {
        Need::Declared { prompt, output } => prop_assert_eq!(tokens, prompt + output),
        Need::Guessed { prompt, output } => prop_assert!(prompt <= tokens && tokens <= prompt + output),
        Need::Fitting { prompt, output, least } => {
            prop_assert_eq!(tokens, (prompt + output).min(room));
            prop_assert!(tokens >= prompt + least.min(output));
        }
        Need::Observed => prop_assert_eq!(tokens, 0),
    }
    Ok(())
}

/// 16: what is told is what is left of the caller's own limits.
pub(crate) fn check_standings(
    world: &World,
    path: &[Declared],
    standings: &[Standing],
) -> Result<(), TestCaseError> {
    let is_told = |limit: &&Declared| limit.key.measure != Measure::Concurrency;
    let own = path.iter().filter(|limit| limit.key.owner == path[0].key.owner).filter(is_told).count();
    prop_assert!(standings.len() == own || standings.is_empty());
    for standing in standings {
        let limit = &path[standing.limit];
        let reading = world.read(&limit.key);
        prop_assert_eq!(standing.remaining, limit.threshold.saturating_sub(reading.used + reading.pending));
        prop_assert_eq!(standing.reset_nanos == 0, reading.used + reading.pending == 0);
    }
    Ok(())
}

/// An explanation shows what the counter holds, and what follows from that.
pub(crate) fn check_state(world: &World, limit: &Declared, state: &LimitState) -> Result<(), TestCaseError> {
    let reading = world.read(&limit.key);
    let level = reading.used + reading.pending;
    prop_assert_eq!((state.reading.used, state.reading.pending), (reading.used, reading.pending));
    prop_assert_eq!(state.remaining, limit.threshold.saturating_sub(level));
    prop_assert_eq!(state.debt, level.saturating_sub(limit.threshold));
    prop_assert_eq!(state.restored_in.is_some(), reading.used > 0);
    prop_assert!(state.eases_in <= state.restored_in);
    Ok(())
}

/// Whether a day limit has no room beside its holds alone.
pub(crate) fn holds_forbid(world: &World, path: usize, need: Need) -> bool {
    let path = world.on_path(path);
    path.iter().any(|limit| {
        let pending = world.read(&limit.key).pending;
        pending > 0 && pending + demand(&path, limit, need) > limit.threshold
    })
}

/// Whether a limit on tokens of this call has no room for so many more beside its holds alone.
pub(crate) fn holds_forbid_more(world: &World, call: usize, tokens: u64) -> bool {
    let path = &world.held[call % world.held.len()].path;
    path.iter().filter(|limit| limit.key.measure.counts_tokens()).any(|limit| {
        let pending = world.read(&limit.key).pending;
        pending > 0 && pending + tokens.max(1) > limit.threshold
    })
}

/// A guess asks for more where a threshold is higher.
pub(crate) fn without_guess(need: Need) -> Need {
    match need {
        Need::Guessed { prompt, output } => Need::Declared { prompt, output },
        Need::Declared { .. } | Need::Fitting { .. } | Need::Observed => need,
    }
}

pub(crate) fn without_guesses_and_edits(step: Step) -> Option<Step> {
    match step {
        Step::Edit { .. } => None,
        Step::Ask { path, need, lag } => Some(Step::Ask { path, need: without_guess(need), lag }),
        Step::Wait(_)
        | Step::TopUp { .. }
        | Step::Settle { .. }
        | Step::Release { .. }
        | Step::Cancel { .. }
        | Step::Sweep => Some(step),
    }
}

/// A path with one more limit has one more to show.
pub(crate) fn without_states(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Admitted { tokens, standings, .. } => {
            Outcome::Admitted { tokens, standings, seen: Vec::new() }
        }
        Outcome::Refused { limit, verdict, standings, at, .. } => {
            Outcome::Refused { limit, verdict, standings, states: Vec::new(), at }
        }
        Outcome::Nothing | Outcome::ToppedUp | Outcome::NotToppedUp { .. } => outcome,
    }
}

pub(crate) fn without_wall(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused { limit, verdict, standings, states, at } => {
            Outcome::Refused { limit, verdict, standings, states, at: Now { wall_ms: 0, ..at } }
        }
        Outcome::Nothing | Outcome::Admitted { .. } | Outcome::ToppedUp | Outcome::NotToppedUp { .. } => {
            outcome
        }
    }
}

pub(crate) fn calls_key(owner: u64) -> CounterKey {
    CounterKey { measure: Measure::Concurrency, ..day_key(owner, LimitType::Token) }
}

pub(crate) fn day_key(owner: u64, kind: LimitType) -> CounterKey {
    let measure = Measure::Use(kind, Unit::Day);
    CounterKey { owner: domain::GroupId(owner), slug: "acme/chat".parse().unwrap(), measure }
}
