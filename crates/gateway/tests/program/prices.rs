//! Prices: the file that the configuration names, and what is imported.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Program, tollgate};

const KEY: &str = "mgmt_price-tests-0123456789-abcdefgh";

/// A directory with a price file and room for a store.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(prices: &str) -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        place.write(prices);
        place
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("prices.json")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn write(&self, prices: &str) {
        fs::write(self.file(), prices).unwrap();
    }

    fn serve(&self) -> Program {
        let file = self.file();
        Program::serve(
            &self.data(),
            &[("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__PRICES__FILE", file.to_str().unwrap())],
        )
    }

    /// The same store without the price file.
    fn serve_without(&self) -> Program {
        Program::serve(&self.data(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)])
    }
}

/// A map with one model, at so many USD for a million prompt tokens.
fn map(model: &str, input: u32) -> String {
    let cost = format!("{input}e-6");
    format!(
        r#"{{"{model}":{{"litellm_provider":"openai","input_cost_per_token":{cost},"output_cost_per_token":1e-5}}}}"#
    )
}

/// Every price, as `model input source`.
fn prices(serve: &Program) -> Vec<String> {
    let listed: Value = serde_json::from_str(&serve.manage(KEY, &["prices", "list", "--json"])).unwrap();
    let price = |price: &Value| {
        let text = |field: &str| price[field].as_str().unwrap().to_owned();
        [text("model"), text("input_per_million"), text("source")].join(" ")
    };
    listed.as_array().unwrap().iter().map(price).collect()
}

#[test]
fn the_file_is_read_at_start_again_at_sighup_and_forgotten_when_it_is_no_longer_named() {
    let place = Place::new(&map("gpt-4o", 2));
    let serve = place.serve();
    assert_eq!(prices(&serve), ["gpt-4o 2 file"]);
    place.write(&map("gpt-4o", 3));
    assert_eq!(prices(&serve), ["gpt-4o 2 file"], "a file alone changes nothing");
    serve.signal(Signal::HUP);
    let line = serve.line_with("SIGHUP");
    assert!(line.contains("INFO") && line.contains("price file is in force"), "{line}");
    assert_eq!(prices(&serve), ["gpt-4o 3 file"]);
    assert!(serve.terminate().success());
    let serve = place.serve_without();
    assert_eq!(prices(&serve), Vec::<String>::new());
}

#[test]
fn a_wrong_file_at_sighup_leaves_the_former_prices_in_force_and_says_what_is_wrong() {
    let place = Place::new(&map("gpt-4o", 2));
    let serve = place.serve();
    for (wrong, expected) in [
        (map("gpt-4o", 2).replace("2e-6", "-2e-6"), "input_cost_per_token is below zero"),
        ("{}".to_owned(), "no entry of it has"),
        ("not json".to_owned(), "it is no price map"),
    ] {
        place.write(&wrong);
        serve.signal(Signal::HUP);
        let line = serve.line_with(expected);
        assert!(line.contains("ERROR") && line.contains(place.file().to_str().unwrap()), "{line}");
        assert_eq!(prices(&serve), ["gpt-4o 2 file"]);
    }
}

#[test]
fn serve_and_check_refuse_a_wrong_file_and_leave_no_trace() {
    let place = Place::new("[]");
    let file = place.file();
    let missing = place.dir.path().join("missing.json");
    let data = place.data();
    let data = data.to_str().unwrap();
    for file in [file, missing] {
        let file = file.to_str().unwrap();
        for command in
            [vec!["check", "--data-dir", data], vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", data]]
        {
            let refused = tollgate(&command, &[("TOLLGATE__PRICES__FILE", file)]);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.contains("prices.file") && said.contains(file), "{said}");
        }
    }
    assert!(!place.data().exists());
}

#[test]
fn a_map_is_imported_listed_beside_the_file_which_goes_before_it_and_deleted() {
    let place = Place::new(&map("gpt-4o", 2));
    let serve = place.serve();
    let import = place.dir.path().join("import.json");
    let mut imported: Value = serde_json::from_str(&map("gpt-4o", 5)).unwrap();
    imported["o3"] = imported["gpt-4o"].clone();
    imported["o3"]["input_cost_per_token_above_200k_tokens"] = json!(7e-6);
    imported["unpriced"] = json!({"litellm_provider": "openai"});
    fs::write(&import, imported.to_string()).unwrap();
    let said = serve.manage(KEY, &["prices", "import", import.to_str().unwrap()]);
    assert_eq!(said, "prices imported: 2, entries skipped: 1\n");
    assert_eq!(prices(&serve), ["gpt-4o 2 file", "gpt-4o 5 imported", "o3 5 imported"]);
    let table = serve.manage(KEY, &["prices", "list", "--provider", "openai", "--model", "o3"]);
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            ["openai", "o3", "-", "5", "10", "-", "-", "imported"],
            ["openai", "o3", "200000", "7", "10", "-", "-", "imported"],
        ]
    );
    assert_eq!(serve.manage(KEY, &["prices", "delete"]), "imported prices deleted: 2\n");
    assert_eq!(prices(&serve), ["gpt-4o 2 file"], "the file's stay");
}

#[test]
fn an_import_that_is_wrong_names_the_entry_and_changes_nothing() {
    let place = Place::new(&map("gpt-4o", 2));
    let serve = place.serve_without();
    let file = place.file();
    let import = ["prices", "import", file.to_str().unwrap()];
    serve.manage(KEY, &import);
    place.write(&map("gpt-bad", 2).replace("2e-6", "true"));
    let refused = tollgate(&[&import[..], &["--url", &serve.url(), "--key", KEY]].concat(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("entry `gpt-bad`: input_cost_per_token is not a decimal number"), "{said}");
    assert_eq!(prices(&serve), ["gpt-4o 2 imported"]);
}

#[test]
fn check_says_how_many_prices_there_are() {
    let place = Place::new(&map("gpt-4o", 2));
    let serve = place.serve();
    let file = place.file();
    let file = file.to_str().unwrap();
    serve.manage(KEY, &["prices", "import", file]);
    assert!(serve.terminate().success());
    let data = place.data();
    let check = ["check", "--data-dir", data.to_str().unwrap()];
    let checked = tollgate(&check, &[("TOLLGATE__PRICES__FILE", file)]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains(&format!("prices: 1 in {file}, entries skipped: 0\n")), "{said}");
    assert!(said.contains("prices: 1 imported\n"), "{said}");
}
