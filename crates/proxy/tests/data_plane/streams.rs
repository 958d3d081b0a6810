//! Streams: what passes, what is counted, and how they end when somebody leaves.

use std::time::Duration;

use modelsim::{End, UsageReport};
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply, Script};

use crate::support::*;

/// The JSON of each event but `[DONE]`.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// A counted customer and the answer to its streamed call, with the model server acting so.
async fn stream(gw: &Gateway, script: Script) -> (Customer, Reply) {
    gw.model.set(script);
    let customer = counted(gw).await;
    let reply = gw.chat_with(&customer.key, streamed(M1)).await.expect(200);
    (customer, reply)
}

/// The code of the error event that a stream ends with, if it does.
fn broken_off(text: &str) -> Option<String> {
    assert!(text.ends_with("\n\n"), "{text}");
    let last = events(text).pop()?;
    let error = &last["error"];
    assert!(error.is_null() || error["message"].as_str().is_some_and(|message| !message.is_empty()));
    Some(error["code"].as_str()?.to_owned())
}

/// Checks that a call holds nothing any more: whatever is not used is free. Returns what a short call holds.
async fn nothing_is_pending(gw: &Gateway, customer: &Customer) -> u64 {
    gw.quiet().await;
    assert_eq!(gw.node().in_flight(), 0);
    let used = tokens(gw, &customer.id).await;
    let hold = hold(gw).await;
    let next = gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(remaining(&next.headers, "tokens") + hold, 1_000_000 - used);
    hold
}

/// Checks that a call of nine tokens that did not come to its end costs its prompt and some of them.
async fn costs_what_was_seen(gw: &Gateway, customer: &Customer) {
    let (requests, used) = (charged(gw, &customer.id).await.0, tokens(gw, &customer.id).await);
    let hold = nothing_is_pending(gw, customer).await;
    assert_eq!(requests, 1);
    assert!(hold - 9 < used && used < hold, "{used} of {hold}");
}

/// What a short call holds.
async fn hold(gw: &Gateway) -> u64 {
    gw.model.set(Script::default());
    let fresh = gw.customer("fresh", models(M1, &COUNTED)).await;
    let first = gw.chat(&fresh.key, M1).await.expect(200);
    1_000_000 - remaining(&first.headers, "tokens")
}

#[tokio::test]
async fn case_157_a_stream_is_events_and_ends_with_done() {
    let gw = Gateway::start().await;
    let (_, reply) = stream(&gw, Script::default()).await;
    assert!(reply.header("content-type").starts_with("text/event-stream"));
    assert_eq!(reply.header("cache-control"), "no-cache");
    assert_eq!(reply.header("x-accel-buffering"), "no");
    assert!(reply.text.lines().all(|line| line.is_empty() || line.starts_with("data: ")));
    assert!(reply.text.ends_with("data: [DONE]\n\n"));
    let words: String = events(&reply.text)
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(words, "word ".repeat(9));
}

#[tokio::test]
async fn case_158_the_usage_chunk_comes_to_those_who_asked_and_is_counted_for_all() {
    let gw = Gateway::start().await;
    let asking = json!({ "include_usage": true });
    for (options, visible) in
        [(Value::Null, 0), (json!({}), 0), (json!({ "include_usage": false }), 0), (asking, 1)]
    {
        let id = format!("cust-{options}");
        let customer = gw.customer(&id, models(M1, &COUNTED)).await;
        let mut body = streamed(M1);
        body["stream_options"] = options;
        let reply = gw.chat_with(&customer.key, body).await.expect(200);
        let events = events(&reply.text);
        let usages: Vec<&Value> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!(usages.len(), visible, "{id}");
        if visible == 1 {
            assert_eq!(usages[0], events.last().unwrap());
            assert_eq!(
                (&usages[0]["choices"], &usages[0]["usage"]["total_tokens"]),
                (&json!([]), &json!(19))
            );
        }
        assert!(reply.text.ends_with("data: [DONE]\n\n"));
        assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(19)), "{id}");
    }
}

#[tokio::test]
async fn the_model_is_the_slug_in_every_event() {
    let gw = Gateway::start().await;
    let script = Script { model: Some("inner/secret-model".into()), ..Script::default() };
    let (_, reply) = stream(&gw, script).await;
    let events = events(&reply.text);
    assert!(events.len() > 9);
    assert!(events.iter().all(|event| event["model"] == M1), "{}", reply.text);
    assert!(!reply.text.contains("secret-model"));
}

#[tokio::test]
async fn comments_that_keep_a_connection_alive_pass() {
    let gw = Gateway::start().await;
    let (customer, reply) = stream(&gw, Script { comments: true, ..Script::default() }).await;
    assert!(reply.text.matches(": keep-alive\n\n").count() >= 9, "{}", reply.text);
    assert_eq!(tokens(&gw, &customer.id).await, 19);
}

#[tokio::test]
async fn usage_that_nobody_tells_is_counted_here_and_never_nothing() {
    let gw = Gateway::start().await;
    let silent = Script { usage: UsageReport::Missing, ..Script::default() };
    gw.model.set(silent);
    for (name, body) in [("whole", chat(M1)), ("streamed", streamed(M1))] {
        let customer = gw.customer(name, models(M1, &COUNTED)).await;
        gw.chat_with(&customer.key, body).await.expect(200);
        let used = tokens(&gw, &customer.id).await;
        assert!((19..38).contains(&used), "{name}: {used}");
    }
}

#[tokio::test]
async fn usage_of_nought_is_believed_if_it_is_said() {
    let gw = Gateway::start().await;
    let usage = UsageReport::Lying { prompt: 0, completion: 0 };
    let (customer, _) = stream(&gw, Script { usage, ..Script::default() }).await;
    assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(0)));
}

#[tokio::test]
async fn a_stream_that_the_model_server_cuts_ends_with_an_error_event_and_costs_what_was_seen() {
    let gw = Gateway::start().await;
    let (customer, reply) = stream(&gw, Script::ending(End::CutAfter(5))).await;
    assert_eq!(broken_off(&reply.text).as_deref(), Some("upstream_unavailable"));
    assert!(!reply.text.contains("[DONE]"));
    assert_eq!(reply.text.matches("word ").count(), 4);
    costs_what_was_seen(&gw, &customer).await;
}

#[tokio::test]
async fn a_stream_that_stalls_ends_with_an_error_event() {
    let gw = Gateway::with(|config| config.upstream.idle_timeout = Duration::from_millis(50)).await;
    let (customer, reply) = stream(&gw, Script::ending(End::StallAfter(5))).await;
    assert_eq!(broken_off(&reply.text).as_deref(), Some("upstream_timeout"));
    until("the model server's connection is closed", || gw.model.served().aborted == 1).await;
    costs_what_was_seen(&gw, &customer).await;
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended() {
    let gw = Gateway::with(|config| config.upstream.total_timeout = Duration::from_millis(300)).await;
    let script = Script {
        between_chunks: Duration::from_millis(20),
        completion_tokens: 1_000_000,
        ..Script::default()
    };
    gw.model.set(script);
    let customer = counted(&gw).await;
    let body = json!({ "model": M1, "stream": true, "messages": [] });
    let reply = gw.chat_with(&customer.key, body).await.expect(200);
    assert_eq!(broken_off(&reply.text).as_deref(), Some("upstream_timeout"));
    until("the model server's connection is closed", || gw.model.served().aborted == 1).await;
    nothing_is_pending(&gw, &customer).await;
}

#[tokio::test]
async fn a_stream_that_tells_an_error_passes_it_on_and_costs_what_was_seen() {
    let gw = Gateway::start().await;
    let (customer, reply) = stream(&gw, Script::ending(End::ErrorAfter(5))).await;
    let last = events(&reply.text).pop().unwrap();
    assert_eq!(last["error"]["message"], "the model failed");
    costs_what_was_seen(&gw, &customer).await;
}

#[tokio::test]
async fn a_stream_without_done_is_passed_on_as_it_is() {
    let gw = Gateway::start().await;
    let (customer, reply) = stream(&gw, Script::ending(End::WithoutDone)).await;
    assert!(!reply.text.contains("[DONE]") && !reply.text.contains("error"));
    assert_eq!(tokens(&gw, &customer.id).await, 19);
    nothing_is_pending(&gw, &customer).await;
}

#[tokio::test]
async fn after_done_a_stream_ends_well_even_if_the_model_server_does_not_close_it() {
    let gw = Gateway::start().await;
    for end in [End::StallAfter(13), End::CutAfter(13)] {
        gw.model.set(Script::ending(end));
        let customer = gw.customer(&format!("{end:?}"), models(M1, &COUNTED)).await;
        let reply = gw.chat_with(&customer.key, streamed(M1)).await.expect(200);
        assert!(reply.text.ends_with("data: [DONE]\n\n"), "{end:?}: {}", reply.text);
        assert_eq!(tokens(&gw, &customer.id).await, 19);
    }
}

#[tokio::test]
async fn a_call_is_settled_before_its_caller_sees_the_end() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(End::StallAfter(13)));
    let customer = counted(&gw).await;
    let mut stream = gw.chat_request(&customer.key).json(&streamed(M1)).open().await;
    let mut text = String::new();
    while !text.contains("[DONE]") {
        text += std::str::from_utf8(&stream.piece().await.unwrap()).unwrap();
    }
    assert_eq!(tokens(&gw, &customer.id).await, 19);
    assert_eq!(gw.node().in_flight(), 0);
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_ends_the_call_upstream_and_pays_for_what_it_saw() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(End::StallAfter(4)));
    let customer = counted(&gw).await;
    let mut stream = gw.chat_request(&customer.key).json(&streamed(M1)).open().await;
    let mut text = String::new();
    while text.matches("word ").count() < 3 {
        text += std::str::from_utf8(&stream.piece().await.unwrap()).unwrap();
    }
    assert_eq!(gw.node().in_flight(), 1);
    drop(stream);
    until("the model server sees that nobody listens", || gw.model.served().aborted == 1).await;
    gw.quiet().await;
    costs_what_was_seen(&gw, &customer).await;
}

#[tokio::test]
async fn a_caller_that_leaves_before_a_stream_begins_ends_the_call_upstream() {
    let gw = Gateway::start().await;
    gw.model.set(Script { act: modelsim::Act::Hang, ..Script::default() });
    let customer = counted(&gw).await;
    leave_before_the_answer(&gw, &customer, &streamed(M1)).await;
    until("the model server sees that nobody listens", || gw.model.served().aborted == 1).await;
    gw.quiet().await;
    assert_eq!(charged(&gw, &customer.id).await.0, 1);
    nothing_is_pending(&gw, &customer).await;
}

/// Sends a call and closes the connection as soon as the model server has it.
async fn leave_before_the_answer(gw: &Gateway, customer: &Customer, body: &Value) {
    let body = body.to_string();
    let mut raw = Raw::open(gw).await;
    raw.send(chat_head(&customer.key, &format!("content-length: {}\r\n", body.len())) + &body).await;
    until("the model server has the call", || gw.model.served().started == 1).await;
    drop(raw);
}

#[tokio::test]
async fn a_whole_answer_is_read_on_for_its_usage_when_its_caller_has_left() {
    let gw = Gateway::start().await;
    gw.model.set(Script { first_byte: Duration::from_millis(100), ..Script::default() });
    let customer = counted(&gw).await;
    leave_before_the_answer(&gw, &customer, &chat(M1)).await;
    gw.quiet().await;
    assert_eq!(charged(&gw, &customer.id).await, (json!(1), json!(19)));
    assert_eq!(gw.model.served().aborted, 0);
    nothing_is_pending(&gw, &customer).await;
}

#[tokio::test]
async fn a_whole_answer_that_does_not_come_in_time_after_its_caller_left_is_charged_in_full() {
    let gw = Gateway::with(|config| config.limits.drain_timeout = Duration::from_millis(50)).await;
    gw.model.set(Script { act: modelsim::Act::Hang, ..Script::default() });
    let customer = counted(&gw).await;
    leave_before_the_answer(&gw, &customer, &chat(M1)).await;
    until("the model server sees that nobody listens", || gw.model.served().aborted == 1).await;
    gw.quiet().await;
    let used = tokens(&gw, &customer.id).await;
    assert_eq!(used, nothing_is_pending(&gw, &customer).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_caller_slows_the_model_server_and_nothing_piles_up() {
    let gw = Gateway::start().await;
    let script = Script { word: "x".repeat(64 * 1024), completion_tokens: 4_000, ..Script::default() };
    gw.model.set(script);
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let body = json!({ "model": M1, "stream": true, "messages": [] });
    let mut stream = gw.chat_request(&key).json(&body).open().await;
    assert!(stream.piece().await.is_some());
    // 250 MB are offered. What is written while the caller reads next to nothing fits into the sockets.
    let mut before = gw.model.served().completion_tokens;
    loop {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        let now = gw.model.served().completion_tokens;
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < 1_000, "{before} of 4000 words are on their way");
}
