//! `tollgate endpoints` and `tollgate keys`: prices of a target, and the user that a key is bound to.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Program, tollgate};

const KEY: &str = "mgmt_price-tests-0123456789-abcdefgh";
const TARGET: [&str; 4] = ["--base-url", "http://127.0.0.1:9/v1", "--target-model", "m"];

fn serve(dir: &TempDir) -> Program {
    Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)])
}

/// The target of an endpoint that a command printed.
fn target(printed: &str) -> Value {
    serde_json::from_str::<Value>(printed).unwrap()["targets"][0].take()
}

#[test]
fn a_target_is_priced_from_the_command_line_and_the_table_shows_it() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let prices = ["--input-price", "2.50", "--output-price", "10", "--provider-name", "groq"];
    let cache = ["--cached-input-price", "0.000000001", "--cache-write-price", "8123456789.123456789"];
    let made =
        run(&[&["endpoints", "create", "acme/chat"][..], &TARGET[..], &prices[..], &cache[..]].concat());
    let id = made.split_whitespace().next().unwrap();
    let shown = target(&run(&["endpoints", "get", id]));
    let pricing = json!({
        "input_per_million": "2.5", "output_per_million": "10", "cached_input_per_million": "0.000000001",
        "cache_write_per_million": "8123456789.123456789",
    });
    assert_eq!((&shown["pricing"], &shown["provider_name"]), (&pricing, &json!("groq")));
    let table = run(&["endpoints", "list"]);
    assert!(table.contains("OPENAI_COMPATIBLE (groq)") && table.contains("2.5/10"), "{table}");
    run(&[&["endpoints", "update", id][..], &TARGET[..]].concat());
    let table = run(&["endpoints", "list"]);
    assert!(!table.contains("groq") && !table.contains("2.5/10"), "replaced whole: {table}");
}

#[test]
fn tiers_come_from_a_file_and_the_table_says_how_many_there_are() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    let file = dir.path().join("target.json");
    let tier = json!({"above_input_tokens": 200_000, "input_per_million": 5, "output_per_million": 20});
    let pricing = json!({"input_per_million": 2.5, "output_per_million": 10, "tiers": [tier]});
    let target = json!({"provider": "BASETEN", "model_id": "m", "pricing": pricing});
    std::fs::write(&file, target.to_string()).unwrap();
    serve.manage(KEY, &["endpoints", "create", "acme/chat", "--target", file.to_str().unwrap()]);
    let table = serve.manage(KEY, &["endpoints", "list"]);
    assert!(table.contains("2.5/10 +1 tier"), "{table}");
}

#[test]
fn half_a_price_and_a_price_of_no_target_are_wrong_usage() {
    let environment = [("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE_URL", "http://127.0.0.1:9")];
    let half = [&["endpoints", "create", "acme/chat"][..], &TARGET[..], &["--input-price", "1"][..]].concat();
    let homeless =
        ["endpoints", "update", "1", "--slug", "acme/x", "--input-price", "1", "--output-price", "2"];
    for (arguments, expected) in [(&half[..], "--output-price"), (&homeless[..], "written whole")] {
        let done = tollgate(arguments, &environment);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn a_key_is_bound_to_a_user_from_the_command_line() {
    let dir = TempDir::new().unwrap();
    let serve = serve(&dir);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    run(&[&["endpoints", "create", "acme/chat"][..], &TARGET[..]].concat());
    let group = run(&["groups", "create", "--external-id", "org", "--model", "acme/chat"]);
    let group = group.split_whitespace().next().unwrap();
    run(&["keys", "mint", group, "--user-id", "u_1"]);
    run(&["keys", "mint", group, "--name", "free"]);
    let table = run(&["keys", "list", group]);
    assert!(table.lines().next().unwrap().ends_with("USER"), "{table}");
    assert!(table.lines().nth(1).unwrap().ends_with("u_1"), "{table}");
    let keys: Value = serde_json::from_str(&run(&["keys", "list", group, "--json"])).unwrap();
    assert_eq!((&keys[0]["user_id"], &keys[1]["name"]), (&json!("u_1"), &json!("free")));
    assert_eq!(keys[1].get("user_id"), None);
}
