//! The ledger from a terminal: events, history, one line, and what is put right of it.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use modelsim::{ModelServer, Script};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Program, call, tollgate};

const KEY: &str = "mgmt_ledger-tests-0123456789-abcdefg";

/// A gateway, and the id of a call that it served to `cust_42`.
fn called(dir: &TempDir, model: &ModelServer) -> (Program, String) {
    let serve = Program::serve(&dir.path().join("data"), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let target = ["--provider", "OPENAI_COMPATIBLE", "--target-model", "m", "--base-url", &model.base_url()];
    serve.manage(KEY, &[&["endpoints", "create", "acme/chat"], &target[..]].concat());
    let group = serve
        .manage(KEY, &["groups", "create", "--external-id", "cust_42", "--model", "acme/chat", "--json"]);
    let group: Value = serde_json::from_str(&group).unwrap();
    let minted = serve.manage(KEY, &["keys", "mint", group["id"].as_str().unwrap(), "--json"]);
    let minted: Value = serde_json::from_str(&minted).unwrap();
    let url = serve.url();
    let body = r#"{"model":"acme/chat","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}"#;
    let answer = call(url.trim_start_matches("http://"), minted["api_key"].as_str().unwrap(), body);
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_default().trim();
    assert!(!id.is_empty(), "{answer}");
    (serve, id.to_owned())
}

/// What the command prints, asked again until the call has reached the disk.
fn until(serve: &Program, arguments: &[&str], shown: &str) -> String {
    loop {
        let said = serve.manage(KEY, arguments);
        if said.contains(shown) {
            return said;
        }
    }
}

#[test]
fn what_was_billed_is_shown_and_put_right_from_a_terminal() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let model = runtime.block_on(ModelServer::start(Script::default())).unwrap();
    let dir = TempDir::new().unwrap();
    let (serve, id) = called(&dir, &model);
    let table = until(&serve, &["events", "--after-sequence", "0"], "cust_42");
    let (heading, row) = table.split_once('\n').unwrap();
    assert!(
        heading.starts_with("SEQUENCE  TIME") && row.starts_with('1') && row.contains("acme/chat"),
        "{table}"
    );
    let filter = ["--key", "sky_nobody", "--key", "sky_nobody_2", "--external-id", "cust_42"];
    let none = serve.manage(KEY, &[&["events", "--after-sequence", "0", "--json"], &filter[..]].concat());
    assert_eq!(none, "");
    let held_back = serve.manage(KEY, &["events", "--since", "5m", "--external-id", "cust_42", "--json"]);
    assert_eq!(held_back, "", "the newest minute");
    let line: Value =
        serde_json::from_str(&serve.manage(KEY, &["events", "--after-sequence", "0", "--json"])).unwrap();
    assert_eq!(line["requestId"], *id);

    let shown = serve.manage(KEY, &["ledger", "get", &id]);
    for part in [&id, "10 in", "9 out, reported", "cust_42, key sky_", "completed, status 200"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let why = "counted twice";
    let correct = ["ledger", "correct", &id, "--output-tokens", "-4", "--cost-usd", "0.5", "--reason", why];
    assert!(serve.manage(KEY, &correct).contains("-4 out, 0.5 USD"));
    assert!(serve.manage(KEY, &["ledger", "get", &id]).contains(why));
    let csv = serve.manage(KEY, &["events", "--after-sequence", "0", "--csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.trim_end().ends_with(&format!(",0,-4,0,2,reported,0.5,{id}")), "{csv}");

    let groups: Value = serde_json::from_str(&serve.manage(KEY, &["groups", "list", "--json"])).unwrap();
    let group = groups[0]["id"].as_str().unwrap();
    let history =
        serve.manage(KEY, &["groups", "history", group, "--by", "slug", "--step", "hour", "--subtree"]);
    let row: Vec<_> = history.lines().nth(1).unwrap().split_whitespace().skip(1).collect();
    assert_eq!(row, ["acme/chat", "1", "10", "5", "0", "0.5", "0"], "{history}");
    let wrong = tollgate(&["events", "--since", "soon"], &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(serve.terminate().success());
}

#[test]
fn events_are_followed_as_they_come() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let model = runtime.block_on(ModelServer::start(Script::default())).unwrap();
    let dir = TempDir::new().unwrap();
    let (serve, id) = called(&dir, &model);
    let url = serve.url();
    let follow = Program::start(
        &["events", "--follow", "--json"],
        &[("TOLLGATE_URL", &url), ("TOLLGATE_MANAGEMENT_KEY", KEY)],
    );
    follow.line_with(&format!("\"requestId\":\"{id}\""));
    serve.manage(KEY, &["ledger", "correct", &id, "--input-tokens", "1", "--reason", "x"]);
    follow.line_with(&format!("\"corrects\":\"{id}\""));
}
