//! Decisions on calls, noted for whoever asks later why.
//!
//! Guarantees: noting neither waits nor fails, whatever becomes of the note.
//! Knows nothing of: where decisions are kept, and for how long.

use std::sync::Arc;

use domain::{Admission, Now, RequestId};
use limits::{Refusal, Seen, Size};
use storage::{DecisionFacts, DecisionOutcome, TurnedAway};

use crate::authenticate::Caller;
use crate::error::Error;
use crate::facts::Facts;
use crate::paths::Lane;
use crate::route::shown;
use crate::worker::Shared;

/// A call that was admitted, and how its limits stood then; what is left in `seen` is of no use.
pub(crate) fn admitted(shared: &Shared, lane: &Lane, facts: &Facts, held: Size, seen: &mut Seen) {
    let outcome = DecisionOutcome::Admitted;
    if shared.store.decisions().keeps(outcome) {
        shared.store.decisions().admitted(noted(lane, facts, facts.admitted_at, held, outcome), seen);
    }
}

/// A call that a limit refused.
pub(crate) fn refused(shared: &Shared, lane: &Lane, facts: &Facts, refusal: &Refusal) {
    let binding = lane.path.limits().get(refusal.limit);
    let kind = binding.map_or("limit", |binding| refusal.verdict.code(binding.counter.measure));
    shared.store.note_refused(&lane.terms, kind, refusal.at);
    let outcome = DecisionOutcome::Refused { binding: refusal.limit, verdict: refusal.verdict };
    if shared.store.decisions().keeps(outcome) {
        let noted = noted(lane, facts, refusal.at, refusal.asked, outcome);
        shared.store.decisions().record(noted, &refusal.states);
    }
}

/// A call of a known caller that came to no limit. Anything else that goes wrong is no decision about a caller.
pub(crate) fn turned_away(shared: &Shared, id: RequestId, caller: &Caller, model: &str, error: &Error) {
    let Some(why) = error.turned_away() else { return };
    let outcome = DecisionOutcome::TurnedAway(why);
    let decisions = shared.store.decisions();
    if !decisions.keeps(outcome) {
        return;
    }
    let facts = DecisionFacts {
        request_id: id,
        at: shared.clock.now(),
        workspace: caller.group.workspace,
        group: caller.group.id,
        key_prefix: Arc::clone(&caller.key.prefix),
        model: shown(model).into(),
        mode: mode(shared, caller, model, why),
        output_max: None,
        asked: Size::default(),
        limits: Arc::default(),
        outcome,
    };
    decisions.record(facts, &[]);
}

/// How the call would have been admitted, as far as that is known.
fn mode(shared: &Shared, caller: &Caller, model: &str, why: TurnedAway) -> Admission {
    let otherwise = shared.settings.admission;
    match why {
        // Only there every token has to be counted.
        TurnedAway::Uncountable => Admission::Hard,
        TurnedAway::NotAllowed | TurnedAway::NoEndpoint | TurnedAway::NoUser | TurnedAway::Unpriced => {
            caller.group.model(model).map_or(otherwise, |granted| granted.admission(None, otherwise))
        }
    }
}

fn noted(lane: &Lane, facts: &Facts, at: Now, asked: Size, outcome: DecisionOutcome) -> DecisionFacts {
    DecisionFacts {
        request_id: facts.request_id,
        at,
        workspace: facts.caller.group.workspace,
        group: facts.caller.group.id,
        key_prefix: Arc::clone(&facts.caller.key.prefix),
        model: (&facts.slug).into(),
        mode: facts.admission,
        output_max: facts.outset.output_max,
        asked,
        limits: lane.path.shared_limits(),
        outcome,
    }
}
