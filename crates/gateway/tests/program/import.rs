//! `tollgate import`: groups and keys in bulk, into the store of a gateway that does not run.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Program, call, tollgate};

const KEY: &str = "mgmt_import-tests-0123456789-abcdef!";
/// Two keys that somebody else made.
const ONE: &str = "Zq3vX9pL2mT7wR5cB8nK4jH6gF1dS0aY";
const TWO: &str = "aY0sD1fG6hJ4kN8bC5rW7tM2lP9xV3qZ";

/// A data directory, and files beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    /// One whose gateway was started once.
    fn new() -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        assert!(place.serve().terminate().success());
        place
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn serve(&self) -> Program {
        Program::serve(&self.data(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)])
    }

    fn import(&self, lines: &[Value], more: &[&str]) -> Output {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        self.import_text(&text, more)
    }

    fn import_text(&self, text: &str, more: &[&str]) -> Output {
        let file = self.dir.path().join("customers.ndjson");
        fs::write(&file, text).unwrap();
        let data = self.data();
        let always = ["import", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        tollgate(&[&always[..], more].concat(), &[("TOLLGATE__LOG__LEVEL", "warn")])
    }

    /// What the gateway says of all its groups, by identifier.
    fn groups(&self) -> Vec<Value> {
        let serve = self.serve();
        let listed = serve.manage(KEY, &["groups", "tree", "--json"]);
        assert!(serve.terminate().success());
        serde_json::from_str(&listed).unwrap()
    }
}

fn group(external: &str, parent: Option<&str>) -> Value {
    limited(external, parent, 60)
}

fn limited(external: &str, parent: Option<&str>, per_minute: u64) -> Value {
    json!({"group": {
        "metadata": {"external_entity_id": external},
        "models": [{
            "slug": "acme/chat",
            "rate_limits": [{"type": "REQUEST", "unit": "MINUTE", "threshold": per_minute}],
        }],
        "hierarchy": {"limit_enforcement": "CASCADING", "parent_external_entity_id": parent},
    }})
}

fn key(external: &str, key: &str) -> Value {
    json!({"key": {"external_entity_id": external, "key": key}})
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An import that brought everything in.
fn sound(done: &Output, said: &str) {
    assert!(done.status.success(), "{done:?}");
    assert_eq!(text(&done.stdout), format!("{said}\n"));
}

/// An import that stopped at a line: what it said, and why.
fn stopped(done: &Output, said: &str, why: &str) {
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(text(&done.stdout), format!("{said}\n"), "{done:?}");
    let error = text(&done.stderr);
    assert!(error.contains(why), "{error}");
    assert!(
        error.contains("The lines before it are in; mend this one, and import the file again."),
        "{error}"
    );
    assert!(!error.contains(ONE) && !error.contains(TWO), "an error must not repeat a key: {error}");
}

#[test]
fn five_levels_in_one_batch_come_in_with_their_keys_and_a_sixth_is_refused() {
    let place = Place::new();
    let mut lines = vec![group("level-1", None)];
    for level in 2..=5 {
        lines.push(group(&format!("level-{level}"), Some(&format!("level-{}", level - 1))));
    }
    lines.push(key("level-5", ONE));
    sound(&place.import(&lines, &[]), "groups added: 5, keys added: 1, there already: 0");

    lines.push(group("level-6", Some("level-5")));
    let refused = place.import(&lines, &[]);
    stopped(&refused, "groups added: 0, keys added: 0, there already: 6", "customers.ndjson, line 7: ");
    assert!(text(&refused.stderr).contains("A tree has at most 5 levels."), "{refused:?}");

    let serve = place.serve();
    let tree = serve.manage(KEY, &["groups", "tree"]);
    for level in 1..=5 {
        assert!(tree.contains(&format!("level-{level}")), "{tree}");
    }
    assert!(!tree.contains("level-6"), "{tree}");
    // Nothing serves the model, but the key is known: otherwise this were a 401.
    assert_eq!((status(&serve, ONE), status(&serve, TWO)), (404, 401));
}

fn status(serve: &Program, key: &str) -> u16 {
    let body = r#"{"model":"acme/chat","messages":[]}"#;
    let answer = call(serve.url().trim_start_matches("http://"), key, body);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_was_imported_is_edited_like_anything_else_and_is_so_after_another_start() {
    let place = Place::new();
    let lines = [group("a", None), group("b", Some("a")), group("c", None), key("b", ONE), key("c", TWO)];
    sound(&place.import(&lines, &[]), "groups added: 3, keys added: 2, there already: 0");
    let serve = place.serve();
    serve.manage(KEY, &["groups", "update", &id_of(&serve, "c"), "--name", "Renamed"]);
    assert_eq!((status(&serve, ONE), status(&serve, TWO)), (404, 404));
    serve.manage(KEY, &["groups", "delete", &id_of(&serve, "a")]);
    assert_eq!((status(&serve, ONE), status(&serve, TWO)), (401, 404));
    assert!(serve.terminate().success());
    let left = place.groups();
    let names: Vec<_> = left.iter().map(|group| group["metadata"]["name"].clone()).collect();
    assert_eq!(names, [json!("Renamed")]);
    let renamed = place.import(&lines[2..3], &[]);
    stopped(
        &renamed,
        "groups added: 0, keys added: 0, there already: 0",
        "line 1: The group `c` exists already and differs in its name",
    );
    // A deleted group may come again, its key may not.
    let again = place.import(&[group("a", None), group("b", Some("a")), key("b", ONE)], &[]);
    stopped(
        &again,
        "groups added: 2, keys added: 0, there already: 0",
        "line 3: A key with this prefix exists",
    );
}

#[test]
fn a_file_of_more_than_one_transaction_comes_in_whole_and_again_changes_nothing() {
    let place = Place::new();
    let mut text = String::new();
    for nth in 0..10_500 {
        let parent = if nth < 10_000 { None } else { Some(format!("c{}", nth - 10_000)) };
        writeln!(text, "{}", group(&format!("c{nth}"), parent.as_deref())).unwrap();
    }
    sound(&place.import_text(&text, &[]), "groups added: 10500, keys added: 0, there already: 0");
    let groups = place.groups();
    assert_eq!(count(&groups), 10_500);
    sound(&place.import_text(&text, &[]), "groups added: 0, keys added: 0, there already: 10500");
    assert_eq!(place.groups(), groups);
}

fn count(tree: &[Value]) -> usize {
    let below = |group: &Value| group["children"].as_array().map_or(0, |children| count(children));
    tree.iter().map(|group| 1 + below(group)).sum()
}

#[test]
fn a_line_at_fault_is_named_the_lines_before_it_stay_and_the_file_can_be_mended_and_imported_again() {
    let place = Place::new();
    let bad = limited("b", Some("a"), 61);
    let mut lines = vec![group("a", None), key("a", ONE), bad, group("c", None)];
    let refused = place.import(&lines, &[]);
    stopped(&refused, "groups added: 1, keys added: 1, there already: 0", "customers.ndjson, line 3: ");
    assert!(text(&refused.stderr).contains("Child group exceeds parent group limit."), "{refused:?}");
    lines[2] = limited("b", Some("a"), 59);
    sound(&place.import(&lines, &[]), "groups added: 2, keys added: 0, there already: 2");
}

#[test]
fn every_kind_of_fault_names_its_line_and_says_what_to_do() {
    let place = Place::new();
    sound(
        &place.import(&[group("a", None), key("a", ONE)], &[]),
        "groups added: 1, keys added: 1, there already: 0",
    );
    let mut named = key("a", ONE);
    named["key"]["name"] = json!("another");
    let mut by_id = group("b", None);
    by_id["group"]["hierarchy"]["parent_group_id"] = json!("0G7uY2kQ9fa");
    let mut misplaced = group("b", None);
    misplaced["group"]["parent_external_entity_id"] = json!("a");
    let mut rootless = group("b", None);
    rootless["group"]["hierarchy"] = json!({"limit_enforcement": "CASCADING"});
    let mut both = group("b", None);
    both["key"] = key("a", TWO)["key"].clone();
    let mut worded = group("b", None);
    worded["group"]["models"][0]["rate_limits"][0]["threshold"] = json!("many");
    let prefix = format!("{}{}", &ONE[..16], &TWO[..16]);
    for (line, why) in [
        (limited("a", None, 61), "The group `a` exists already and differs in its models"),
        (
            group("b", Some("nobody")),
            "parent_external_entity_id: no group has the identifier `nobody`; put the line of that group",
        ),
        (key("nobody", TWO), "external_entity_id: no group has the identifier `nobody`"),
        (named, "This key exists already, of another group or with another name or user_id"),
        (key("a", &prefix), "A key with this prefix exists, or existed, in this workspace"),
        (key("a", KEY), "key begins like a key of the gateway's own"),
        (key("a", "short"), "key has 32 to 128 characters"),
        (json!({"key": {"external_entity_id": "a", "key": [ONE]}}), "key.key: expected text."),
        (json!({"key": ONE}), "key: invalid type: text, expected an object."),
        (by_id, "parent_group_id is not read here; name the parent by parent_external_entity_id."),
        (misplaced, "parent_external_entity_id stands in hierarchy; move it there."),
        (rootless, "hierarchy needs limit_enforcement and parent_external_entity_id"),
        (both, "A line has one member, `group` or `key`"),
        (json!({"customer": 1}), "A line has one member, `group` or `key`"),
        (worded, "group.models[0].rate_limits[0].threshold: invalid type: string \"many\""),
        (json!([1]), "The line is not as expected"),
    ] {
        let refused = place.import(&[group("a", None), line.clone()], &[]);
        let said = "groups added: 0, keys added: 0, there already: 1";
        stopped(&refused, said, &format!("customers.ndjson, line 2: {why}"));
    }
    let broken = place.import_text("\n\n{\"group\": \n", &[]);
    let nothing = "groups added: 0, keys added: 0, there already: 0";
    stopped(&broken, nothing, "customers.ndjson, line 3: The line is not valid JSON");
    let long = place.import_text(&format!("\n{{\"group\": \"{}\"}}", "x".repeat(1 << 20)), &[]);
    stopped(&long, nothing, "customers.ndjson, line 2: It is longer than 1048576 bytes");
    assert_eq!(count(&place.groups()), 1);
}

#[test]
fn a_key_that_was_revoked_is_not_brought_back() {
    let place = Place::new();
    let lines = [group("a", None), key("a", ONE), group("b", None)];
    sound(&place.import(&lines, &[]), "groups added: 2, keys added: 1, there already: 0");
    let serve = place.serve();
    let id = id_of(&serve, "a");
    serve.manage(KEY, &["keys", "revoke", &id, &ONE[..16]]);
    assert!(serve.terminate().success());
    let refused = place.import(&lines, &[]);
    stopped(
        &refused,
        "groups added: 0, keys added: 0, there already: 1",
        "line 2: A key with this prefix exists",
    );
}

fn id_of(serve: &Program, external: &str) -> String {
    let tree: Vec<Value> = serde_json::from_str(&serve.manage(KEY, &["groups", "tree", "--json"])).unwrap();
    let found = tree.iter().find(|group| group["metadata"]["external_entity_id"] == external).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_import_into_a_gateway_that_runs_is_refused_with_its_process_and_one_into_nothing_makes_nothing() {
    let place = Place::new();
    let serve = place.serve();
    let refused = place.import(&[group("a", None)], &[]);
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), String::new()));
    assert!(said.contains(&format!("process {} serves from", serve.pid())), "{said}");
    assert!(said.contains("stop it before an import"), "{said}");
    assert!(serve.terminate().success());
    let nowhere = place.dir.path().join("nowhere");
    let file = place.dir.path().join("customers.ndjson");
    let refused = tollgate(&["import", file.to_str().unwrap(), "--data-dir", nowhere.to_str().unwrap()], &[]);
    assert!(
        refused.status.code() == Some(1) && text(&refused.stderr).contains("there is no store"),
        "{refused:?}"
    );
    assert!(!nowhere.exists());
    let unread = tollgate(&["import", "/nowhere.ndjson", "--data-dir", place.data().to_str().unwrap()], &[]);
    assert!(text(&unread.stderr).contains("cannot read /nowhere.ndjson"), "{unread:?}");
}

#[test]
fn with_several_workspaces_one_has_to_be_named_and_has_its_own_customers() {
    let place = Place::new();
    let serve = place.serve();
    serve.manage(KEY, &["workspace", "create", "acme"]);
    assert!(serve.terminate().success());
    let lines = [group("a", None), key("a", ONE)];
    let unnamed = place.import(&lines, &[]);
    assert!(text(&unnamed.stderr).contains("say whose these are by --workspace"), "{unnamed:?}");
    let unknown = place.import(&lines, &["--workspace", "nobody"]);
    assert!(text(&unknown.stderr).contains("no workspace has the id or name nobody"), "{unknown:?}");
    sound(
        &place.import(&lines, &["--workspace", "acme"]),
        "groups added: 1, keys added: 1, there already: 0",
    );
    assert_eq!(count(&place.groups()), 0, "the operator's own workspace has none");
    // The same customer in another workspace is another one; the key is one key.
    let again = place.import(&lines, &["--workspace", "default"]);
    stopped(&again, "groups added: 1, keys added: 0, there already: 0", "line 2: This key exists already");
}
