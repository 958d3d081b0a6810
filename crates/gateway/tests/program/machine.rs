//! `tollgate audit`, `backup`, `restore` and `workspace recover`, with a gateway running and without one.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{ModelServer, Script};

use crate::process::{Program, call, tollgate};

const KEY: &str = "mgmt_machine-tests-0123456789-abcdef";
const CALL: &str = r#"{"model":"acme/chat","messages":[{"role":"user","content":"Hello"}]}"#;

/// A data directory whose gateway has one customer, with limits, a config and a model that answers.
struct Shop {
    dir: TempDir,
    _model: (tokio::runtime::Runtime, ModelServer),
    model_url: String,
    customer: String,
}

impl Shop {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let model = runtime.block_on(ModelServer::start(Script::default())).unwrap();
        let model_url = model.base_url();
        Self { dir: TempDir::new().unwrap(), _model: (runtime, model), model_url, customer: String::new() }
    }

    fn open() -> (Self, Program) {
        let mut shop = Self::new();
        let serve = shop.serve();
        let target = [
            "--base-url",
            &shop.model_url,
            "--target-model",
            "m",
            "--input-price",
            "1",
            "--output-price",
            "2",
        ];
        serve.manage(KEY, &[&["endpoints", "create", "acme/chat"], &target[..]].concat());
        let group =
            ["groups", "create", "--external-id", "cust", "--model", "acme/chat:TOKEN/DAY=1000000000"];
        let made = serve.manage(KEY, &group);
        let minted = serve.manage(KEY, &["keys", "mint", made.split_whitespace().next().unwrap(), "--json"]);
        serde_json::from_str::<Value>(&minted).unwrap()["api_key"]
            .as_str()
            .unwrap()
            .clone_into(&mut shop.customer);
        serve.manage(
            KEY,
            &["model-configs", "create", "--model", "*", "--budget", "1000/1d", "--requests", "9000/1h"],
        );
        (shop, serve)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn serve(&self) -> Program {
        serve(&self.data())
    }

    fn call(&self, serve: &Program) {
        let answer = call(serve.url().trim_start_matches("http://"), &self.customer, CALL);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

fn serve(data: &Path) -> Program {
    Program::serve(
        data,
        &[("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__UPSTREAM__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#)],
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn audit(data: &Path) -> Output {
    tollgate(&["audit", "--json", "--data-dir", data.to_str().unwrap()], &[])
}

/// What a clean audit says.
fn sound(data: &Path) -> Value {
    let done = audit(data);
    assert!(done.status.success(), "{done:?}");
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["differences"], &said["more"]), (&json!([]), &json!(0)));
    said
}

fn backup(data: &Path, to: &Path, more: &[&str]) -> Output {
    let always = ["backup", to.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    tollgate(&[&always[..], more].concat(), &[])
}

fn restore(from: &Path, to: &Path) -> Output {
    tollgate(&["restore", from.to_str().unwrap(), "--data-dir", to.to_str().unwrap()], &[])
}

#[test]
fn an_audit_finds_nothing_in_a_gateway_that_runs_and_nothing_once_it_has_stopped() {
    let (shop, serve) = Shop::open();
    (0..5).for_each(|_| shop.call(&serve));
    let said = sound(&shop.data());
    assert_eq!((&said["entries"], &said["skipped"]), (&json!(5), &json!(0)), "{said}");
    let plain = tollgate(&["audit", "--data-dir", shop.data().to_str().unwrap()], &[]);
    assert!(
        text(&plain.stdout).contains("5 entries,") && text(&plain.stdout).contains("no difference"),
        "{plain:?}"
    );
    assert!(serve.line_with("the audit found no difference").contains("\"entries\":5"));
    assert!(serve.terminate().success());
    assert_eq!(sound(&shop.data())["entries"], 5);
}

#[test]
fn an_audit_exits_1_on_any_difference_and_says_what_where_expected_and_found() {
    let (shop, serve) = Shop::open();
    shop.call(&serve);
    let store = rusqlite::Connection::open(shop.data().join("tollgate.db")).unwrap();
    sound(&shop.data());
    store.execute("UPDATE rollups SET requests = 7", []).unwrap();
    let find = || {
        let found = audit(&shop.data());
        let said: Value = serde_json::from_slice(&found.stdout).unwrap();
        let difference = &said["differences"][0];
        assert_eq!(
            (found.status.code(), &difference["what"]),
            (Some(1), &json!("rollups.requests")),
            "{said}"
        );
        assert_eq!((&difference["expected"], &difference["found"]), (&json!("1"), &json!("7")));
        assert!(text(&found.stderr).ends_with("tollgate: 1 difference\n"), "{found:?}");
    };
    find();
    assert!(serve.line_with("the first difference").contains("rollups.requests"));
    serve.signal(rustix::process::Signal::KILL);
    assert!(!serve.ended().success());
    find();
    let wrong = tollgate(&["audit", "--jsonn"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    let nothing = audit(&shop.dir.path().join("nowhere"));
    assert!(nothing.status.code() == Some(1) && text(&nothing.stderr).contains("no store"), "{nothing:?}");
}

#[test]
fn a_backup_taken_among_calls_is_put_back_adds_up_and_serves() {
    let (shop, serve) = Shop::open();
    let (done, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let copy = |nth: u64| shop.dir.path().join(format!("copy-{nth}"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                shop.call(&serve);
                calls.fetch_add(1, Ordering::SeqCst);
            }
        });
        for nth in 0..3 {
            while calls.load(Ordering::SeqCst) < 20 * (nth + 1) {
                std::thread::yield_now();
            }
            let made = backup(&shop.data(), &copy(nth), &["--with-master-key"]);
            assert!(made.status.success(), "{made:?}");
            assert!(text(&made.stdout).contains("the master key is in it"), "{made:?}");
        }
        done.store(true, Ordering::SeqCst);
    });
    let all = calls.into_inner();
    for nth in 0..3 {
        let data = shop.dir.path().join(format!("data-{nth}"));
        let put_back = restore(&copy(nth), &data);
        assert!(
            put_back.status.success() && text(&put_back.stdout).contains("up to sequence"),
            "{put_back:?}"
        );
        let entries = sound(&data)["entries"].as_u64().unwrap();
        assert!((20 * (nth + 1)..=all).contains(&entries), "{entries} of {all}");
        let again = self::serve(&data);
        shop.call(&again);
        assert!(sound(&data)["entries"].as_u64().unwrap() > entries);
        assert!(again.terminate().success());
    }
}

#[test]
fn without_the_master_key_a_backup_says_that_it_has_to_be_given() {
    let (shop, serve) = Shop::open();
    shop.call(&serve);
    assert!(serve.terminate().success());
    let (copy, data) = (shop.dir.path().join("copy"), shop.dir.path().join("new"));
    let made = backup(&shop.data(), &copy, &[]);
    assert!(made.status.success() && text(&made.stdout).contains("keep it apart"), "{made:?}");
    assert!(!copy.join("master.key").exists() && !copy.join("operator.key").exists());
    let put_back = restore(&copy, &data);
    assert!(text(&put_back.stdout).contains("TOLLGATE_MASTER_KEY"), "{put_back:?}");
    let start = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let refused = tollgate(&start, &[]);
    assert!(refused.status.code() == Some(1) && text(&refused.stderr).contains("master.key"), "{refused:?}");
    fs::copy(shop.data().join("master.key"), data.join("master.key")).unwrap();
    shop.call(&self::serve(&data));
}

#[test]
fn a_backup_and_a_restore_write_over_nothing() {
    let (shop, serve) = Shop::open();
    let copy = shop.dir.path().join("copy");
    assert!(backup(&shop.data(), &copy, &[]).status.success());
    let again = backup(&shop.data(), &copy, &[]);
    assert!(again.status.code() == Some(1) && text(&again.stderr).contains("is not empty"), "{again:?}");
    let over = restore(&copy, &shop.data());
    assert!(over.status.code() == Some(1) && text(&over.stderr).contains("is not empty"), "{over:?}");
    let data = shop.dir.path().join("new");
    let none = restore(&shop.data(), &data);
    assert!(none.status.code() == Some(1) && text(&none.stderr).contains("no manifest.json"), "{none:?}");
    assert_eq!(
        tollgate(&["restore", copy.to_str().unwrap()], &[]).status.code(),
        Some(2),
        "--data-dir has to be said"
    );
    assert!(serve.terminate().success());
}

#[test]
fn a_running_gateway_mints_an_operators_key_for_whoever_holds_its_directory() {
    let (shop, serve) = Shop::open();
    let recovered = tollgate(&["workspace", "recover", "--data-dir", shop.data().to_str().unwrap()], &[]);
    assert!(recovered.status.success(), "{recovered:?}");
    let key = text(&recovered.stdout);
    serve.manage(key.trim(), &["workspace", "list"]);
    let log = serve.line_with("minted on the machine itself");
    assert!(log.contains(key.split('.').next().unwrap()), "{log}");
    assert!(!serve.said().contains(key.trim().split('.').nth(1).unwrap()), "a key must not go to a log");
}

#[test]
fn the_control_socket_is_its_owners_alone_outlives_no_gateway_and_replaces_what_a_killed_one_left() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("control.sock");
    drop(UnixListener::bind(&socket).unwrap());
    fs::write(dir.path().join("control.new"), "half made").unwrap();
    let gateway = serve(dir.path());
    let found = fs::symlink_metadata(&socket).unwrap();
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o777 == 0o600, "{found:?}");
    assert!(!dir.path().join("control.new").exists());
    sound(dir.path());
    gateway.signal(rustix::process::Signal::KILL);
    assert!(!gateway.ended().success() && socket.exists());
    sound(dir.path());
    let gateway = serve(dir.path());
    sound(dir.path());
    assert!(gateway.terminate().success());
    assert!(!socket.exists());
}

#[test]
fn a_directory_whose_name_is_too_long_for_a_socket_is_served_without_one_and_told_of_once() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("d".repeat(120));
    let serve = serve(&data);
    serve.line_with("there is no control socket");
    serve.line_with("\"serving\"");
    assert_eq!(serve.said().matches("there is no control socket").count(), 1);
    let refused = audit(&data);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains(&serve.pid().to_string()), "{said}");
    assert!(serve.terminate().success());
    sound(&data);
}
