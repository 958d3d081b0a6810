//! The data plane: what a caller with a federated key sees.
//!
//! Every route that can cost something goes through [`serve`](Worker::serve), which reads like the life of a call:
//! authenticate, read, choose a route, estimate, admit, forward, meter. Each step hands its evidence to the next as
//! a value; only what was admitted can be forwarded, and what was admitted is settled exactly once, whoever leaves.
//!
//! Guarantees: nothing goes upstream before it is charged; bodies pass byte for byte but for the stated splices;
//! no lock is held across an await; no SQL on the way of a call.
//! Knows nothing of: providers' JSON (`wire`), the arithmetic of limits (`limits`), how things are stored (`storage`).
//! Begins at `serve.rs`.

mod admit;
mod authenticate;
mod barred;
mod body;
mod drain;
mod error;
mod facts;
mod forward;
mod gather;
mod intake;
mod meter;
mod models;
mod numbers;
pub mod openapi;
mod paths;
mod probe;
mod prompt;
mod rate_headers;
mod record;
mod refusal;
mod reply;
mod route;
mod serve;
mod settings;
#[cfg(feature = "otel")]
mod spans;
mod steps;
mod target;
mod upstream;
mod user;
mod worker;

pub use body::Body;
pub use numbers::{Histogram, Reason, Totals};
pub use probe::{Probed, probe};
pub use settings::{Bearer, CallLog, DeclaredUsers, OnClientGone, Settings, Timeouts, UpstreamSettings};
#[cfg(feature = "otel")]
pub use spans::{Span, Spans};
pub use upstream::Upstream;
pub use worker::{Shared, Worker};
