//! The program `tollgate`: commands, configuration, wiring, clock, shutdown.
//!
//! The only crate that reads the machine's clock and environment. Everything below takes them as arguments.
//! Begins at [`node::Node::start`], which puts a gateway together; [`cli`] is what people type.

pub mod cli;
pub mod clock;
pub mod config;
pub mod keys;
pub mod node;
pub mod openapi;

mod control;
mod log;
mod metrics;
mod prices;
#[cfg(feature = "otel")]
mod traces;
