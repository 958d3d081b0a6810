//! Delivery of billing events to the webhooks of workspaces.
//!
//! What is to be delivered stands in the store; here it is leased, signed, sent, and reported on: arrived, again later,
//! or given up. Which of these is arithmetic on values (`schedule`, `lanes`); one driver makes the attempts.
//!
//! Guarantees: every event is sent at least once or is a dead letter; the body of a delivery is the same in all of its
//! attempts, and so is its id; a receiver that is slow or gone keeps neither calls nor other receivers waiting; no
//! redirect is followed, no private address dialled unless the operator says so; no secret and no event is logged.
//! Knows nothing of: SQL, how webhooks are configured, who may.
//! Begins at [`Courier::run`].

mod courier;
mod ending;
mod lanes;
mod payload;
mod post;
mod schedule;
mod sign;

pub use courier::{Courier, Settings};
pub use ending::{Ending, Tally};
pub use payload::sample;
pub use post::{ATTEMPT_MAX, Post, Tried, Way};
pub use schedule::{Schedule, WAIT_MAX, WAITS_MAX};
pub use sign::{baseten_signature, standard_signature};
