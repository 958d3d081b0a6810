//! Model servers that refuse, redirect, hang, lie or are not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use modelsim::{Act, Encoding, End, UsageReport};
use serde_json::{Value, json};
use testkit::{Customer, Gateway, ModelServer, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

const SECRET_TEXT: &str = "Incorrect API key provided: sk-operators-own-secret";

fn acting(act: Act) -> Script {
    Script { act, ..Script::default() }
}

/// A counted customer of one endpoint with this target.
async fn customer_of(gw: &Gateway, target: Value) -> Customer {
    gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [target] })).await.expect(200);
    gw.customer("cust", models("acme/x", &COUNTED)).await
}

fn at(base_url: &str) -> Value {
    json!({ "provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": "x" })
}

async fn charged_x(gw: &Gateway, customer: &Customer) -> (Value, Value) {
    (gw.used(&customer.id, "acme/x", "REQUEST").await, gw.used(&customer.id, "acme/x", "TOKEN").await)
}

#[tokio::test]
async fn case_161_a_model_servers_own_error_passes_with_its_status_and_body() {
    let gw = Gateway::start().await;
    for (status, body) in [
        (400, r#"{"error":{"message":"bad","type":"invalid_request_error","param":"x","code":null}}"#),
        (404, r#"{"error":{"message":"no such model: simulated"}}"#),
        (422, r#"{"detail":[{"loc":["body","messages"],"msg":"field required","model":"simulated"}]}"#),
        (500, "<html>Internal Server Error</html>"),
        (503, r#"{"error":"overloaded"}"#),
        (529, ""),
    ] {
        for (shape, call) in [("whole", chat(M1)), ("streamed", streamed(M1))] {
            gw.model.set(Script::failing(status, body));
            let customer = gw.customer(&format!("{status}-{shape}"), models(M1, &COUNTED)).await;
            let reply = gw.chat_with(&customer.key, call).await;
            assert_eq!((reply.status, reply.text.as_str()), (status, body), "{shape}");
            assert_eq!(reply.header("x-tollgate-error-source"), "upstream");
            let kind = if body.starts_with('{') { "application/json" } else { "text/html" };
            assert_eq!(reply.header("content-type"), kind);
            assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(0)), "{status}");
            assert_eq!(gw.node().in_flight(), 0);
        }
    }
    gw.model.set(Script::default());
    let customer = counted(&gw).await;
    let reply = gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(reply.header("x-tollgate-error-source"), "");
}

#[tokio::test]
async fn a_model_servers_429_passes_with_its_retry_after_and_the_tokens_are_given_back() {
    let gw = Gateway::start().await;
    gw.model
        .set(Script::failing(429, r#"{"error":{"message":"slow down"}}"#).with_header("retry-after", "7"));
    let limits = [("TOKEN", "MINUTE", 20), ("REQUEST", "DAY", 10)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    for used in 1..=3 {
        let reply = gw.chat(&customer.key, M1).await.expect(429);
        assert_eq!(reply.header("retry-after"), "7");
        assert_eq!(reply.header("x-tollgate-error-source"), "upstream");
        assert_eq!(reply.body["error"]["message"], "slow down");
        assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, used, "the request itself is not given back");
    }
}

#[tokio::test]
async fn what_a_model_server_says_of_our_credential_is_not_passed_on() {
    let gw = Gateway::start().await;
    for status in [401, 403, 407] {
        gw.model.set(Script::failing(status, json!({ "error": { "message": SECRET_TEXT } }).to_string()));
        for call in [chat(M1), streamed(M1)] {
            let customer = gw.customer(&format!("{status}-{}", call["stream"]), models(M1, &COUNTED)).await;
            let reply = gw.chat_with(&customer.key, call).await;
            refused(&reply, 502, "upstream_refused_credentials");
            assert!(!reply.text.contains("sk-") && !reply.text.contains("Incorrect"));
            assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(0)));
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let gw = Gateway::start().await;
    let elsewhere = ModelServer::start(Script::default()).await.unwrap();
    let to = format!("{}/chat/completions", elsewhere.base_url());
    gw.model.set(acting(Act::Redirect { to: to.clone() }));
    let customer = counted(&gw).await;
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 502, "upstream_unavailable");
    assert!(!reply.text.contains(&to) && reply.header("location").is_empty());
    assert_eq!(elsewhere.served().started, 0);
    assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(0)));
}

#[tokio::test]
async fn a_compressed_answer_would_blind_the_meter_and_is_not_passed_on() {
    let gw = Gateway::start().await;
    gw.model.set(Script { encoding: Encoding::Gzip, ..Script::default() });
    for (name, call) in [("whole", chat(M1)), ("streamed", streamed(M1))] {
        let customer = gw.customer(name, models(M1, &COUNTED)).await;
        refused(&gw.chat_with(&customer.key, call).await, 502, "upstream_unavailable");
        assert!(tokens(&gw, &customer.id).await > 0, "{name}: it was generated all the same");
        assert_eq!(gw.node().in_flight(), 0);
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_garbage_is_502_and_charged() {
    let gw = Gateway::start().await;
    gw.model.set(acting(Act::Garble));
    let customer = counted(&gw).await;
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 502, "upstream_unavailable");
    assert!(!reply.text.contains("chatcmpl"));
    assert!(tokens(&gw, &customer.id).await > 0);
}

#[tokio::test]
async fn a_stream_of_garbage_passes_and_is_charged() {
    let gw = Gateway::start().await;
    gw.model.set(acting(Act::Garble));
    let customer = counted(&gw).await;
    let reply = gw.chat_with(&customer.key, streamed(M1)).await.expect(200);
    assert!(reply.text.contains("data: [[[\n\n"), "{}", reply.text);
    assert!(tokens(&gw, &customer.id).await > 0);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_502_and_charged() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(End::CutAfter(1)));
    let customer = counted(&gw).await;
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 502, "upstream_unavailable");
    assert!(!reply.text.contains("word"));
    assert!(tokens(&gw, &customer.id).await > 0);
    assert_eq!(gw.node().in_flight(), 0);
}

#[tokio::test]
async fn a_whole_answer_that_stalls_is_504_and_charged() {
    for slow in ["idle", "total"] {
        let gw = Gateway::with(|config| {
            let tiny = Duration::from_millis(50);
            match slow {
                "idle" => config.upstream.idle_timeout = tiny,
                _ => config.upstream.total_timeout = tiny,
            }
        })
        .await;
        gw.model.set(Script::ending(End::StallAfter(1)));
        let customer = counted(&gw).await;
        refused(&gw.chat(&customer.key, M1).await, 504, "upstream_timeout");
        assert!(tokens(&gw, &customer.id).await > 0);
        until("the connection is closed", || gw.model.served().aborted == 1).await;
    }
}

#[tokio::test]
async fn a_whole_answer_larger_than_any_body_may_be_is_502_and_charged() {
    let gw = Gateway::with(|config| config.server.max_body_mb = 1).await;
    let word = "x".repeat(200_000);
    gw.model.set(Script { word, usage: UsageReport::Missing, ..Script::default() });
    let customer = counted(&gw).await;
    refused(&gw.chat(&customer.key, M1).await, 502, "upstream_unavailable");
    assert!(tokens(&gw, &customer.id).await > 100_000, "what was read is paid for");
}

#[tokio::test]
async fn case_162_a_model_server_that_is_not_there_is_502() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let gw = Gateway::start().await;
    let customer = customer_of(&gw, at(&format!("http://{address}/v1"))).await;
    for call in [chat("acme/x"), streamed("acme/x")] {
        let reply = gw.chat_with(&customer.key, call).await;
        refused(&reply, 502, "upstream_unavailable");
        assert!(!reply.text.contains(&address.to_string()) && !reply.text.contains("127.0.0.1"));
    }
    assert_eq!(charged_x(&gw, &customer).await, (json!(2), json!(0)));
}

#[tokio::test]
async fn a_model_server_that_resets_connections_is_502() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    gw.chat(&customer.key, M1).await.expect(200);
    gw.model.set(acting(Act::Refuse));
    for _ in 0..4 {
        refused(&gw.chat(&customer.key, M1).await, 502, "upstream_unavailable");
    }
    assert_eq!(charged(&gw, &customer.id).await, (json!(5), json!(19)));
    gw.model.set(Script::default());
    gw.chat(&customer.key, M1).await.expect(200);
}

#[tokio::test]
async fn a_name_that_has_no_address_is_502() {
    let gw = Gateway::start().await;
    let customer = customer_of(&gw, at("http://no-such-host.invalid/v1")).await;
    refused(&gw.chat(&customer.key, "acme/x").await, 502, "upstream_unavailable");
}

#[tokio::test]
async fn a_model_server_that_does_not_begin_to_answer_is_504() {
    let gw = Gateway::with(|config| config.upstream.first_byte_timeout = Duration::from_millis(50)).await;
    gw.model.set(acting(Act::Hang));
    for (name, call) in [("whole", chat(M1)), ("streamed", streamed(M1))] {
        let customer = gw.customer(name, models(M1, &COUNTED)).await;
        let aborted = gw.model.served().aborted;
        refused(&gw.chat_with(&customer.key, call).await, 504, "upstream_timeout");
        assert!(tokens(&gw, &customer.id).await > 0, "{name}: its prompt was read");
        until("the connection is closed", || gw.model.served().aborted == aborted + 1).await;
        assert_eq!(gw.node().in_flight(), 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_points_at_the_gateway_itself_makes_no_loop() {
    for host in ["127.0.0.1", "localhost"] {
        let gw = Gateway::start().await;
        let port = gw.addr().port();
        let customer = customer_of(&gw, at(&format!("http://{host}:{port}/v1"))).await;
        refused(&gw.chat(&customer.key, "acme/x").await, 502, "upstream_unavailable");
        assert_eq!(charged_x(&gw, &customer).await, (json!(1), json!(0)));
        assert_eq!(gw.node().in_flight(), 0);
    }
}

#[tokio::test]
async fn addresses_that_nobody_may_reach_are_not_dialled() {
    let gw = Gateway::start().await;
    for address in ["169.254.169.254", "0.0.0.0", "224.0.0.1", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        let body = json!({ "slug": "acme/x", "targets": [at(&format!("http://{address}/v1"))] });
        gw.post("/v1/gateway/endpoints", body).await.expect(400);
    }
}

#[tokio::test]
async fn a_target_that_does_not_speak_the_dialect_is_400_and_nothing_is_charged() {
    let vertex = json!({ "project_id": "p", "location": "l" });
    for target in [
        json!({ "provider": "ANTHROPIC", "target_model": "claude", "secret_id": "UP" }),
        json!({ "provider": "VERTEX", "target_model": "gemini", "secret_id": "UP", "vertex_config": vertex }),
    ] {
        let gw = Gateway::start().await;
        gw.post("/v1/secrets", json!({ "name": "UP", "value": "sk-upstream" })).await.expect(200);
        let customer = customer_of(&gw, target).await;
        refused(&gw.chat(&customer.key, "acme/x").await, 400, "unsupported_for_target");
        assert_eq!(charged_x(&gw, &customer).await, (Value::Null, Value::Null));
    }
}

#[tokio::test]
async fn a_target_without_its_secret_is_502_and_nothing_is_charged() {
    for target in
        [json!({ "provider": "BASETEN", "model_id": "abc" }), json!({ "provider": "BASETEN_MODEL_API" })]
    {
        let gw = Gateway::start().await;
        let customer = customer_of(&gw, target).await;
        let reply = gw.chat(&customer.key, "acme/x").await;
        refused(&reply, 502, "upstream_refused_credentials");
        assert!(!reply.text.contains("BASETEN_API_KEY"));
        assert_eq!(charged_x(&gw, &customer).await, (Value::Null, Value::Null));
    }
}

#[tokio::test]
async fn each_provider_is_called_at_its_own_address_with_its_own_credential() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let base = server.base_url();
    let gw = Gateway::with(|config| {
        config.upstream.openai_base_url = format!("{base}/openai");
        config.upstream.baseten_url = format!("{base}/{{model_id}}/{{environment}}");
        config.upstream.baseten_model_api_url = format!("{base}/apis");
    })
    .await;
    for (name, value) in [("BASETEN_API_KEY", "bt-key"), ("UP", "sk-up")] {
        gw.post("/v1/secrets", json!({ "name": name, "value": value })).await.expect(200);
    }
    let baseten = json!({ "provider": "BASETEN", "model_id": "abc" });
    let staging = json!({ "provider": "BASETEN", "model_id": "abc", "environment_name": "staging" });
    let openai = json!({ "provider": "OPENAI", "target_model": "gpt", "secret_id": "UP" });
    let compatible = json!({
        "provider": "OPENAI_COMPATIBLE", "target_model": "m", "secret_id": "UP", "base_url": format!("{base}/own/"),
    });
    let granted = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e"].map(|slug| model(slug, &[]));
    let key = gw.customer("cust", Value::Array(granted.to_vec())).await.key;
    for (slug, target, path, authorization, name) in [
        ("acme/a", baseten, "/v1/abc/production/chat/completions", "Api-Key bt-key", "acme/a"),
        ("acme/b", staging, "/v1/abc/staging/chat/completions", "Api-Key bt-key", "acme/b"),
        (
            "acme/c",
            json!({ "provider": "BASETEN_MODEL_API", "target_model": "m" }),
            "/v1/apis/chat/completions",
            "Api-Key bt-key",
            "m",
        ),
        ("acme/d", openai, "/v1/openai/chat/completions", "Bearer sk-up", "gpt"),
        ("acme/e", compatible, "/v1/own/chat/completions", "Bearer sk-up", "m"),
    ] {
        gw.post("/v1/gateway/endpoints", json!({ "slug": slug, "targets": [target] })).await.expect(200);
        let reply = gw.chat(&key, slug).await.expect(200);
        let seen = server.last_request().unwrap();
        assert_eq!((seen.path.as_str(), seen.header("authorization")), (path, Some(authorization)));
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&body["model"], &reply.body["model"]), (&json!(name), &json!(slug)));
    }
}

#[tokio::test]
async fn a_target_that_is_changed_or_renamed_is_followed_at_once() {
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let other = ModelServer::start(Script::default()).await.unwrap();
    let made =
        gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [at(&gw.model.base_url())] }));
    let path = format!("/v1/gateway/endpoints/{}", made.await.expect(200).body["id"].as_str().unwrap());
    let key = gw.customer("cust", json!([model("acme/x", &[]), model("acme/y", &[])])).await.key;
    gw.chat(&key, "acme/x").await.expect(200);
    gw.patch(&path, json!({ "targets": [at(&other.base_url())] })).await.expect(200);
    gw.chat(&key, "acme/x").await.expect(200);
    assert_eq!((gw.model.served().started, other.served().started), (1, 1));
    gw.patch(&path, json!({ "slug": "acme/y" })).await.expect(200);
    refused(&gw.chat(&key, "acme/x").await, 404, "model_not_found");
    gw.chat(&key, "acme/y").await.expect(200);
    gw.delete(&path).await.expect(200);
    refused(&gw.chat(&key, "acme/y").await, 404, "model_not_found");
}

/// Reads a call to the end of its body. `false`: the peer has left.
async fn read_call(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            return false;
        }
        request.extend_from_slice(&piece[..read]);
    }
    true
}

/// Answers a call as a server does that keeps its connections. `false`: the peer has left.
async fn answer_one(stream: &mut TcpStream) -> bool {
    const ANSWER: &str = r#"{"model":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    if !read_call(stream).await {
        return false;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    true
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_does_not_fail_the_next_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (closed, mut has_closed) = tokio::sync::mpsc::channel(1);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_one(&mut stream).await;
            drop(stream);
            closed.send(()).await.unwrap();
        }
    });
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let customer = customer_of(&gw, at(&base_url)).await;
    for _ in 0..20 {
        gw.chat(&customer.key, "acme/x").await.expect(200);
        has_closed.recv().await.unwrap();
    }
    assert_eq!(charged_x(&gw, &customer).await, (json!(20), json!(40)));
    server.abort();
}

/// A server that answers every call whole. Returns its base URL and counts its connections.
async fn plain_server(accepted: &Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let accepted = Arc::clone(accepted);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move { while answer_one(&mut stream).await {} });
        }
    });
    base_url
}

#[tokio::test]
async fn a_stream_that_comes_as_a_whole_answer_is_passed_on_as_one() {
    let gw = Gateway::start().await;
    let customer = customer_of(&gw, at(&plain_server(&Arc::default()).await)).await;
    let reply = gw.chat_with(&customer.key, streamed("acme/x")).await.expect(200);
    assert_eq!((reply.header("content-type"), &reply.body["model"]), ("application/json", &json!("acme/x")));
    assert_eq!(charged_x(&gw, &customer).await, (json!(1), json!(2)));
}

/// Answers 500 and never comes to the end of it.
async fn fail_for_ever(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_call(&mut stream).await);
    let head = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(!read_call(&mut stream).await, "the gateway closes the connection");
}

#[tokio::test]
async fn an_error_that_does_not_come_to_its_end_is_504_and_costs_no_tokens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(fail_for_ever(listener));
    let gw = Gateway::with(|config| config.upstream.idle_timeout = Duration::from_millis(50)).await;
    let customer = customer_of(&gw, at(&base_url)).await;
    refused(&gw.chat(&customer.key, "acme/x").await, 504, "upstream_timeout");
    assert_eq!(charged_x(&gw, &customer).await, (json!(1), json!(0)));
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let base_url = plain_server(&accepted).await;
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let customer = customer_of(&gw, at(&base_url)).await;
    for _ in 0..5 {
        gw.chat(&customer.key, "acme/x").await.expect(200);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    // Servers commonly close an idle connection after a minute; ours is not used that long.
    gw.clock.advance(Duration::from_secs(55));
    gw.chat(&customer.key, "acme/x").await.expect(200);
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}
