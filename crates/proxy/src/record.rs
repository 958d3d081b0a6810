//! Decisions on calls, noted for whoever asks later why.
//!
//! Guarantees: noting neither waits nor fails, whatever becomes of the note.
//! Knows nothing of: where decisions are kept, and for how long.

use std::sync::Arc;

use domain::{Now, RequestId};
use limits::{Fit, LimitState, PathSpec, Refusal};
use storage::{DecisionFacts, DecisionOutcome};

use crate::admit::Facts;
use crate::authenticate::Caller;
use crate::error::Error;
use crate::paths::Lane;
use crate::route::shown;
use crate::worker::Shared;

/// A call that was admitted.
pub(crate) fn admitted(shared: &Shared, lane: &Lane, facts: &Facts) {
    limited(shared, lane, facts, DecisionOutcome::Admitted);
}

/// A call that a limit refused.
pub(crate) fn refused(shared: &Shared, lane: &Lane, facts: &Facts, refusal: &Refusal) {
    let outcome = DecisionOutcome::Refused { binding: refusal.limit, verdict: refusal.verdict };
    limited(shared, lane, facts, outcome);
}

/// A call of a known caller that has no way to a model. Anything else that goes wrong is no decision about a caller.
pub(crate) fn turned_away(shared: &Shared, id: RequestId, caller: &Caller, model: &str, error: &Error) {
    let Some(why) = error.turned_away() else { return };
    let outcome = DecisionOutcome::TurnedAway(why);
    let decisions = shared.store.decisions();
    if !decisions.keeps(outcome) {
        return;
    }
    let otherwise = shared.settings.admission;
    let facts = DecisionFacts {
        request_id: id,
        at: shared.clock.now(),
        workspace: caller.group.workspace,
        group: caller.group.id,
        key_prefix: Arc::clone(&caller.key.prefix),
        model: shown(model).into(),
        mode: caller.group.model(model).map_or(otherwise, |granted| granted.admission(None, otherwise)),
        output_max: None,
        tokens: 0,
        limits: Arc::default(),
        outcome,
    };
    decisions.record(facts, |_| {});
}

fn limited(shared: &Shared, lane: &Lane, facts: &Facts, outcome: DecisionOutcome) {
    let decisions = shared.store.decisions();
    if !decisions.keeps(outcome) {
        return;
    }
    let (at, tokens, states) = seen(shared, lane, facts, outcome);
    let noted = DecisionFacts {
        request_id: facts.request_id,
        at,
        workspace: facts.caller.group.workspace,
        group: facts.caller.group.id,
        key_prefix: Arc::clone(&facts.caller.key.prefix),
        model: (&facts.slug).into(),
        mode: facts.admission,
        output_max: facts.output_max,
        tokens,
        limits: Arc::clone(&lane.limits),
        outcome,
    };
    decisions.record(noted, |room| room.extend(states));
}

/// When the limits were looked at, the tokens that the call asked of them, and how they stand.
fn seen(
    shared: &Shared,
    lane: &Lane,
    facts: &Facts,
    outcome: DecisionOutcome,
) -> (Now, u64, impl Iterator<Item = LimitState>) {
    let root = facts.caller.group.root;
    let spec = PathSpec { root, epoch: lane.epoch, limits: lane.limits.to_vec() };
    let explained = shared.engine.explain(&spec, facts.estimate.need, facts.admitted_at);
    let unseen = (facts.admitted_at, 0, Vec::new());
    let (at, tokens, states) = explained.map_or(unseen, |seen| (seen.at, seen.tokens, seen.limits));
    let is_admitted = outcome == DecisionOutcome::Admitted;
    // It fitted; what is looked at here has been charged with it.
    let fit =
        move |state: LimitState| if is_admitted { LimitState { fit: Fit::Fits, ..state } } else { state };
    (at, tokens, states.into_iter().map(fit))
}
