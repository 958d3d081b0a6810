//! See `checks/durations.rs`.

#![no_main]

#[path = "../checks/durations.rs"]
mod durations;

libfuzzer_sys::fuzz_target!(|data: &[u8]| durations::check(data));
