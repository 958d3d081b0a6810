//! Decides whether a call may spend, and what it owes afterwards.
//!
//! A call is checked against every limit on its path, from the group that calls up to its root. Either all of them
//! are charged or none is. What a call holds from admission on is an estimate; settling replaces it with what was
//! used. A window is strict: *no* interval of its length ever holds more than the threshold, wherever it begins.
//!
//! | Begin at | to see |
//! | --- | --- |
//! | [`Engine`] | everything that can be asked |
//! | `admission` | check all, then charge all |
//! | `refusal` | which limit binds, and when the same call would pass |
//! | `explanation` | what a call would meet, and how every limit stands; charges nothing |
//! | `estimate` | what a call asks for, by the way it is admitted |
//! | `settlement` | refunds, overage, giving back |
//! | `standing` | what is left, for headers |
//! | `path` | a compiled list of limits, bound to counters |
//! | `tree` | the one lock of a root, its counters, and how they are opened and given back |
//! | `counter` | a counter: `ring` and `log` for rolling windows, `day` for calendar days |
//! | `moment` | time under the lock |
//!
//! Guarantees: admitted charges never pass a threshold at any concurrency; a refusal changes nothing; what is held is
//! released exactly once; nothing here can fail, and nothing is allocated, formatted or logged under the lock of a call.
//! Knows nothing of: clocks, storage, HTTP, providers, configuration. Callers pass `now` and compiled paths.

// A counter that wraps is a cap that is passed. Every operation says what happens at the edge: `saturating_` where the
// nearest number is the safe answer, `checked_` where it is not, `wrapping_` where only equality matters.
#![deny(clippy::arithmetic_side_effects)]

mod admission;
mod counter;
mod engine;
mod estimate;
mod explanation;
mod moment;
mod path;
mod refusal;
mod settlement;
mod standing;
mod tree;

pub use admission::{Admission, Decision, Need};
pub use engine::{Engine, Reading};
pub use estimate::Estimate;
pub use explanation::{Explanation, Fit, LimitState};
pub use path::{CounterKey, CounterScope, Path, PathLimit, PathSpec, Shown};
pub use refusal::{Refusal, Verdict};
pub use settlement::Reservation;
pub use standing::{OWN_MAX, SHOWN_MAX, Standing, Standings};
