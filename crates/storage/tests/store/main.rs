//! What the store promises, tried on a real directory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod concurrency;
mod configuration;
mod decisions;
mod files;
mod late_edits;
mod ledger;
mod line_use;
mod live_lines;
mod model_configs;
mod tenants;
mod world;
