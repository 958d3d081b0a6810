//! A whole gateway in a test: real sockets, a simulated model server, and a clock that is turned by hand.
//!
//! ```no_run
//! # async fn example() {
//! use serde_json::json;
//! let gw = testkit::Gateway::start().await;
//! let key = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await.key;
//! assert_eq!(gw.chat(&key, "acme/m1").await.status, 200);
//! # }
//! ```
//!
//! Guarantees: every gateway has a directory, a port and a model server of its own, so tests run side by side.
//! Nothing here sleeps for time to pass: turn the clock with [`ManualClock::advance`].

mod client;
mod clock;
mod configs;
mod gateway;
mod receiver;
mod signing;
mod webhooks;

pub use ::gateway::config::{BudgetStatus, Config, LedgerSync, OnClientGone, Unpriced};
pub use client::{Reply, Request, Streaming};
pub use clock::ManualClock;
pub use gateway::{Customer, Gateway, OPERATOR_KEY, Reading, Tenant};
pub use modelsim::{Act, End, ModelServer, Script, UsageReport};
pub use receiver::{Answering, Received, Receiver};
pub use signing::Signer;
