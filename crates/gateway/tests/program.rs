//! The program as a person meets it: the real binary, its files, its exit codes.

#[path = "program/check.rs"]
mod check;
#[path = "program/import.rs"]
mod import;
#[path = "program/ledger.rs"]
mod ledger;
#[path = "program/machine.rs"]
mod machine;
#[path = "program/model_configs.rs"]
mod model_configs;
#[path = "program/prices.rs"]
mod prices;
#[path = "program/process.rs"]
mod process;
#[path = "program/shutdown.rs"]
mod shutdown;
#[path = "program/target_prices.rs"]
mod target_prices;
#[path = "program/tls.rs"]
mod tls;
#[path = "program/webhook.rs"]
mod webhook;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use process::{Program, call, get, tollgate};
use tempfile::TempDir;

const KEY: &str = "mgmt_program-tests-0123456789-abcdef";

#[test]
fn a_server_that_is_no_gateway_is_not_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        assert!(connection.read(&mut request).unwrap() > 0);
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").unwrap();
    });
    let asked = tollgate(&["groups", "tree", "--url", &url, "--key", KEY], &[]);
    server.join().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("answered with what is not JSON"), "{said}");
}

#[test]
fn the_demo_answers_streams_and_refuses_with_a_reason() {
    let demo = Program::start(&["demo", "--port", "0"], &[]);
    let base = demo.line_after("base URL");
    let key = demo.line_after("customer key");
    let (addr, key) =
        (base.trim_start_matches("http://").trim_end_matches("/v1"), key.split(' ').next().unwrap());
    let whole = r#"{"model":"demo/chat","messages":[{"role":"user","content":"Hello"}]}"#;
    let streamed = r#"{"model":"demo/chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let answer = call(addr, key, whole);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""model":"demo/chat""#), "{answer}");
    let answer = call(addr, key, streamed);
    assert!(answer.contains("text/event-stream") && answer.contains("data: [DONE]"), "{answer}");
    for _ in 0..3 {
        assert!(call(addr, key, whole).starts_with("HTTP/1.1 200"));
    }
    let refused = call(addr, key, whole);
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    for part in
        ["retry-after: ", r#""code":"rate_limit_exceeded""#, r#""type":"REQUEST""#, r#""threshold":5"#]
    {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    assert!(demo.terminate().success());
}

#[test]
fn the_first_start_makes_an_operators_key_that_works_and_only_its_owner_can_read() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let serve = Program::serve(&data, &[]);
    let file = data.join("operator.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let key = fs::read_to_string(&file).unwrap();
    assert!(!serve.said().contains(key.trim()), "a key must not go to a log");
    let listed = tollgate(&["groups", "list", "--url", &serve.url(), "--key", key.trim()], &[]);
    assert!(listed.status.success(), "{listed:?}");
    assert!(serve.terminate().success());
    let again = Program::serve(&data, &[]);
    let listed = tollgate(&["groups", "list", "--url", &again.url(), "--key", key.trim()], &[]);
    assert!(listed.status.success(), "{listed:?}");
}

#[test]
fn the_environments_key_is_in_force_at_every_start_and_a_new_one_replaces_it() {
    let dir = TempDir::new().unwrap();
    let other = "mgmt_another-key-0123456789-abcdefgh";
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    assert!(tollgate(&["groups", "list", "--url", &serve.url(), "--key", KEY], &[]).status.success());
    assert!(!dir.path().join("operator.key").exists());
    assert!(serve.terminate().success());
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", other)]);
    assert!(tollgate(&["groups", "list", "--url", &serve.url(), "--key", other], &[]).status.success());
    let refused = tollgate(&["groups", "list", "--url", &serve.url(), "--key", KEY], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"));
}

#[test]
fn a_key_that_the_environment_no_longer_gives_is_no_longer_in_force() {
    let dir = TempDir::new().unwrap();
    assert!(Program::serve(dir.path(), &[]).terminate().success());
    let minted = fs::read_to_string(dir.path().join("operator.key")).unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    serve.manage(KEY, &["groups", "list"]);
    serve.manage(minted.trim(), &["groups", "list"]);
    assert!(serve.terminate().success());
    let serve = Program::serve(dir.path(), &[]);
    serve.manage(minted.trim(), &["groups", "list"]);
    let refused = tollgate(&["groups", "list", "--url", &serve.url(), "--key", KEY], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn a_gateway_takes_as_many_files_as_it_may_and_says_when_they_are_too_few() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve_after("ulimit -Sn 100; ulimit -Hn 300", dir.path());
    let limits = fs::read_to_string(format!("/proc/{}/limits", serve.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("300"), "{files}");
    assert!(serve.line_with("ulimit -n").contains("\"allowed\":300"), "{}", serve.said());
}

#[test]
fn two_gateways_never_share_a_directory() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[]);
    let data = dir.path().to_str().unwrap();
    let second = tollgate(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data], &[]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&serve.pid().to_string()), "{said}");
}

#[test]
fn a_store_is_not_opened_with_another_master_key() {
    let dir = TempDir::new().unwrap();
    let (right, wrong) = ("11".repeat(32), "22".repeat(32));
    assert!(Program::serve(dir.path(), &[("TOLLGATE_MASTER_KEY", &right)]).terminate().success());
    let data = dir.path().to_str().unwrap();
    let refused = tollgate(
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", data],
        &[("TOLLGATE_MASTER_KEY", &wrong)],
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("master key"), "{refused:?}");
    let missing = tollgate(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("master.key"), "{missing:?}");
}

#[test]
fn wrong_usage_says_what_and_exits_with_2() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let config = dir.path().join("tollgate.toml");
    fs::write(&config, "[server]\nlisten = \"127.0.0.1:0\"\nmax_bodies = 3\n").unwrap();
    let config = config.to_str().unwrap();
    let serve = ["serve", "--data-dir", data, "--listen", "127.0.0.1:0"];
    let with_config = [&serve[..], &["--config", config]].concat();
    for (arguments, environment, expected) in [
        (&["frobnicate"][..], &[][..], "frobnicate"),
        (&serve[..], &[("TOLLGATE_MANAGEMENT_KEY", "too short")][..], "32 to 128"),
        (&serve[..], &[("TOLLGATE__LIMITS__ADMISSION", "soft")][..], "limits.admission"),
        (&with_config[..], &[][..], "server.max_bodies"),
        (&["groups", "list"][..], &[][..], "TOLLGATE_MANAGEMENT_KEY"),
    ] {
        let done = tollgate(arguments, environment);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert!(!std::path::Path::new(data).exists(), "nothing was made");
}

#[test]
fn a_customer_is_made_from_the_command_line() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let id = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let value = dir.path().join("value");
    fs::write(&value, "sk-upstream\n").unwrap();
    run(&["secrets", "put", "upstream", "--file", value.to_str().unwrap()]);
    assert!(run(&["secrets", "list"]).contains("upstream"));
    let target = ["--base-url", "http://127.0.0.1:9/v1", "--target-model", "m", "--secret", "upstream"];
    let counted = ["--tokenizer", "cl100k"];
    let endpoint = id(&run(&[&["endpoints", "create", "acme/chat"][..], &target[..], &counted[..]].concat()));
    assert!(run(&["endpoints", "list"]).contains("acme/chat"));
    assert!(run(&["endpoints", "get", &endpoint]).contains("\"tokenizer\": \"cl100k\""));
    let model = "acme/chat:REQUEST/MINUTE=100,TOKEN/DAY=1000";
    let root =
        id(&run(&["groups", "create", "--external-id", "org", "--mode", "cascading", "--model", model]));
    let child = ["groups", "create", "--external-id", "team", "--mode", "CASCADING", "--parent", &root];
    let child = id(&run(&[&child[..], &["--model", "acme/chat"][..]].concat()));
    let tree = run(&["groups", "tree"]);
    assert!(tree.contains("└─ team") && tree.contains("REQUEST/MINUTE 0/100"), "{tree}");
    let key = run(&["keys", "mint", &child, "--name", "prod"]);
    assert!(key.starts_with("sky_"), "{key}");
    let prefix = key.split('.').next().unwrap();
    assert!(run(&["keys", "list", &child]).contains(prefix));
    assert!(run(&["groups", "usage", &child]).contains("TOKEN/DAY"));
    let limits = run(&["groups", "limits", &child]);
    assert!(
        limits.contains("TOKEN/DAY") && limits.contains("ancestor") && limits.contains("0/1000"),
        "{limits}"
    );
    let untested = tollgate(&["endpoints", "test", &endpoint, "--url", &serve.url(), "--key", KEY], &[]);
    assert_eq!(untested.status.code(), Some(1), "nobody listens there: {untested:?}");
    run(&["keys", "revoke", &child, prefix]);
    run(&["groups", "update", &root, "--name", "The org"]);
    assert!(run(&["groups", "get", &root]).contains("The org"));
    run(&["groups", "delete", &root]);
    assert_eq!(run(&["groups", "list", "--json"]).trim(), "[]");
    run(&["endpoints", "delete", &endpoint]);
    run(&["secrets", "delete", "upstream"]);
}

/// A group that may call `acme/chat` once a day, and its key. Nobody listens on port 9 of this machine, so a call uses
/// its request and no token.
fn customer_of_one_call(serve: &Program) -> (String, String) {
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    run(&["endpoints", "create", "acme/chat", "--base-url", "http://127.0.0.1:9/v1", "--target-model", "m"]);
    let model = "acme/chat:REQUEST/DAY=1,TOKEN/DAY=1000";
    let group = run(&["groups", "create", "--external-id", "org", "--model", model]);
    let group = group.split_whitespace().next().expect("create says the id").to_owned();
    let key = run(&["keys", "mint", &group]);
    (group, key)
}

#[test]
fn what_would_become_of_a_call_is_told_in_a_sentence_and_what_is_used_beside_each_limit() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let (group, key) = customer_of_one_call(&serve);
    let (group, (prefix, _)) = (group.as_str(), key.trim().split_once('.').unwrap());
    let explain =
        ["explain", "--key", prefix, "--model", "acme/chat", "--prompt-tokens", "5", "--max-tokens", "50"];
    let before = run(&explain);
    assert!(before.starts_with("would be admitted now, holding 1 request and 55 tokens"), "{before}");
    assert!(before.contains("REQUEST/DAY") && before.contains("0/1 ") && before.contains("fits"), "{before}");
    let url = serve.url();
    let said = r#"{"model":"acme/chat","messages":[{"role":"user","content":"Hello."}]}"#;
    assert!(call(url.trim_start_matches("http://"), key.trim(), said).starts_with("HTTP/1.1 502"));
    let after = run(&explain);
    assert!(
        after.starts_with("would be refused now: 429 usage_limit_exceeded, by REQUEST/DAY 1/1; passes at 2"),
        "{after}"
    );
    assert!(after.contains("refuses, binds"), "{after}");
    let never = run(&["explain", "--group", group, "--model", "acme/chat", "--max-tokens", "1001"]);
    assert!(never.contains("request_exceeds_limit") && never.contains("TOKEN/DAY 1000"), "{never}");
    let whole_key = run(&["explain", "--key", key.trim(), "--model", "acme/chat", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&whole_key).unwrap();
    assert_eq!((answer["admitted"].as_bool(), answer["binding"].as_u64()), (Some(false), Some(0)));
    let tree = run(&["groups", "tree", group]);
    assert!(tree.contains("acme/chat: REQUEST/DAY 1/1, TOKEN/DAY 0/1000"), "{tree}");
    let nested: serde_json::Value = serde_json::from_str(&run(&["groups", "tree", "--json"])).unwrap();
    assert_eq!(nested[0]["limits"][0]["used"], 1);
}

#[test]
fn why_a_call_was_refused_is_told_by_its_request_id_after_a_restart_too() {
    let dir = TempDir::new().unwrap();
    let environment = [("TOLLGATE_MANAGEMENT_KEY", KEY)];
    let serve = Program::serve(dir.path(), &environment);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let (group, key) = customer_of_one_call(&serve);
    let (group, (prefix, _)) = (group.as_str(), key.trim().split_once('.').unwrap());
    let url = serve.url();
    let asked = |model: &str| {
        let said = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello."}}]}}"#);
        let answer = call(url.trim_start_matches("http://"), key.trim(), &said);
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        id.trim().to_owned()
    };
    let [admitted, refused, unknown] = ["acme/chat", "acme/chat", "acme/none"].map(asked);
    let whose = |model: &str| format!("call for {model} by key {prefix} of group {group}: ");
    let said = run(&["decision", &admitted]);
    assert!(said.starts_with(&(whose("acme/chat") + "admitted at 2")), "{said}");
    assert!(said.contains("REQUEST/DAY") && said.contains("1/1") && !said.contains("refuses"), "{said}");
    let before = run(&["decision", &refused]);
    assert!(before.starts_with(&(whose("acme/chat") + "refused at 2")), "{before}");
    assert!(
        before.contains(": 429 usage_limit_exceeded, by REQUEST/DAY 1/1; would have passed at 2"),
        "{before}"
    );
    assert!(before.contains("refuses, binds") && before.contains("0/1000"), "{before}");
    let turned_away = run(&["decision", &unknown]);
    assert!(turned_away.contains("403 model_not_allowed, since the group did not list"), "{turned_away}");
    let json: serde_json::Value = serde_json::from_str(&run(&["decision", &refused, "--json"])).unwrap();
    assert_eq!((json["request_id"].as_str(), json["binding"].as_u64()), (Some(&*refused), Some(0)));
    assert!(serve.terminate().success());
    let serve = Program::serve(dir.path(), &environment);
    assert_eq!(serve.manage(KEY, &["decision", &refused]), before);
    let gone = tollgate(&["decision", &admitted, "--url", &serve.url(), "--key", KEY], &[]);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert_eq!(gone.status.code(), Some(1), "{said}");
    assert!(said.contains("No decision is kept under this request id"), "{said}");
}

#[test]
fn a_command_that_asks_more_often_than_its_key_may_takes_longer_and_comes_to_its_end() {
    let dir = TempDir::new().unwrap();
    let environment =
        [("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "1")];
    let serve = Program::serve(dir.path(), &environment);
    for customer in ["one", "two"] {
        let model = "acme/chat:REQUEST/DAY=7";
        serve.manage(KEY, &["groups", "create", "--external-id", customer, "--model", model]);
    }
    let tree = serve.manage(KEY, &["groups", "tree"]);
    assert_eq!(tree.matches("REQUEST/DAY 0/7").count(), 2, "{tree}");
}

#[test]
fn a_question_without_a_caller_or_with_keys_swapped_is_wrong_usage() {
    let key = [("TOLLGATE_MANAGEMENT_KEY", KEY)];
    for (arguments, environment, expected) in [
        (&["explain", "--model", "a/b"][..], &key[..], "--key"),
        (&["explain", "--key", "sky_x", "--group", "y", "--model", "a/b"], &key, "--group"),
        (&["explain", "--key", "sky_x", "--model", "a/b"], &[], "--management-key"),
        (&["explain", "--key", KEY, "--model", "a/b"], &key, "--management-key"),
    ] {
        let done = tollgate(arguments, environment);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected) && !said.contains(KEY), "{arguments:?}: {said}");
    }
}

#[test]
fn management_can_have_a_listener_of_its_own() {
    let dir = TempDir::new().unwrap();
    let environment = [("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__SERVER__ADMIN_LISTEN", "127.0.0.1:0")];
    let serve = Program::serve(dir.path(), &environment);
    let outside = tollgate(&["groups", "list", "--url", &serve.url(), "--key", KEY], &[]);
    assert_eq!(outside.status.code(), Some(1), "{outside:?}");
    let inside = tollgate(&["groups", "list", "--url", &serve.admin_url(), "--key", KEY], &[]);
    assert!(inside.status.success(), "{inside:?}");
}

#[test]
fn a_log_line_names_the_call_and_never_what_was_said_or_with_which_key() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    // Nobody listens on port 9 of this machine.
    run(&["endpoints", "create", "acme/chat", "--base-url", "http://127.0.0.1:9/v1", "--target-model", "m"]);
    let group = run(&["groups", "create", "--external-id", "org", "--model", "acme/chat"]);
    let key = run(&["keys", "mint", group.split_whitespace().next().unwrap()]);
    let (prefix, secret) = key.trim().split_once('.').unwrap();
    let url = serve.url();
    let said = r#"{"model":"acme/chat","messages":[{"role":"user","content":"a private sentence"}]}"#;
    let failed = call(url.trim_start_matches("http://"), key.trim(), said);
    assert!(failed.starts_with("HTTP/1.1 502"), "{failed}");
    let line: serde_json::Value = serde_json::from_str(&serve.line_with("call failed")).unwrap();
    assert_eq!((line["status"].as_u64(), line["slug"].as_str()), (Some(502), Some("acme/chat")));
    assert_eq!(line["key"].as_str(), Some(prefix));
    assert!(line["cause"].as_str().unwrap().contains("no connection"), "{line}");
    assert!(failed.contains(line["request_id"].as_str().unwrap()), "the caller can name the call");
    let all = serve.said();
    assert!(!all.contains(secret) && !all.contains("private sentence") && !all.contains(KEY), "{all}");
}

#[test]
fn a_tenant_is_made_and_kept_from_the_command_line() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let made = run(&["workspace", "create", "Acme", "--prefix", "acme", "--prefix", "acme.dev"]);
    let (id, key) = (made.split_whitespace().next().unwrap(), made.lines().nth(1).unwrap());
    assert!(key.starts_with("mgmt_"), "{made}");
    let listed = run(&["workspace", "list"]);
    assert!(listed.contains("Acme") && listed.contains("acme, acme.dev") && listed.contains('*'), "{listed}");
    serve.manage(key, &["groups", "create", "--external-id", "theirs", "--model", "acme/chat"]);
    assert!(!run(&["groups", "list"]).contains("theirs"));
    assert!(run(&["groups", "list", "--workspace", id]).contains("theirs"));
    let named =
        [("TOLLGATE_WORKSPACE", id), ("TOLLGATE_URL", &serve.url()), ("TOLLGATE_MANAGEMENT_KEY", KEY)];
    let tree = tollgate(&["groups", "tree"], &named);
    assert!(String::from_utf8_lossy(&tree.stdout).contains("theirs"), "{tree:?}");
    let public_key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    run(&["workspace", "set", id, "--name", "Acme Inc", "--public-key", public_key, "--no-prefixes"]);
    run(&["workspace", "set", id, "--onboarded", "false", "--no-public-key"]);
    let set: serde_json::Value = serde_json::from_str(&run(&["workspace", "list", "--json"])).unwrap();
    let set = &set[1];
    assert_eq!((&set["name"], &set["onboarded"]), (&"Acme Inc".into(), &false.into()));
    assert!(
        set["ed25519_public_key"].is_null() && set["org_prefixes"].as_array().unwrap().is_empty(),
        "{set}"
    );
    let shut_out = tollgate(&["groups", "list", "--url", &serve.url(), "--key", key], &[]);
    assert!(String::from_utf8_lossy(&shut_out.stderr).contains("not onboarded"), "{shut_out:?}");
}

#[test]
fn a_management_key_is_rotated_from_the_command_line() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    let made = run(&["workspace", "create", "Acme"]);
    let (id, old) = (made.split_whitespace().next().unwrap(), made.lines().nth(1).unwrap());
    let new = serve.manage(old, &["workspace", "keys", "mint", id, "--scope", "manage", "--name", "new"]);
    let list = serve.manage(new.trim(), &["workspace", "keys", "list", id]);
    let row = |key: &str| list.lines().find(|line| line.contains(key.split('.').next().unwrap())).unwrap();
    assert!(row(&new).contains("new") && row(&new).contains("manage"), "{list}");
    let old_id = row(old).split_whitespace().next().unwrap();
    serve.manage(new.trim(), &["workspace", "keys", "revoke", id, old_id]);
    let refused = tollgate(&["groups", "list", "--url", &serve.url(), "--key", old], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        serve
            .manage(new.trim(), &["workspace", "keys", "list", id, "--json"])
            .contains(r#""scope": "manage""#)
    );
}

#[test]
fn a_lost_operators_key_is_replaced_on_the_machine_itself() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let recover = ["workspace", "recover", "--data-dir", data.to_str().unwrap()];
    let nothing = tollgate(&recover, &[]);
    assert_eq!((nothing.status.code(), data.exists()), (Some(1), false), "{nothing:?}");
    let serve = Program::serve(&data, &[]);
    assert!(serve.terminate().success());
    fs::remove_file(data.join("operator.key")).unwrap();
    let recovered = tollgate(&recover, &[]);
    assert!(recovered.status.success(), "{recovered:?}");
    let key = String::from_utf8(recovered.stdout).unwrap();
    let log = String::from_utf8(recovered.stderr).unwrap();
    assert!(log.contains(key.split('.').next().unwrap()), "{log}");
    assert!(!log.contains(key.trim().split('.').nth(1).unwrap()), "a key must not go to a log");
    let serve = Program::serve(&data, &[]);
    let first: serde_json::Value =
        serde_json::from_str(&serve.manage(key.trim(), &["workspace", "list", "--json"])).unwrap();
    let keys = serve.manage(key.trim(), &["workspace", "keys", "list", first[0]["id"].as_str().unwrap()]);
    assert!(keys.contains("recovered") && keys.lines().count() == 3, "{keys}");
}

#[test]
fn the_environment_cannot_make_an_operator_of_a_lesser_key() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let made = serve.manage(KEY, &["workspace", "create", "Acme"]);
    let lesser = made.lines().nth(1).unwrap();
    assert!(serve.terminate().success());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.path().to_str().unwrap()];
    let refused = tollgate(&serve, &[("TOLLGATE_MANAGEMENT_KEY", lesser)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("TOLLGATE_MANAGEMENT_KEY is a key of less than an operator"), "{said}");
    assert!(!said.contains(lesser), "{said}");
}

#[test]
fn every_listing_speaks_json() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
    let run = |arguments: &[&str]| serve.manage(KEY, arguments);
    run(&["endpoints", "create", "acme/chat", "--base-url", "http://127.0.0.1:9/v1", "--target-model", "m"]);
    let group = run(&["groups", "create", "--external-id", "org", "--model", "acme/chat"]);
    let group = group.split_whitespace().next().unwrap();
    run(&["keys", "mint", group]);
    let value = dir.path().join("value");
    fs::write(&value, "sk-upstream\n").unwrap();
    run(&["secrets", "put", "upstream", "--file", value.to_str().unwrap()]);
    let workspaces: serde_json::Value = serde_json::from_str(&run(&["workspace", "list", "--json"])).unwrap();
    let workspace = workspaces[0]["id"].as_str().unwrap();
    for listing in [
        &["groups", "list"][..],
        &["groups", "tree"],
        &["keys", "list", group],
        &["endpoints", "list"],
        &["secrets", "list"],
        &["workspace", "list"],
        &["workspace", "keys", "list", workspace],
    ] {
        let listed: serde_json::Value = serde_json::from_str(&run(&[listing, &["--json"]].concat())).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listing:?}: {listed}");
    }
}

#[test]
fn shells_learn_the_commands() {
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef tollgate"), ("fish", "complete -c tollgate")]
    {
        let done = tollgate(&["completions", shell], &[]);
        let script = String::from_utf8(done.stdout).unwrap();
        assert!(
            done.status.success() && script.contains(sign) && script.contains("workspace"),
            "{shell}: {script}"
        );
    }
    assert_eq!(tollgate(&["completions", "tcsh"], &[]).status.code(), Some(2));
}

#[test]
fn the_document_that_the_program_prints_is_the_one_that_both_listeners_serve() {
    let dir = TempDir::new().unwrap();
    let printed = tollgate(&["openapi"], &[]);
    assert!(printed.status.success(), "{printed:?}");
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let serve = Program::serve(dir.path(), &[("TOLLGATE__SERVER__ADMIN_LISTEN", "127.0.0.1:0")]);
    assert_ne!(serve.url(), serve.admin_url());
    for url in [serve.url(), serve.admin_url()] {
        let served: serde_json::Value = serde_json::from_str(&get(&format!("{url}/openapi.json"))).unwrap();
        assert_eq!(served, printed);
    }
}

#[test]
fn a_listing_may_be_cut_short_by_its_reader() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let mut child = child.arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn an_environment_that_is_not_unicode_is_no_accident_and_a_key_in_it_is_refused() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let run = |command: &str, variable: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        program.arg(command).arg("--data-dir").arg(&data).current_dir(dir.path());
        program.env(variable, OsStr::from_bytes(&[0xff; 40])).output().unwrap()
    };
    assert_eq!(run("check", "SOMEBODY_ELSES").status.code(), Some(0));
    let refused = run("serve", "TOLLGATE_MANAGEMENT_KEY");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!data.exists(), "nothing was begun");
}

#[test]
fn help_says_what_the_program_is_and_tells_its_own_options_from_those_of_every_command() {
    let help = |arguments: &[&str]| String::from_utf8(tollgate(arguments, &[]).stdout).unwrap();
    assert!(help(&["--help"]).starts_with("A self-hosted gateway"));
    let explain = help(&["explain", "--help"]);
    let (own, of_every) = explain.split_once("Which gateway:").unwrap();
    assert!(own.contains("--prompt-tokens") && of_every.contains("--management-key"), "{explain}");
    let mint = help(&["workspace", "keys", "mint", "--help"]);
    let (own, every) = mint.split_once("Which gateway:").unwrap();
    assert!(own.contains("<WORKSPACE>") && own.contains("--scope"), "{mint}");
    assert!(every.contains("--url") && every.contains("--workspace"), "{mint}");
}
