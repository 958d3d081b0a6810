//! Every operation, in its own dialect: served, limited, metered and refused alike.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Act, Customer, End, Gateway, ModelServer, Reply, Request, Script, UsageReport};

use crate::support::*;

/// Path, a body without its model, tokens that a call is charged, and whether it can be streamed.
const OPERATIONS: [(&str, &str, u64, bool); 6] = [
    ("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#, 19, true),
    ("/v1/completions", r#"{"prompt":"hi","max_tokens":9}"#, 19, true),
    ("/v1/embeddings", r#"{"input":"hi"}"#, 10, false),
    ("/v1/responses", r#"{"input":"hi","max_output_tokens":9}"#, 19, true),
    ("/v1/messages", r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#, 19, true),
    ("/v1/messages/count_tokens", r#"{"messages":[{"role":"user","content":"hi"}]}"#, 0, false),
];

/// The body of an operation for this model.
fn body(json: &str, model: &str) -> Value {
    let mut body: Value = serde_json::from_str(json).unwrap();
    body["model"] = model.into();
    body
}

fn request(gw: &Gateway, path: &str, key: &str) -> Request {
    gw.request(Method::POST, path).header("authorization", format!("Bearer {key}"))
}

async fn call(gw: &Gateway, path: &str, key: &str, body: &Value) -> Reply {
    request(gw, path, key).json(body).send().await
}

/// An error that we made, in the dialect of its path: status, type, code.
#[track_caller]
fn told(reply: &Reply, path: &str, status: u16, kinds: (&str, &str), code: &str) {
    assert_eq!(reply.status, status, "{path}: {}", reply.text);
    let error = &reply.body["error"];
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {}", reply.text);
    let (openai, anthropic) = kinds;
    assert_eq!(error["code"], code, "{path}");
    if path.starts_with("/v1/messages") {
        assert_eq!((&reply.body["type"], &error["type"]), (&json!("error"), &json!(anthropic)), "{path}");
        assert_eq!(reply.body["request_id"], reply.header("x-request-id"), "{path}");
    } else {
        assert_eq!(error["type"], openai, "{path}");
        assert_eq!(error["request_id"], reply.header("x-request-id"), "{path}");
    }
}

/// A customer of `acme/m1` that may call once a minute.
async fn once_a_minute(gw: &Gateway, external: &str) -> Customer {
    gw.customer(external, models(M1, &[("REQUEST", "MINUTE", 1)])).await
}

#[tokio::test]
async fn every_operation_goes_through_the_limits_and_is_refused_in_its_dialect() {
    let gw = Gateway::start().await;
    for (at, (path, json, ..)) in OPERATIONS.into_iter().enumerate() {
        let customer = once_a_minute(&gw, &format!("cust-{at}")).await;
        call(&gw, path, &customer.key, &body(json, M1)).await.expect(200);
        let refused = call(&gw, path, &customer.key, &body(json, M1)).await;
        told(&refused, path, 429, ("rate_limit_error", "rate_limit_error"), "rate_limit_exceeded");
        let limit = &refused.body["error"]["limit"];
        assert_eq!((&limit["type"], &limit["threshold"]), (&json!("REQUEST"), &json!(1)), "{path}");
        assert_eq!(refused.header("retry-after"), "60", "{path}");
        assert_eq!(gw.model.served().started, u64::try_from(at + 1).unwrap(), "{path}");
    }
}

#[tokio::test]
async fn every_operation_wants_a_key_a_model_and_a_grant() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for (path, json, ..) in OPERATIONS {
        let stranger = call(&gw, path, "nobody", &body(json, M1)).await;
        told(&stranger, path, 401, ("authentication_error", "authentication_error"), "invalid_api_key");
        let foreign = call(&gw, path, &customer.key, &body(json, "acme/secret")).await;
        told(&foreign, path, 403, ("permission_error", "permission_error"), "model_not_allowed");
        let bad = ("invalid_request_error", "invalid_request_error");
        let nameless = call(&gw, path, &customer.key, &serde_json::from_str(json).unwrap()).await;
        told(&nameless, path, 400, bad, "missing_model");
        let broken = request(&gw, path, &customer.key).body("{").send().await;
        told(&broken, path, 400, bad, "invalid_json");
        let twice = format!(r#"{{"model":"{M1}","model":"{M2}"}}"#);
        told(&request(&gw, path, &customer.key).body(twice).send().await, path, 400, bad, "invalid_json");
        let got = gw.request(Method::GET, path).header("x-api-key", &customer.key).send().await;
        told(&got, path, 405, ("invalid_request_error", "not_found_error"), "unknown_route");
        assert_eq!(got.header("allow"), "POST", "{path}");
    }
    assert_eq!(gw.model.served().started, 0);
    assert_eq!(charged(&gw, &customer.id).await, (Value::Null, Value::Null));
}

#[tokio::test]
async fn every_operation_is_answered_under_the_slug_and_charged_what_it_used() {
    let gw = Gateway::start().await;
    for (at, (path, json, tokens, _)) in OPERATIONS.into_iter().enumerate() {
        let customer = gw.customer(&format!("cust-{at}"), models(M1, &COUNTED)).await;
        let reply = call(&gw, path, &customer.key, &body(json, M1)).await.expect(200);
        assert!(!reply.text.contains("simulated"), "{path}: {}", reply.text);
        if path != "/v1/messages/count_tokens" {
            assert_eq!(reply.body["model"], M1, "{path}: {}", reply.text);
        }
        let seen = gw.model.last_request().unwrap();
        assert_eq!(seen.path, path);
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), body(json, "simulated"), "{path}");
        assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(tokens)), "{path}");
    }
}

#[tokio::test]
async fn every_stream_comes_under_the_slug_to_its_end_and_is_charged_what_it_used() {
    let gw = Gateway::start().await;
    for (at, (path, json, tokens, _)) in OPERATIONS.into_iter().filter(|row| row.3).enumerate() {
        let customer = gw.customer(&format!("cust-{at}"), models(M1, &COUNTED)).await;
        let mut body = body(json, M1);
        body["stream"] = true.into();
        let reply = call(&gw, path, &customer.key, &body).await.expect(200);
        assert!(reply.header("content-type").starts_with("text/event-stream"), "{path}");
        assert!(!reply.text.contains("simulated"), "{path}: {}", reply.text);
        assert!(reply.text.contains(&format!(r#""model":"{M1}""#)), "{path}: {}", reply.text);
        let end = match path {
            "/v1/responses" => "response.completed",
            "/v1/messages" => "message_stop",
            _ => "data: [DONE]",
        };
        assert!(reply.text.trim_end().rsplit("\n\n").next().unwrap().contains(end), "{path}: {}", reply.text);
        assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(tokens)), "{path}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_in_its_dialect_and_costs_what_was_seen() {
    let gw = Gateway::start().await;
    for (at, (path, json, tokens, _)) in OPERATIONS.into_iter().filter(|row| row.3).enumerate() {
        gw.model.set(Script { end: End::CutAfter(5), ..Script::default() });
        let customer = gw.customer(&format!("cust-{at}"), models(M1, &COUNTED)).await;
        let mut body = body(json, M1);
        body["stream"] = true.into();
        let reply = call(&gw, path, &customer.key, &body).await.expect(200);
        let last = reply.text.trim_end().rsplit("\n\n").next().unwrap();
        let data: Value = serde_json::from_str(last.split("data: ").nth(1).unwrap()).unwrap();
        match path {
            "/v1/messages" | "/v1/responses" => {
                assert!(last.starts_with("event: error\n"), "{path}: {last}");
                assert_eq!(data["type"], "error", "{path}");
            }
            _ => assert!(last.starts_with("data: "), "{path}: {last}"),
        }
        assert!(data["error"]["message"].is_string(), "{path}: {last}");
        gw.quiet().await;
        let used = gw.used(&customer.id, M1, "TOKEN").await.as_u64().unwrap();
        assert!((1..=tokens).contains(&used), "{path}: {used}");
    }
}

#[tokio::test]
async fn usage_that_nobody_tells_is_counted_in_every_dialect() {
    let gw = Gateway::start().await;
    gw.model.set(Script { usage: UsageReport::Missing, ..Script::default() });
    for (at, (path, json, tokens, streams)) in OPERATIONS.into_iter().enumerate() {
        for stream in [false, true] {
            if stream && !streams {
                continue;
            }
            let customer = gw.customer(&format!("cust-{at}-{stream}"), models(M1, &COUNTED)).await;
            let mut body = body(json, M1);
            if stream {
                body["stream"] = true.into();
            }
            call(&gw, path, &customer.key, &body).await.expect(200);
            let used = gw.used(&customer.id, M1, "TOKEN").await.as_u64().unwrap();
            assert_eq!(used > 0, tokens > 0, "{path}, stream {stream}: {used}");
        }
    }
}

#[tokio::test]
async fn a_model_servers_own_error_passes_in_every_dialect() {
    let gw = Gateway::start().await;
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    gw.model.set(Script { act: Act::Fail { status: 529, body: error.into() }, ..Script::default() });
    let customer = counted(&gw).await;
    for (path, json, ..) in OPERATIONS {
        let reply = call(&gw, path, &customer.key, &body(json, M1)).await.expect(529);
        assert_eq!((reply.text.as_str(), reply.header("x-tollgate-error-source")), (error, "upstream"));
    }
    assert_eq!(gw.used(&customer.id, M1, "TOKEN").await, json!(0));
}

#[tokio::test]
async fn the_callers_limits_stand_in_the_headers_of_the_dialect() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "MINUTE", 5), ("TOKEN", "MINUTE", 1_000)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    for (path, json, ..) in OPERATIONS.into_iter().filter(|row| row.0.starts_with("/v1/messages")) {
        let reply = call(&gw, path, &customer.key, &body(json, M1)).await.expect(200);
        assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), "5");
        assert_eq!(reply.header("anthropic-ratelimit-tokens-limit"), "1000");
        let left: u64 = reply.header("anthropic-ratelimit-requests-remaining").parse().unwrap();
        assert!(left < 5, "{left}");
        // The clock of the test stands at noon; a minute's window ends a minute later.
        assert_eq!(reply.header("anthropic-ratelimit-requests-reset"), "2026-05-13T12:01:00Z");
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("x-ratelimit-")));
        assert!(reply.header("ratelimit").contains("\"requests-minute\""));
    }
}

#[tokio::test]
async fn a_target_of_anthropic_is_called_at_its_own_address_with_its_own_credential() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let base = server.base_url();
    let gw = Gateway::with(|config| config.upstream.anthropic_base_url = format!("{base}/anthropic")).await;
    gw.post("/v1/secrets", json!({ "name": "UP", "value": "sk-ant" })).await.expect(200);
    let target = json!({ "provider": "ANTHROPIC", "target_model": "claude", "secret_id": "UP" });
    let customer = customer_of(&gw, target).await;
    for (path, json, ..) in OPERATIONS.into_iter().filter(|row| row.0.starts_with("/v1/messages")) {
        for (sent, expected) in [(None, "2023-06-01"), (Some("2099-01-01"), "2099-01-01")] {
            let mut request = request(&gw, path, &customer.key).header("anthropic-beta", "a,b");
            if let Some(version) = sent {
                request = request.header("anthropic-version", version);
            }
            request.json(&body(json, "acme/x")).send().await.expect(200);
            let seen = server.last_request().unwrap();
            assert_eq!(seen.path, path.replace("/v1/", "/v1/anthropic/"));
            assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (Some("sk-ant"), None));
            assert_eq!(seen.header("anthropic-version"), Some(expected));
            assert_eq!(seen.header("anthropic-beta"), Some("a,b"));
            assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap()["model"], "claude");
        }
    }
}

#[tokio::test]
async fn a_dialect_that_the_provider_does_not_speak_is_400_before_anything_is_charged() {
    let gw = Gateway::start().await;
    for (name, value) in [("BASETEN_API_KEY", "bt-key"), ("UP", "sk-up")] {
        gw.post("/v1/secrets", json!({ "name": name, "value": value })).await.expect(200);
    }
    let vertex = json!({ "project_id": "p", "location": "l" });
    let targets = [
        json!({ "provider": "ANTHROPIC", "target_model": "m", "secret_id": "UP" }),
        json!({ "provider": "OPENAI", "target_model": "m", "secret_id": "UP" }),
        json!({ "provider": "BASETEN", "model_id": "m" }),
        json!({ "provider": "BASETEN_MODEL_API", "target_model": "m" }),
        json!({ "provider": "VERTEX", "target_model": "m", "secret_id": "UP", "vertex_config": vertex }),
    ];
    let made =
        gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [at(&gw.model.base_url())] }));
    let endpoint = format!("/v1/gateway/endpoints/{}", made.await.expect(200).body["id"].as_str().unwrap());
    let customer = gw.customer("cust", models("acme/x", &COUNTED)).await;
    for target in targets {
        gw.patch(&endpoint, json!({ "targets": [target] })).await.expect(200);
        for (path, json, ..) in OPERATIONS {
            let anthropic = path.starts_with("/v1/messages");
            let spoken = match target["provider"].as_str().unwrap() {
                "ANTHROPIC" => anthropic,
                "VERTEX" => false,
                _ => !anthropic,
            };
            if !spoken {
                let reply = call(&gw, path, &customer.key, &body(json, "acme/x")).await;
                let bad = ("invalid_request_error", "invalid_request_error");
                told(&reply, path, 400, bad, "unsupported_for_target");
            }
        }
    }
    assert_eq!(charged_x(&gw, &customer).await, (Value::Null, Value::Null));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_garbage_costs_no_output_where_nothing_is_written() {
    let gw = Gateway::start().await;
    for act in [Act::Answer, Act::Garble] {
        gw.model.set(Script { act: act.clone(), end: End::CutAfter(1), ..Script::default() });
        for (path, json, ..) in OPERATIONS.into_iter().filter(|row| !row.3) {
            let customer = gw.customer(&format!("{act:?}{path}"), models(M1, &COUNTED)).await;
            // Long enough for half an answer to be worth tokens.
            let mut body = body(json, M1);
            if path == "/v1/embeddings" {
                body["input"] = json!(vec!["hi"; 500]);
            }
            let reply = call(&gw, path, &customer.key, &body).await;
            let api = ("api_error", "api_error");
            told(&reply, path, 502, api, "upstream_unavailable");
            let prompt = if path == "/v1/embeddings" { 334 } else { 0 };
            assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(prompt)), "{act:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_count_that_the_model_server_refuses_is_a_request_and_no_tokens() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let (path, json, ..) = OPERATIONS[5];
    gw.model.set(Script { act: Act::Error { status: 529, message: "busy".into() }, ..Script::default() });
    let reply = call(&gw, path, &customer.key, &body(json, M1)).await;
    assert_eq!((reply.status, &reply.body["error"]["type"]), (529, &json!("overloaded_error")));
    assert_eq!(reply.header("x-tollgate-error-source"), "upstream");
    assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(0)));
}

#[tokio::test]
async fn what_the_anthropic_client_sends_for_its_betas_is_served_and_its_query_stays_here() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for (path, json, ..) in OPERATIONS {
        let asked = format!("{path}?beta=true&model=acme/secret");
        call(&gw, &asked, &customer.key, &body(json, M1)).await.expect(200);
        assert_eq!(gw.model.last_request().unwrap().path, path);
    }
}

#[tokio::test]
async fn headers_of_anthropics_own_servers_do_not_come_back() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 9)])).await.key;
    let theirs = [
        "request-id",
        "anthropic-organization-id",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
        "cf-ray",
        "cf-cache-status",
        "set-cookie",
        "via",
        "x-should-retry",
        "x-envoy-upstream-service-time",
    ];
    let script =
        theirs.into_iter().fold(Script::default(), |script, name| script.with_header(name, "theirs"));
    for act in [Act::Answer, Act::Error { status: 529, message: "busy".into() }] {
        gw.model.set(Script { act, ..script.clone() });
        for stream in [false, true] {
            let mut body = body(OPERATIONS[4].1, M1);
            body["stream"] = stream.into();
            let reply = call(&gw, "/v1/messages", &key, &body).await;
            let values = reply.headers.values().filter(|value| value.as_bytes() == b"theirs").count();
            assert_eq!(values, 0, "{:?}", reply.headers);
            assert_eq!(reply.header("anthropic-ratelimit-requests-limit"), "9");
            assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn a_stream_whose_prompt_is_kept_by_the_model_server_is_read_on_for_its_usage_when_its_caller_leaves() {
    let gw = Gateway::start().await;
    let slow = Script { prompt_tokens: 5_000, between_chunks: Duration::from_millis(5), ..Script::default() };
    let stalled = Script { prompt_tokens: 5_000, end: End::StallAfter(4), ..Script::default() };
    for (earlier, script, thousands) in [(Some("resp_1"), slow, 5), (None, stalled, 0)] {
        gw.model.set(script);
        let customer = gw.customer(&format!("{earlier:?}"), models(M1, &COUNTED)).await;
        let mut body = json!({ "model": M1, "input": "hi", "max_output_tokens": 9, "stream": true });
        body["previous_response_id"] = earlier.into();
        let mut stream = request(&gw, "/v1/responses", &customer.key).json(&body).open().await;
        assert!(stream.piece().await.is_some());
        drop(stream);
        gw.quiet().await;
        let used = gw.used(&customer.id, M1, "TOKEN").await.as_u64().unwrap();
        assert_eq!(used / 1_000, thousands, "{earlier:?}: {used}");
    }
    assert_eq!(gw.model.served().finished, 1);
}

#[tokio::test]
async fn an_answer_that_nobody_would_wait_for_is_not_asked_for() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let body = json!({ "model": M1, "input": "hi", "background": true });
    let reply = call(&gw, "/v1/responses", &customer.key, &body).await;
    refused(&reply, 400, "invalid_request");
    assert_eq!(reply.body["error"]["param"], "background");
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn paths_that_could_cost_something_and_are_not_operations_do_not_exist() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for path in [
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/messages/batches",
        "/v1/batches",
        "/v1/files",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/chat/completions/../completions",
        "/V1/chat/completions",
        "/chat/completions",
        "/v1/rerank",
    ] {
        let reply = call(&gw, path, &customer.key, &chat(M1)).await;
        told(&reply, path, 404, ("invalid_request_error", "not_found_error"), "unknown_route");
    }
    assert_eq!(gw.model.served().started, 0);
}
