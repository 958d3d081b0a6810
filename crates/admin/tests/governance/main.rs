//! The numbered cases of model configs, over HTTP, against a whole gateway: a file for each thing done to one.
//!
//! A test is named after the cases it proves; `docs/conformance.md` lists them all.

#![cfg(test)]

mod access;
mod create;
mod delete;
mod lines;
mod list;
mod manners;
mod providers;
mod quota;
mod round_trip;
mod support;
mod update;
mod usage;
