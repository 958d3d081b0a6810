//! `tollgate webhook`, and what a killed gateway had under way.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Answering, ModelServer, Receiver, Script};

use crate::process::{Program, call, tollgate};

const KEY: &str = "mgmt_webhook-tests-0123456789-abcdef";
const CALL: &str = r#"{"model":"acme/chat","messages":[{"role":"user","content":"Hello"}]}"#;

fn serve(dir: &TempDir) -> Program {
    let environment = [("TOLLGATE_MANAGEMENT_KEY", KEY), ("TOLLGATE__WEBHOOKS__ALLOW_PRIVATE", "true")];
    Program::serve(dir.path(), &environment)
}

/// Runs `tollgate webhook … --json`.
fn run(serve: &Program, arguments: &[&str]) -> Value {
    let said = serve.manage(KEY, &[&["webhook"], arguments, &["--json"]].concat());
    serde_json::from_str(&said).unwrap()
}

/// One billed call of a new customer.
fn bill(serve: &Program, model: &ModelServer, customer: &str) {
    let run = |arguments: &[&str]| {
        let said = serve.manage(KEY, &[arguments, &["--json"]].concat());
        serde_json::from_str::<Value>(&said).unwrap()
    };
    if run(&["endpoints", "list"]).as_array().unwrap().is_empty() {
        let base = model.base_url();
        run(&[
            "endpoints",
            "create",
            "acme/chat",
            "--provider",
            "OPENAI_COMPATIBLE",
            "--base-url",
            &base,
            "--target-model",
            "m",
        ]);
    }
    let group = run(&["groups", "create", "--external-id", customer, "--model", "acme/chat"]);
    let key = run(&["keys", "mint", group["id"].as_str().unwrap()]);
    let addr = serve.url();
    let answer = call(addr.trim_start_matches("http://"), key["api_key"].as_str().unwrap(), CALL);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_set_shown_tried_and_deleted_and_its_dead_letters_redriven() {
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::start().await);
    let model = ModelServer::start(Script::default()).await.unwrap();
    let serve = serve(&dir);
    let set = run(&serve, &["set", &receiver.url(), "--description", "Billing", "--batch-max", "5"]);
    let secret = set["secret"].as_str().unwrap();
    let shown = serve.manage(KEY, &["webhook", "get"]);
    assert!(shown.contains("batch_max    5") && !shown.contains("whsec_"), "{shown}");
    let rotated = run(&serve, &["rotate-secret"]);
    assert_ne!(rotated["secret"], secret);
    assert_eq!(run(&serve, &["test"])["status"], 200);
    assert!(receiver.received()[0].is_standard_signed_by(secret), "the former secret signs as well");

    receiver.answer(Answering::Status(410));
    let arguments = ["webhook", "test", "--url", &serve.url(), "--key", KEY];
    let refused = tollgate(&arguments, &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    bill(&serve, &model, "cust_1");
    receiver.wait_for(3).await;
    serve.line_with("dead letters");
    let letters = run(&serve, &["dead-letters"]);
    let id = letters[0]["id"].as_str().unwrap();
    assert!(serve.manage(KEY, &["webhook", "dead-letters"]).contains(id));
    receiver.answer(Answering::Status(200));
    assert_eq!(run(&serve, &["redrive", id]), json!({ "redriven": 1 }));
    receiver.wait_for(4).await;
    assert_eq!(run(&serve, &["redrive"]), json!({ "redriven": 0 }));
    let event = serve.manage(KEY, &["events", "--after-sequence", "0", "--json"]);
    let event: Value = serde_json::from_str(&event).unwrap();
    let line = serve.manage(KEY, &["ledger", "get", event["requestId"].as_str().unwrap()]);
    assert!(line.contains(&format!("delivery {id} is redriven after 1 attempt(s)")), "{line}");
    assert_eq!(run(&serve, &["delete"])["url"], receiver.url());
    assert!(serve.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_under_way_when_the_gateway_was_killed_is_made_again_as_it_was() {
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::start().await);
    let model = ModelServer::start(Script::default()).await.unwrap();
    let first = serve(&dir);
    let secret = run(&first, &["set", &receiver.url()])["secret"].as_str().unwrap().to_owned();
    receiver.answer(Answering::Never);
    bill(&first, &model, "cust_1");
    receiver.wait_for(1).await;
    first.signal(rustix::process::Signal::KILL);
    first.ended();

    receiver.answer(Answering::Status(200));
    let second = serve(&dir);
    let [cut, whole] = &receiver.wait_for(2).await[..] else { panic!("two attempts") };
    assert_eq!(cut.body, whole.body, "byte for byte");
    assert_eq!(cut.header("x-baseten-request-id"), whole.header("x-baseten-request-id"));
    assert!(whole.is_signed_by(&secret) && whole.is_standard_signed_by(&secret));
    bill(&second, &model, "cust_2");
    let third = &receiver.wait_for(3).await[2];
    assert_eq!(third.events()[0]["sequence"], 2, "and nothing else is sent again");
    assert!(second.terminate().success());
}
