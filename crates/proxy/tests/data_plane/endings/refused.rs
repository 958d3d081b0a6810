//! Refused by us, or by the model server before it wrote anything.

use std::time::Duration;

use domain::{Outcome, Usage};
use http::Method;
use serde_json::json;
use testkit::{Act, ModelServer, Script};
use tokio::net::TcpListener;

use super::*;

impl Tree {
    /// Points `acme/m1` at another model server.
    async fn moved_to(&self, base_url: &str) {
        let all = self.gw.get("/v1/gateway/endpoints").await.expect(200);
        let endpoints = all.body["items"].as_array().unwrap();
        let endpoint = endpoints.iter().find(|endpoint| endpoint["slug"] == M1).unwrap();
        let path = format!("/v1/gateway/endpoints/{}", endpoint["id"].as_str().unwrap());
        self.gw.patch(&path, json!({ "targets": [at(base_url)] })).await.expect(200);
    }
}

#[tokio::test]
async fn what_we_refuse_is_charged_nowhere_and_has_no_line() {
    let tree = Tree::new().await;
    let other = |model: &str| CHAT.body(model).to_string();
    let mut too_much = CHAT.body(M1);
    too_much["max_tokens"] = (PLENTY + 1).into();
    for (path, key, body, status, code) in [
        (CHAT.path, tree.key.as_str(), "{".to_owned(), 400, "invalid_json"),
        (CHAT.path, &tree.key, json!({ "messages": [] }).to_string(), 400, "missing_model"),
        (CHAT.path, "nobody", other(M1), 401, "invalid_api_key"),
        (CHAT.path, &tree.key, other("acme/other"), 403, "model_not_allowed"),
        (CHAT.path, &tree.key, other("acme/gone"), 404, "model_not_found"),
        ("/v1/images", &tree.key, other(M1), 404, "unknown_route"),
        (CHAT.path, &tree.key, too_much.to_string(), 429, "request_exceeds_limit"),
    ] {
        let request = tree.gw.request(Method::POST, path).header("authorization", format!("Bearer {key}"));
        let reply = request.body(body).send().await;
        refused(&reply, status, code);
        assert_eq!(tree.gw.entry(reply.header("x-request-id")).await, None, "{code}");
    }
    assert_eq!(tree.lines().await, []);
    tree.counters_hold(0, 0).await;
    assert_eq!(tree.gw.model.served().started, 0);
}

#[tokio::test]
async fn a_call_that_an_exhausted_limit_refuses_changes_no_counter() {
    let tree = Tree::new().await;
    tree.send(&CHAT, Script::default()).await.expect(200);
    let tight = [("REQUEST", "MINUTE", 1), ("REQUEST", "DAY", PLENTY), LIMITS[2], LIMITS[3]];
    limit(&tree.gw, &tree.groups[0], &tight).await;
    for _ in 0..3 {
        let reply = tree.send(&CHAT.streamed(), Script::default()).await;
        refused(&reply, 429, "rate_limit_exceeded");
        assert_eq!(tree.gw.entry(reply.header("x-request-id")).await, None);
    }
    tree.ended("the admitted one alone", (Outcome::Completed, Some(200), reported(10, 9))).await;
}

#[tokio::test]
async fn a_connection_that_the_model_server_refuses_costs_the_request_alone() {
    for call in SHAPES {
        let mut tree = Tree::new().await;
        let elsewhere = ModelServer::start(Script::default()).await.unwrap();
        std::mem::replace(&mut tree.gw.model, elsewhere).stop().await;
        let reply = tree.send(&call, Script::default()).await.expect(502);
        tree.answered("not reached", &reply, (Outcome::NotReached, None, Usage::NONE)).await;
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_costs_the_request_alone() {
    // The listener takes connections and never speaks, so that no TLS comes about.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for call in SHAPES {
        let tree = Tree::with(|config| config.upstream.connect_timeout = Duration::from_millis(50)).await;
        tree.moved_to(&format!("https://{address}/v1")).await;
        let reply = tree.send(&call, Script::default()).await.expect(504);
        assert_eq!(reply.body["error"]["code"], "upstream_timeout");
        tree.answered("no connection", &reply, (Outcome::NotReached, None, Usage::NONE)).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_before_an_answer_costs_the_request_alone() {
    for call in SHAPES {
        let tree = Tree::new().await;
        let reply = tree.send(&call, Script { act: Act::Refuse, ..Script::default() }).await.expect(502);
        tree.answered("reset", &reply, (Outcome::NotReached, None, Usage::NONE)).await;
    }
}

#[tokio::test]
async fn an_error_of_the_model_server_before_any_token_costs_the_request_alone() {
    for (status, outcome) in [
        (400, Outcome::Completed),
        (404, Outcome::Completed),
        (422, Outcome::Completed),
        (429, Outcome::Completed),
        (500, Outcome::Completed),
        (503, Outcome::Completed),
        (529, Outcome::Completed),
        // About our credential: not passed on.
        (401, Outcome::UpstreamError),
        (403, Outcome::UpstreamError),
    ] {
        for call in [CHAT, MESSAGES.streamed()] {
            let tree = Tree::new().await;
            let act = Act::Error { status, message: "not now".into() };
            let reply = tree.send(&call, Script { act, ..Script::default() }).await;
            let what = format!("{status} {call:?}");
            tree.answered(&what, &reply, (outcome, Some(status), Usage::NONE)).await;
        }
    }
}

#[tokio::test]
async fn a_redirect_costs_the_request_alone() {
    let tree = Tree::new().await;
    let act = Act::Redirect { to: "http://127.0.0.1:1/".into() };
    let reply = tree.send(&CHAT, Script { act, ..Script::default() }).await.expect(502);
    tree.answered("redirect", &reply, (Outcome::UpstreamError, Some(307), Usage::NONE)).await;
}
