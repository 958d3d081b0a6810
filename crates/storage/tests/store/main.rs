//! What the store promises, tried on a real directory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod audit;
mod backup;
mod concurrency;
mod configuration;
mod decisions;
mod events;
mod files;
mod late_edits;
mod late_sums;
mod ledger;
mod line_use;
mod live_lines;
mod model_configs;
mod recovery;
mod retention;
mod tenants;
mod world;
