//! Model servers that refuse, redirect, hang, lie or are not there.

use std::time::Duration;

use modelsim::{Act, Encoding, End, UsageReport};
use serde_json::json;
use testkit::{Gateway, ModelServer, Script};
use tokio::net::TcpListener;

use crate::support::*;

const SECRET_TEXT: &str = "Incorrect API key provided: sk-operators-own-secret";

fn acting(act: Act) -> Script {
    Script { act, ..Script::default() }
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
async fn long_answers_wait_for_room_and_all_of_them_arrive() {
    let gw = Gateway::with(|config| {
        config.server.max_body_mb = 4;
        config.server.max_buffered_mb = 4;
    })
    .await;
    gw.model.set(Script { word: "x".repeat(300_000), ..Script::default() });
    let gw = std::sync::Arc::new(gw);
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (gw, key) = (std::sync::Arc::clone(&gw), key.clone());
        calls.spawn(async move { gw.chat(&key, M1).await.expect(200).text.len() });
    }
    for length in calls.join_all().await {
        assert!(length > 9 * 300_000, "{length}");
    }
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
