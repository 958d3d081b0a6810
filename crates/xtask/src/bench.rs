//! `cargo xtask bench`: the benchmarks, built for speed.

use crate::steps::run as run_program;

/// Passes its arguments on to the benchmark; without any, everything is compared side by side.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut all = vec!["run", "--release", "--locked", "--package", "bench", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run_program("cargo", &all)
}
