//! The published document against the server: no route without a description, and no description without a route.

#![cfg(test)]

use std::fs;
use std::path::Path;

use gateway::openapi::document;
use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, OPERATOR_KEY, Reply};

/// The surface of the API, a line for each operation. A change of this file is a change for somebody's client.
const SURFACE: &str = "tests/openapi/surface.txt";

const METHODS: [Method; 5] = [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];

/// Every operation of the document.
fn operations() -> Vec<(Method, String)> {
    let document = document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
}

/// A real path of this form, for an object that there is not.
fn filled(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "nobody".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn is_unserved(reply: &Reply) -> bool {
    let no_such_path = "No such path";
    let said = [&reply.body["message"], &reply.body["error"]["message"]];
    reply.status == 405
        || (reply.status == 404
            && said.iter().any(|said| said.as_str().unwrap_or("").starts_with(no_such_path)))
}

#[test]
fn the_surface_of_the_api_is_the_one_that_was_reviewed() {
    let mut lines: Vec<_> = operations().iter().map(|(method, path)| format!("{path} {method}")).collect();
    lines.sort();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(SURFACE);
    let reviewed = fs::read_to_string(file).unwrap();
    let reviewed: Vec<_> = reviewed.lines().collect();
    assert_eq!(lines, reviewed, "if you meant this change, write it into {SURFACE}");
}

#[test]
fn every_operation_of_the_data_plane_is_in_the_document() {
    let operations = operations();
    for operation in wire::Operation::ALL {
        assert!(operations.contains(&(Method::POST, operation.path().to_owned())), "{operation:?}");
    }
}

#[tokio::test]
async fn every_described_path_takes_exactly_the_described_methods() {
    let gw = Gateway::start().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    let described = operations();
    let mut paths: Vec<_> = described.iter().map(|(_, path)| path).collect();
    paths.dedup();
    for path in paths {
        let key = if admin::Admin::serves(path) { OPERATOR_KEY } else { &customer.key };
        for method in METHODS {
            let reply = gw.send_as(key, method.clone(), &filled(path), Value::Null).await;
            let is_described = described.contains(&(method.clone(), path.clone()));
            assert_eq!(
                is_unserved(&reply),
                !is_described,
                "{method} {path}: {} {}",
                reply.status,
                reply.text
            );
        }
    }
}

#[tokio::test]
async fn paths_that_are_not_described_are_not_served() {
    let gw = Gateway::start().await;
    for path in ["/", "/openapi", "/openapi.json/", "/v1/openapi.json", "/v1/gateway", "/v1/secrets/a/b"] {
        let reply = gw.get(path).await.expect(404);
        assert!(is_unserved(&reply), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn the_document_is_open_to_everyone_and_read_only() {
    let gw = Gateway::start().await;
    let served = gw.request(Method::GET, "/openapi.json").send().await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(served.body, document());
    let refused = gw.request(Method::POST, "/openapi.json").send().await.expect(405);
    assert_eq!(refused.header("allow"), "GET,HEAD");
}

#[test]
fn whatever_holds_a_secret_says_that_it_is_written_only_or_shown_once() {
    let document = document();
    let schema =
        |name: &str, member: &str| document["components"]["schemas"][name]["properties"][member].clone();
    for (name, member) in [("SecretPut", "value"), ("KeyRegister", "key")] {
        assert_eq!(schema(name, member)["writeOnly"], json!(true), "{name}.{member}");
    }
    for (name, member) in [("KeyMinted", "api_key"), ("ManagementKeyMinted", "key")] {
        let said = schema(name, member)["description"].as_str().unwrap_or("").to_owned();
        assert!(said.contains("never shown again"), "{name}.{member}: {said}");
    }
}
