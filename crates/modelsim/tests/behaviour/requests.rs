//! What the server sees of requests, and how it answers what it cannot answer.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use modelsim::{Act, ModelServer, Script};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{connect, send, send_text, text, whole};

const ROUTES: [&str; 6] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
];

#[tokio::test]
async fn every_route_shows_what_the_last_request_looked_like() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    for route in ROUTES {
        let body = json!({"model": route, "input": "a"});
        whole(&server, route, body.clone()).await;
        let seen = server.last_request().unwrap();
        assert_eq!((seen.path.as_str(), seen.body_len), (route, body.to_string().len() as u64));
        assert_eq!(seen.body, body.to_string());
        assert_eq!(seen.header("authorization"), Some("Bearer sk-test"));
    }
    assert_eq!(server.served().started, 6);
    assert_eq!(server.served().prompt_tokens, 50, "a count costs nothing");
}

#[tokio::test]
async fn a_body_of_100_mb_is_answered_and_remembered_by_its_first_4_mib() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let prompt = "a".repeat(100 << 20);
    let body =
        format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"m","max_tokens":3}}"#);
    let (start, len) = (Bytes::copy_from_slice(&body.as_bytes()[..4 << 20]), body.len());
    let answer = text(send_text(&server, ROUTES[0], body).await).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["model"], &answer["usage"]["completion_tokens"]), (&json!("m"), &json!(3)));
    let seen = server.last_request().unwrap();
    assert_eq!((seen.body_len, seen.body), (len as u64, start));
}

#[tokio::test]
async fn what_is_no_request_of_the_route_is_refused_in_its_dialect() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    for route in ROUTES {
        let answer = send(&server, route, json!({"model": 7})).await;
        assert_eq!(answer.status(), 400, "{route}");
        assert_dialect(route, &text(answer).await, "invalid_request_error");
    }
    let answer = send(&server, "/v1/images", json!({"model": "m"})).await;
    assert_eq!(answer.status(), 404);
    assert_dialect("/v1/images", &text(answer).await, "invalid_request_error");
}

#[tokio::test]
async fn a_scripted_error_is_worded_in_the_dialect_of_the_route() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    for (status, openai, anthropic) in [
        (429, "requests", "rate_limit_error"),
        (529, "server_error", "overloaded_error"),
        (500, "server_error", "api_error"),
    ] {
        let act = Act::Error { status, message: "slow \"down\"".to_owned() };
        server.set(Script { act, ..Script::default() }.with_header("retry-after", "7"));
        for route in ROUTES {
            let answer = send(&server, route, json!({"model": "m"})).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["retry-after"]),
                (status, &"7".parse().unwrap())
            );
            let error = text(answer).await;
            assert!(error.contains(r#"slow \"down\""#));
            assert_dialect(route, &error, if route.contains("messages") { anthropic } else { openai });
        }
    }
}

#[tokio::test]
async fn garbage_is_no_json_on_any_route_and_a_stream_only_where_there_are_streams() {
    let server = ModelServer::start(Script { act: Act::Garble, ..Script::default() }).await.unwrap();
    for route in ROUTES {
        let answer = send(&server, route, json!({"model": "m", "input": "a", "stream": true})).await;
        let streams = route != "/v1/embeddings" && route != "/v1/messages/count_tokens";
        let garbage = text(answer).await;
        assert_eq!(garbage.contains("neither this"), streams, "{route}");
        assert!(serde_json::from_str::<Value>(&garbage).is_err());
    }
}

#[tokio::test]
async fn the_list_of_models_names_the_scripts_model() {
    let server =
        ModelServer::start(Script { model: Some("inner".to_owned()), ..Script::default() }).await.unwrap();
    let models = get(&server, "/v1/models").await;
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("inner")));
    assert_eq!(server.served().started, 0);
}

#[tokio::test]
async fn stats_tell_what_was_served_and_a_stopped_server_is_gone() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    whole(&server, ROUTES[0], json!({"model": "m"})).await;
    let stats = get(&server, "/stats").await;
    assert_eq!(stats["finished"], 1);
    assert_eq!(stats["completion_tokens"], 9);
    let addr = server.addr();
    server.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    let again = ModelServer::start_on(addr, Script::default()).await.unwrap();
    assert_eq!(again.base_url(), format!("http://{addr}/v1"));
}

async fn get(server: &ModelServer, path: &str) -> Value {
    let request = Request::get(path).header("host", "sim").body(Full::default()).unwrap();
    let answer = connect(server).await.send_request(request).await.unwrap();
    serde_json::from_str(&text(answer).await).unwrap()
}

/// The error is nothing but what the dialect has.
fn assert_dialect(route: &str, body: &str, kind: &str) {
    let body: Value = serde_json::from_str(body).unwrap();
    let mut error = body["error"].as_object().unwrap().clone();
    assert!(error["message"].is_string());
    assert_eq!(error["type"], kind);
    error.retain(|name, _| name != "message" && name != "type");
    let rest: Vec<&str> = error.keys().map(String::as_str).collect();
    if route.contains("messages") {
        assert_eq!((&body["type"], rest), (&json!("error"), vec![]));
    } else {
        assert_eq!((body.get("type"), rest), (None, vec!["code", "param"]));
    }
}
