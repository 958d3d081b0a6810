//! Running other programs, one step at a time, with a line that says which.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or(here.clone(), std::path::Path::to_path_buf)
}

/// Prints one line.
#[expect(clippy::print_stderr, reason = "automation reports to the person who runs it")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Runs a program to its end; an exit code other than 0 is an error.
pub(crate) fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    say(&format!("== {program} {}", arguments.join(" ")));
    let status = Command::new(program).args(arguments).current_dir(root()).status();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed", arguments.join(" "));
    }
    Ok(())
}

/// Whether a program is there and answers.
pub(crate) fn has(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Says that something was not done and why. In continuous integration that is a failure.
pub(crate) fn skipped(what: &str, needs: &str) -> anyhow::Result<()> {
    say(&format!("== {what}: skipped: needs {needs}"));
    if in_ci() {
        bail!("{what} was skipped, and CI=true");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "automation is told by its environment where it runs")]
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
