//! Explanation: what a call would meet if it came now. Nothing is charged, and no counter is opened for the question.
//!
//! The verdict is made of the same parts as that of a call (`admission`, `refusal`), over the counters that binding
//! would find, so it is the verdict that the call would get at that moment.

use domain::Now;

use crate::admission::Need;
use crate::counter::Counter;
use crate::engine::Reading;
use crate::moment::Moment;
use crate::path::{PathLimit, PathSpec, tokens_max};
use crate::refusal::{self, HOLD_WAIT_NS, Obstacle, Verdict, obstacle};
use crate::tree::Tree;

/// What a call would meet.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// When: all times below count from here.
    pub at: Now,
    /// Tokens that the call would hold.
    pub tokens: u64,
    /// The limit that would refuse it, as an index into `limits`, and when to come back; none if it would be admitted.
    pub refusal: Option<(usize, Verdict)>,
    /// Every limit, in the order they were asked about.
    pub limits: Vec<LimitState>,
}

/// How one limit stands, and what it has to say of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// What its counter holds. One that is not open holds what it would open with.
    pub reading: Reading,
    /// What is left below the threshold; 0 in debt.
    pub remaining: u64,
    /// How far use and holds have passed the threshold.
    pub debt: u64,
    /// Nanoseconds until all of it is back, if nothing else is charged; `None` while nothing is used.
    pub restored_in: Option<u64>,
    /// Nanoseconds until more is left than now, if nothing else is charged; `None` while nothing is used, and where no
    /// time brings that about.
    pub eases_in: Option<u64>,
    /// Whether the call fits.
    pub fit: Fit,
}

/// Whether a call fits one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// Not at any time: it asks for more than the whole threshold.
    Never,
    /// After so many nanoseconds, as in [`Verdict::Wait`].
    After(u64),
}

/// `None`: the limits are older than what was last published.
pub(crate) fn explain(tree: &Tree, spec: &PathSpec, need: Need, now: Now) -> Option<Explanation> {
    let tokens = need.tokens(tokens_max(&spec.limits));
    let look = |limit: &PathLimit, counter: &mut Counter, moment: &Moment| {
        let obstacle = obstacle(counter, limit.counter.measure.demand(tokens), limit.threshold, moment);
        (state(counter, limit.threshold, moment), obstacle)
    };
    let (moment, seen) = tree.survey(spec, now, look)?;
    let refused = seen.iter().any(|(_, obstacle)| obstacle.is_some());
    let refusal = refused.then(|| refusal::verdict(seen.iter().map(|(_, obstacle)| *obstacle)));
    let limits =
        seen.into_iter().map(|(state, obstacle)| LimitState { fit: fit(obstacle, refusal), ..state });
    Some(Explanation { at: moment.now(), tokens, refusal, limits: limits.collect() })
}

fn state(counter: &mut Counter, threshold: u64, moment: &Moment) -> LimitState {
    let (used, pending, touched) = counter.read(moment);
    LimitState {
        reading: Reading { used, pending, touched },
        remaining: counter.remaining(threshold),
        debt: used.saturating_add(pending).saturating_sub(threshold),
        restored_in: (used > 0).then(|| counter.restored_in(moment)),
        eases_in: counter.eases_in(threshold, moment),
        fit: Fit::Fits,
    }
}

/// What one limit says, in a call of which all together say `refusal`.
fn fit(obstacle: Option<Obstacle>, refusal: Option<(usize, Verdict)>) -> Fit {
    let hold_may_end = matches!(refusal, Some((_, Verdict::Wait { hold_may_end: true, .. })));
    match obstacle {
        None => Fit::Fits,
        Some(Obstacle::TooMuch) => Fit::Never,
        Some(Obstacle::Full { opens_in, .. }) if hold_may_end || opens_in == 0 => Fit::After(HOLD_WAIT_NS),
        Some(Obstacle::Full { opens_in, .. }) => Fit::After(opens_in),
    }
}
