//! `tollgate check`: what it says of a store, and that it leaves it alone.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use std::path::Path;

use tempfile::TempDir;

use crate::process::{Program, tollgate};

const KEY: &str = "mgmt_check-tests-0123456789-abcdefgh";

/// What the command says of this directory; it has to succeed.
fn check(data: &Path) -> String {
    let checked = tollgate(&["check", "--data-dir", data.to_str().unwrap()], &[]);
    assert!(checked.status.success(), "{checked:?}");
    String::from_utf8(checked.stdout).unwrap()
}

#[test]
fn check_says_what_a_start_would_do_and_does_nothing() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    assert!(check(&data).contains("store: none"));
    assert!(!data.exists());
    let serve = Program::serve(&data, &[]);
    assert!(check(&data).contains(&format!("in use by process {}", serve.pid())));
    assert!(serve.terminate().success());
    let said = check(&data);
    assert!(said.contains("nothing to migrate") && said.ends_with("limits: nothing to warn of\n"), "{said}");
}

#[test]
fn check_warns_once_of_a_limit_that_many_groups_are_under_and_says_of_which_model() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let base = ["--base-url", "http://127.0.0.1:9/v1", "--target-model", "m", "--max-output-tokens", "4000"];
    run(&[&["endpoints", "create", "acme/chat"], &base[..]].concat());
    let create = ["groups", "create", "--mode", "CASCADING", "--external-id"];
    let root = run(&[&create[..], &["org", "--model", "acme/chat:TOKEN/MINUTE=5000"]].concat());
    let root = root.split_whitespace().next().unwrap();
    for child in ["one", "two"] {
        run(&[&create[..], &[child, "--parent", root, "--model", "acme/chat"]].concat());
    }
    let expected = format!("warning: org, acme/chat: TOKEN/MINUTE 5000 of group {root} is less than twice");
    let running = check(dir.path());
    assert!(running.contains(&expected) && running.ends_with("limits: 1 warning\n"), "{running}");
    assert!(serve.terminate().success());
    let stopped = check(dir.path());
    assert_eq!(stopped.matches("warning: ").count(), 1, "{stopped}");
    assert!(stopped.contains(&expected) && stopped.ends_with("limits: 1 warning\n"), "{stopped}");
}
