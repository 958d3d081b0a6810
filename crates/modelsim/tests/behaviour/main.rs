//! What the simulated server promises, over real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod chat;
mod completions;
mod directed;
mod embeddings;
mod messages;
mod requests;
mod responses;
mod support;
