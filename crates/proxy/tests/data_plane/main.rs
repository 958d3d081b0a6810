//! The data plane over real sockets: a whole gateway, a simulated model server, a clock that is turned by hand.
//!
//! A test is named after the cases it proves; `docs/conformance.md` lists them all.

#![cfg(test)]

mod bad_input;
mod budget_periods;
mod budget_settings;
mod budget_streams;
mod budgets;
mod calls;
mod ceilings;
mod concurrency;
mod config_edits;
mod connections;
mod counting;
mod declared_users;
mod dialects;
mod endings;
mod enforcement;
mod headers;
mod model_configs;
mod models;
mod modes;
mod prices;
mod recovery;
mod refusals;
mod streams;
mod support;
mod targets;
mod tenants;
mod upstream;
mod users;
