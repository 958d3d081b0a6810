//! Decides whether a call may spend, and what it owes afterwards.
//!
//! A call is checked against every limit on its path: those of the group that calls and of the groups above it, and the
//! lines of every model config that is about it. Either all of them are charged or none is. What a call holds from
//! admission on is an estimate; settling replaces it with what was used. A rolling window is strict: *no* interval of its
//! length ever holds more than the threshold, wherever it begins.
//!
//! | Begin at | to see |
//! | --- | --- |
//! | [`Engine`] | everything that can be asked |
//! | `admission` | check all, then charge all |
//! | `refusal` | which limit binds, and when the same call would pass |
//! | `explanation` | what a call would meet, and how every limit stands; charges nothing |
//! | `ask` | what a call asks for, in tokens and dollars |
//! | `estimate` | the same, by the way it is admitted |
//! | `outputs` | how long answers usually are |
//! | `top_up` | more tokens for a call in flight |
//! | `settlement` | refunds, overage, giving back |
//! | `seen` | what an admission saw, to be told later |
//! | `standing` | what is left, for headers |
//! | `lock` | which locks there are, and their order |
//! | `locked` | the one or two locks of a call |
//! | `measure` | what a limit counts |
//! | `path` | a compiled list of limits, bound to counters |
//! | `tree` | the one lock of a root or a workspace, its counters, and how they are opened and given back |
//! | `counter` | a counter: `ring` and `log` for rolling windows, `period` for days and periods, none for calls in flight |
//! | `recent` | what was charged before a restart, for counters to open with |
//! | `moment` | time under the lock |
//!
//! Guarantees: admitted charges never pass a threshold at any concurrency; a refusal changes nothing; what is held is
//! released exactly once; nothing here can fail, and nothing is allocated, formatted or logged under the lock of a call.
//! Knows nothing of: clocks, storage, HTTP, providers, configuration. Callers pass `now` and compiled paths.

// A counter that wraps is a cap that is passed. Every operation says what happens at the edge: `saturating_` where the
// nearest number is the safe answer, `checked_` where it is not, `wrapping_` where only equality matters.
#![deny(clippy::arithmetic_side_effects)]

mod admission;
mod ask;
mod counter;
mod engine;
mod estimate;
mod explanation;
mod lock;
mod locked;
mod measure;
mod moment;
mod outputs;
mod path;
mod recent;
mod refusal;
mod seen;
mod settlement;
mod standing;
mod top_up;
mod tree;

pub use admission::{Admission, Decision};
pub use ask::{Ask, Need};
pub use engine::{Engine, Reading};
pub use estimate::{Estimate, Outset, Rule, STEP, Shows};
pub use explanation::{Explanation, Fit, LIMIT_STATES_MAX, LimitState};
pub use measure::{Measure, Size};
pub use outputs::{Outputs, Usual};
pub use path::{
    ConfigLine, CounterKey, CounterScope, Epoch, Home, Owner, Path, PathLimit, PathSpec, Shown, Source,
};
pub use recent::{Charged, Recent};
pub use refusal::{Refusal, Verdict};
pub use seen::Seen;
pub use settlement::{Reservation, Settled};
pub use standing::{OWN_MAX, SHOWN_MAX, Standing, Standings};
pub use top_up::TopUp;
