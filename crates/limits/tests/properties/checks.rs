//! What the properties check and leave out: parts of outcomes, and the keys of counters.

use domain::{LimitType, Now, Unit, Usd};
use limits::{CounterKey, Explanation, Fit, LimitState, Measure, Need, Size, Standing, Verdict};
use proptest::prelude::*;

use crate::trace::{Declared, Outcome, Step, World, amount, call, demand, key, output, output_within};

/// What is granted is what was asked for; where the call takes what fits, as much as there is room for.
pub(crate) fn check_grant(need: Need, size: Size, room: (u64, Usd)) -> Result<(), TestCaseError> {
    match need {
        Need::Declared { prompt, output } => prop_assert_eq!(size, call(prompt, output)),
        Need::Guessed { prompt, output } => {
            prop_assert!(prompt <= size.tokens && size.tokens <= prompt + output);
            prop_assert_eq!(size, call(prompt, size.tokens - prompt));
        }
        Need::Fitting { prompt, output, least } => {
            prop_assert_eq!(size, call(prompt, output.min(output_within(prompt, room))));
            prop_assert!(size.tokens >= prompt + least.min(output));
        }
        Need::Observed => prop_assert_eq!(size, Size::ZERO),
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
    let own = path.iter().filter(|limit| !limit.is_line() && limit.key.owner == path[0].key.owner);
    let own = own.filter(is_told).count();
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

/// What each limit says for itself goes with the verdict of all of them.
pub(crate) fn check_fits(
    explained: &Explanation,
    binding: usize,
    verdict: Verdict,
) -> Result<(), TestCaseError> {
    let fits = || explained.limits.iter().map(|state| state.fit);
    let said = explained.limits[binding].fit;
    match verdict {
        Verdict::NeverFits => prop_assert_eq!(said, Fit::Never),
        Verdict::Blocked => {
            prop_assert!(matches!(said, Fit::After(_)) && fits().any(|fit| fit == Fit::Never));
        }
        Verdict::Wait { hold_may_end: true, nanos } => prop_assert_eq!(said, Fit::After(nanos)),
        Verdict::Wait { nanos, .. } => {
            prop_assert!(matches!(said, Fit::After(_)));
            prop_assert!(fits().any(|fit| fit == Fit::After(nanos)));
        }
    }
    Ok(())
}

/// Whether a limit of days or periods has no room beside its holds alone.
pub(crate) fn holds_forbid(world: &World, path: usize, need: Need) -> bool {
    let path = world.on_path(path);
    path.iter().any(|limit| {
        let pending = world.read(&limit.key).pending;
        pending > 0 && pending + demand(&path, limit, need) > limit.threshold
    })
}

/// Whether a limit on tokens or dollars of this call has no room for so many more beside its holds alone.
pub(crate) fn holds_forbid_more(world: &World, call: usize, tokens: u64) -> bool {
    let path = &world.held[call % world.held.len()].path;
    path.iter().filter(|limit| limit.key.measure.weighs()).any(|limit| {
        let pending = world.read(&limit.key).pending;
        pending > 0 && pending + amount(&limit.key, output(tokens)).max(1) > limit.threshold
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
        | Step::Reset { .. }
        | Step::Recycle { .. }
        | Step::Sweep => Some(step),
    }
}

/// A path with one more limit has one more to show.
pub(crate) fn without_states(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Admitted { size, standings, .. } => Outcome::Admitted { size, standings, seen: Vec::new() },
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
    key(owner, measure)
}
