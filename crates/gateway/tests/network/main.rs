//! The listener under abuse: callers that are slow, silent, greedy, or say one thing and mean another. Real sockets, and
//! every byte written by the test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: this is how a test fails")]

mod bodies;
mod bounds;
mod garbage;
mod slowness;
mod smuggling;
mod support;
