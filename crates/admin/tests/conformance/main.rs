//! The numbered cases of the management contract, over HTTP, against a whole gateway.
//!
//! A test is named after the cases it proves; `docs/conformance.md` lists them all.

#![cfg(test)]

mod access;
mod decisions;
mod endpoints;
mod events;
mod explain;
mod formats;
mod groups;
mod history;
mod isolation;
mod keys;
mod ledger;
mod limits;
mod prices;
mod rate;
mod register;
mod secrets;
mod support;
mod target_prices;
mod usage;
mod webhook;
mod workspaces;
