//! The data plane over real sockets: a whole gateway, a simulated model server, a clock that is turned by hand.
//!
//! A test is named after the cases it proves; `docs/conformance.md` lists them all.

#![cfg(test)]

mod bad_input;
mod calls;
mod ceilings;
mod concurrency;
mod connections;
mod counting;
mod dialects;
mod endings;
mod enforcement;
mod headers;
mod models;
mod modes;
mod refusals;
mod streams;
mod support;
mod targets;
mod tenants;
mod upstream;
