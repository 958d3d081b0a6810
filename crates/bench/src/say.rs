//! Standard output and standard error.

#[expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// What is going on; kept out of the report.
#[expect(clippy::print_stderr, reason = "progress must not get into the pasted table")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}
