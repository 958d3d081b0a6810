//! `tollgate model-configs`, against a running gateway.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Program, tollgate};

const KEY: &str = "mgmt_config-tests-0123456789-abcdefg";

fn serve(dir: &TempDir) -> Program {
    Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)])
}

/// Runs `tollgate model-configs`.
fn run(serve: &Program, arguments: &[&str]) -> String {
    serve.manage(KEY, &[&["model-configs"], arguments].concat())
}

/// The cells of a table's rows, by two spaces and more.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| {
        let cells = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    table.lines().skip(1).map(cells).collect()
}

/// What is said of a command that fails.
fn refused(serve: &Program, arguments: &[&str]) -> String {
    let done =
        tollgate(&[&["model-configs"], arguments, &["--url", &serve.url(), "--key", KEY]].concat(), &[]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    String::from_utf8(done.stderr).unwrap()
}

#[test]
fn a_config_is_created_shown_changed_and_deleted() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    let created = run(
        &serve,
        &[
            "create",
            "--model",
            "acme/chat",
            "--provider",
            "openai",
            "--budget",
            "10.5/1d",
            "--budget",
            "100/1M",
            "--tokens",
            "5/1h",
            "--aligned",
        ],
    );
    let (id, about) = created.trim_end().split_once("  ").unwrap();
    assert_eq!(about, "global acme/chat openai");
    let shown = rows(&run(&serve, &["list"]));
    let limits: Vec<_> =
        shown.iter().map(|row| (row[0].as_str(), row[4].as_str(), row[5].as_str())).collect();
    assert_eq!(limits, [(id, "USD/1d", "0 / 10.5"), (id, "USD/1M", "0 / 100"), (id, "TOKEN/1h", "0 / 5")]);
    assert!(shown[0][6].ends_with("T00:00:00Z") && shown[1][6].ends_with("-01T00:00:00Z"), "{shown:?}");
    assert_eq!(rows(&run(&serve, &["get", id])), shown);
    run(&serve, &["update", id, "--budget", "20/24h", "--no-rate-limit"]);
    let changed = rows(&run(&serve, &["list"]));
    assert_eq!((changed.len(), changed[0][4].as_str(), changed[0][5].as_str()), (1, "USD/24h", "0 / 20"));
    assert_eq!(changed[0][7], shown[0][7], "of one length, so the same budget");
    run(&serve, &["update", id, "--no-budgets", "--aligned=false"]);
    let json: Value = serde_json::from_str(&run(&serve, &["get", id, "--json"])).unwrap();
    assert_eq!(
        (json["budgets"].as_array().unwrap().len(), &json["calendar_aligned"]),
        (0, &Value::from(false))
    );
    run(&serve, &["delete", id]);
    assert_eq!(rows(&run(&serve, &["list"])), Vec::<Vec<String>>::new());
    assert!(refused(&serve, &["get", id]).contains("(404)"));
}

#[test]
fn a_budget_and_a_rate_limit_are_reset_by_their_id() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    run(&serve, &["create", "--model", "*", "--budget", "1/1d", "--requests", "5/1h"]);
    for row in rows(&run(&serve, &["list"])) {
        assert!(run(&serve, &["reset", &row[7]]).to_lowercase().contains("reset"));
    }
    let unknown = refused(&serve, &["reset", "00000000-0000-4000-8000-000000000000"]);
    assert!(unknown.contains("no budget and no rate limit"), "{unknown}");
    let conflict = refused(&serve, &["create", "--model", "*"]);
    assert!(conflict.contains("(409)"), "{conflict}");
}

#[test]
fn more_configs_than_one_page_are_all_listed() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    for n in 0..101 {
        run(&serve, &["create", "--model", &format!("m-{n}")]);
    }
    assert_eq!(rows(&run(&serve, &["list"])).len(), 101);
}

#[test]
fn check_warns_of_a_budget_over_a_model_without_a_price_until_it_has_one() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    let data = dir.path().to_str().unwrap();
    let check = |more: &[(&str, &str)]| {
        let checked = tollgate(&["check", "--data-dir", data], more);
        assert!(checked.status.success(), "{checked:?}");
        String::from_utf8(checked.stdout).unwrap()
    };
    let target = ["--base-url", "http://127.0.0.1:9/v1", "--target-model", "m"];
    serve.manage(KEY, &[&["endpoints", "create", "acme/chat"], &target[..]].concat());
    assert!(!check(&[]).contains("no price"), "no budget");
    let created = run(&serve, &["create", "--model", "*", "--budget", "1/1d"]);
    let id = created.split_whitespace().next().unwrap();
    let expected =
        format!("acme/chat (openai_compatible, m) has no price, and model config {id} has a budget for it");
    let said = check(&[]);
    assert!(said.contains(&expected) && said.contains("are refused"), "{said}");
    assert!(check(&[("TOLLGATE__PRICES__UNPRICED", "allow")]).contains("cost nothing"));
    let file = dir.path().join("prices.json");
    let map = r#"{"m":{"litellm_provider":"openai_compatible","input_cost_per_token":1e-6,"output_cost_per_token":0}}"#;
    std::fs::write(&file, map).unwrap();
    let file = file.to_str().unwrap();
    assert!(!check(&[("TOLLGATE__PRICES__FILE", file)]).contains("no price"), "a start would read it");
    serve.manage(KEY, &["prices", "import", file]);
    assert!(!check(&[]).contains("no price"));
}

#[test]
fn the_log_says_what_becomes_of_calls_that_a_budget_cannot_count_whichever_came_first() {
    for (unpriced, outcome) in [("refuse", "are refused"), ("allow", "cost nothing")] {
        let dir = TempDir::new().unwrap();
        let settings = [("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__PRICES__UNPRICED", unpriced)];
        let serve = Program::serve(dir.path(), &settings);
        let endpoint = |slug: &str, more: &[&str]| {
            let always =
                ["endpoints", "create", slug, "--base-url", "http://10.0.0.5/v1", "--target-model", "m"];
            serve.manage(KEY, &[&always, more].concat());
        };
        let sentence = format!("so calls to it under this budget {outcome}; give its target pricing");
        endpoint("acme/before", &[]);
        run(&serve, &["create", "--model", "*", "--budget", "1/1d"]);
        let line = serve.line_with("\"slug\":\"acme/before\"");
        assert!(line.contains(&sentence), "{line}");
        endpoint("acme/priced", &["--input-price", "1", "--output-price", "1"]);
        endpoint("acme/after", &[]);
        let line = serve.line_with("\"slug\":\"acme/after\"");
        assert!(line.contains(&sentence), "{line}");
        let said = serve.said();
        assert_eq!(said.matches("has no price").count(), 2, "{said}");
    }
}
