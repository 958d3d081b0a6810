//! `cargo xtask proof`: random load on a whole gateway, and no window over its cap.

use crate::steps::run as run_program;

/// Passes its arguments on to the checker. Built for tests, not for speed: what the code asserts of itself and
/// overflows are caught as well.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut all = vec!["run", "--locked", "--package", "proof", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run_program("cargo", &all)
}
