//! Explanation: what a call would meet if it came now. Nothing is charged, and no counter is opened for the question.
//!
//! The verdict is made of the same parts as that of a call (`admission`, `refusal`), over the counters that binding
//! would find, so it is the verdict that the call would get at that moment.

use std::sync::Arc;

use domain::Now;

use crate::ask::{Ask, Room};
use crate::counter::Counter;
use crate::engine::Reading;
use crate::measure::{Amounts, Size};
use crate::moment::Moment;
use crate::path::{PathLimit, PathSpec, ceiling};
use crate::refusal::{HOLD_WAIT_NS, Judge, Obstacle, Verdict, obstacle};
use crate::tree::{Tree, survey};

/// Limits of a path whose states are recorded with a decision. Of a longer path, the first so many are; all of them are
/// checked and charged nevertheless.
pub const LIMIT_STATES_MAX: usize = 64;

/// What a call would meet.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// When: all times below count from here.
    pub at: Now,
    /// What the call would hold; if it is refused, the least that it asks for.
    pub asked: Size,
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

impl LimitState {
    /// Of a counter that nobody looked at.
    pub(crate) const UNSEEN: Self = Self {
        reading: Reading { used: 0, pending: 0, touched: false },
        remaining: 0,
        debt: 0,
        restored_in: None,
        eases_in: None,
        fit: Fit::Fits,
    };

    /// How a limit stands, and what is in the way of a call. The counter has been brought up to date.
    pub(crate) fn of(
        counter: &mut Counter,
        threshold: u64,
        obstacle: Option<Obstacle>,
        moment: &Moment,
    ) -> Self {
        let (used, pending, touched) = counter.read(moment);
        Self {
            reading: Reading { used, pending, touched },
            remaining: counter.remaining(threshold),
            debt: used.saturating_add(pending).saturating_sub(threshold),
            restored_in: (used > 0).then(|| counter.restored_in(moment)),
            eases_in: counter.eases_in(threshold, moment),
            fit: fit(obstacle),
        }
    }
}

/// What one limit says for itself.
fn fit(obstacle: Option<Obstacle>) -> Fit {
    match obstacle {
        None => Fit::Fits,
        Some(Obstacle::TooMuch) => Fit::Never,
        Some(Obstacle::Full { opens_in: 0, .. }) => Fit::After(HOLD_WAIT_NS),
        Some(Obstacle::Full { opens_in, .. }) => Fit::After(opens_in),
    }
}

/// Lets every limit that refuses say what all of them say together: where only calls in flight are in the way, none of
/// them waits for a window.
pub(crate) fn join(states: &mut [LimitState], verdict: Verdict) {
    if !matches!(verdict, Verdict::Wait { hold_may_end: true, .. }) {
        return;
    }
    for state in states {
        if let Fit::After(wait) = &mut state.fit {
            *wait = HOLD_WAIT_NS;
        }
    }
}

/// `None`: the limits are older than what was last published.
pub(crate) fn explain(homes: &[Arc<Tree>; 2], spec: &PathSpec, ask: Ask, now: Now) -> Option<Explanation> {
    let least = ask.least(ceiling(spec.all_limits()));
    let demanded = Amounts::demanded(least);
    let look = |limit: &PathLimit, counter: &mut Counter, moment: &Moment| {
        let kind = limit.counter.measure.kind();
        let obstacle = obstacle(counter, demanded.of(kind), limit.threshold, moment);
        (LimitState::of(counter, limit.threshold, obstacle, moment), obstacle)
    };
    let (moment, seen) = survey(homes, spec, now, look)?;
    let mut judge = Judge::default();
    let heard = spec.all_limits().zip(&seen);
    heard.for_each(|(limit, (_, obstacle))| judge.hear(limit.counter.measure.kind(), *obstacle));
    let mut limits: Vec<LimitState> = seen.into_iter().map(|(state, _)| state).collect();
    let refusal = limits.iter().any(|state| state.fit != Fit::Fits).then(|| judge.verdict());
    if let Some((_, verdict)) = refusal {
        join(&mut limits, verdict);
    }
    let asked = if refusal.is_none() { ask.granted(least, || room(spec, &limits)) } else { least };
    Some(Explanation { at: moment.now(), asked, refusal, limits })
}

/// What limits on tokens and dollars have left.
fn room(spec: &PathSpec, states: &[LimitState]) -> Room {
    let narrowed = |room: Room, (limit, state): (&PathLimit, &LimitState)| {
        room.narrow(limit.counter.measure.kind(), state.remaining)
    };
    spec.all_limits().zip(states).fold(Room::default(), narrowed)
}
