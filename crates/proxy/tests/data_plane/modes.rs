//! The ways of admission: what a call holds, what the model is told, how a stream that may not go on ends.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use modelsim::{End, UsageReport};
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply, Script};

use crate::support::*;

/// A customer whose calls of `acme/m1` are admitted this way.
async fn admitted_by(gw: &Gateway, admission: &str, limits: &[Limit]) -> Customer {
    let mut model = model(M1, limits);
    model["admission"] = admission.into();
    static CUSTOMERS: AtomicU64 = AtomicU64::new(0);
    let nth = CUSTOMERS.fetch_add(1, Ordering::Relaxed);
    gw.customer(&format!("customer {nth}"), json!([model])).await
}

fn asking(output: u64) -> Value {
    let mut body = chat(M1);
    body["max_tokens"] = output.into();
    body
}

fn writing(tokens: u64) -> Script {
    Script { completion_tokens: tokens, ..Script::default() }
}

/// The body of the last request that the model server saw.
fn told(gw: &Gateway) -> Value {
    serde_json::from_slice(&gw.model.last_request().unwrap().body).unwrap()
}

/// Used and held tokens of the customer's only limit on tokens.
async fn standing(gw: &Gateway, customer: &Customer) -> (u64, u64) {
    let rows = gw.get(&format!("/v1/gateway/groups/{}/limits", customer.id)).await.expect(200).body;
    let row = rows["limits"].as_array().unwrap().iter().find(|row| row["type"] == "TOKEN").unwrap().clone();
    (row["used"].as_u64().unwrap(), row["pending"].as_u64().unwrap())
}

/// What a short call's prompt is counted as.
async fn prompt(gw: &Gateway) -> u64 {
    let probe = admitted_by(gw, "estimate", &[("TOKEN", "DAY", 1_000_000)]).await;
    let reply = gw.chat_with(&probe.key, asking(9)).await.expect(200);
    1_000_000 - remaining(&reply.headers, "tokens") - 9
}

#[tokio::test]
async fn learned_holds_what_answers_usually_are_though_more_be_declared() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "learned", &[("TOKEN", "DAY", 100_000)]).await;
    let held = async || {
        let (used, _) = standing(&gw, &customer).await;
        let reply = gw.chat_with(&customer.key, asking(32_000)).await.expect(200);
        100_000 - used - remaining(&reply.headers, "tokens") - prompt(&gw).await
    };
    assert_eq!(held().await, 512, "nothing is known yet");
    for _ in 0..20 {
        gw.chat_with(&customer.key, asking(32_000)).await.expect(200);
    }
    assert_eq!(told(&gw)["max_tokens"], 32_000, "the model is not told");
    assert_eq!(held().await, 9);
}

#[tokio::test]
async fn learned_never_holds_more_than_is_declared() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "learned", &[("TOKEN", "DAY", 100_000)]).await;
    let reply = gw.chat_with(&customer.key, asking(4)).await.expect(200);
    assert_eq!(100_000 - remaining(&reply.headers, "tokens"), prompt(&gw).await + 4);
}

#[tokio::test]
async fn learned_admits_a_call_whose_declaration_could_never_fit() {
    let gw = Gateway::start().await;
    let limits = [("TOKEN", "MINUTE", 1_000)];
    let estimate = admitted_by(&gw, "estimate", &limits).await;
    refused(&gw.chat_with(&estimate.key, asking(32_000)).await, 429, "request_exceeds_limit");
    let learned = admitted_by(&gw, "learned", &limits).await;
    gw.chat_with(&learned.key, asking(32_000)).await.expect(200);
}

#[tokio::test]
async fn a_whole_answer_in_hard_is_bounded_by_what_fits_and_never_passes_it() {
    let gw = Gateway::start().await;
    gw.model.set(writing(100_000));
    let threshold = prompt(&gw).await + 150;
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", threshold)]).await;
    let reply = gw.chat_with(&customer.key, asking(1_000)).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 150);
    assert_eq!(reply.body["choices"][0]["finish_reason"], "length");
    let (used, pending) = standing(&gw, &customer).await;
    assert!(used <= threshold && pending == 0, "{used} of {threshold}");
    refused(&gw.chat_with(&customer.key, asking(1_000)).await, 429, "usage_limit_exceeded");
}

#[tokio::test]
async fn what_fits_in_hard_is_sent_as_it_was_asked() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", 100_000)]).await;
    gw.chat_with(&customer.key, asking(1_000)).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 1_000);
    let unlimited = admitted_by(&gw, "hard", &[("REQUEST", "DAY", 10)]).await;
    gw.chat_with(&unlimited.key, json!({"model": M1, "messages": []})).await.expect(200);
    assert_eq!(told(&gw).get("max_tokens"), None, "nothing to hold it to");
}

#[tokio::test]
async fn hard_refuses_what_is_not_worth_a_call_and_says_whether_it_ever_fits() {
    let gw = Gateway::start().await;
    let prompt = prompt(&gw).await;
    let never = admitted_by(&gw, "hard", &[("TOKEN", "MINUTE", prompt + 63)]).await;
    refused(&gw.chat_with(&never.key, asking(1_000)).await, 429, "request_exceeds_limit");
    gw.chat_with(&never.key, asking(63)).await.expect(200);
    let just = admitted_by(&gw, "hard", &[("TOKEN", "MINUTE", prompt + 64)]).await;
    gw.chat_with(&just.key, asking(1_000)).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 64);
    refused(&gw.chat_with(&just.key, asking(1_000)).await, 429, "rate_limit_exceeded");
}

#[tokio::test]
async fn an_answer_without_a_bound_is_given_one_in_hard() {
    let gw = Gateway::start().await;
    let wide = admitted_by(&gw, "hard", &[("TOKEN", "DAY", 100_000)]).await;
    let asks = |extra: Value| {
        let mut body = chat(M1);
        body.as_object_mut().unwrap().remove("max_tokens");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    gw.chat_with(&wide.key, asks(json!({}))).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 4_096);
    gw.chat_with(&wide.key, asks(json!({"n": 3}))).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 4_096, "each of three answers");
    let narrow = admitted_by(&gw, "hard", &[("TOKEN", "DAY", prompt(&gw).await + 200)]).await;
    gw.chat_with(&narrow.key, asks(json!({"n": 3}))).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 66, "a third of 200 each");
}

/// A stream of more words than the limit has room for: its text, and what it left.
async fn cut(gw: &Gateway, path: &str, body: Value, threshold: u64) -> (Reply, Customer) {
    let customer = admitted_by(gw, "hard", &[("TOKEN", "DAY", threshold)]).await;
    gw.model.set(writing(100_000));
    let request = gw.request(Method::POST, path).header("authorization", format!("Bearer {}", customer.key));
    let reply = request.json(&body).send().await.expect(200);
    until("the call upstream has ended", || gw.model.served().aborted + gw.model.served().cut > 0).await;
    let (used, pending) = standing(gw, &customer).await;
    assert!(used <= threshold && pending == 0, "{used} of {threshold}, {pending} held");
    assert!(used > threshold / 2, "{used} of {threshold}: it was cut long before it had to be");
    (reply, customer)
}

fn long_stream(body: Value) -> Value {
    let mut body = body;
    body["stream"] = true.into();
    body
}

#[tokio::test]
async fn a_chat_stream_in_hard_ends_at_the_limit_as_if_the_model_had_reached_its_bound() {
    let gw = Gateway::start().await;
    let mut body = long_stream(asking(50_000));
    body["stream_options"] = json!({"include_usage": true});
    let (reply, customer) = cut(&gw, "/v1/chat/completions", body, 2_000).await;
    let events: Vec<Value> = reply
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let [.., last, usage] = &events[..] else { panic!("{}", reply.text) };
    assert_eq!(last["choices"][0]["finish_reason"], "length");
    assert_eq!((&last["id"], &last["model"]), (&events[0]["id"], &json!(M1)));
    let (used, _) = standing(&gw, &customer).await;
    assert_eq!(usage["usage"]["total_tokens"], used);
    assert!(reply.text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn streams_of_every_dialect_end_well_formed_at_the_limit() {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    for (path, body, end) in [
        ("/v1/completions", json!({"prompt": "Say hello.", "max_tokens": 50_000}), "data: [DONE]\n\n"),
        (
            "/v1/messages",
            json!({"messages": messages, "max_tokens": 50_000}),
            "\"type\":\"message_stop\"}\n\n",
        ),
        ("/v1/responses", json!({"input": "Say hello.", "max_output_tokens": 50_000}), "\n\n"),
    ] {
        let gw = Gateway::start().await;
        let mut body = long_stream(body);
        body["model"] = M1.into();
        let (reply, _) = cut(&gw, path, body, 2_000).await;
        assert!(reply.text.ends_with(end), "{path}: {}", &reply.text[reply.text.len() - 300..]);
        let reason = if path == "/v1/messages" { "\"stop_reason\":\"max_tokens\"" } else { "length" };
        let reason = if path == "/v1/responses" { "\"reason\":\"max_output_tokens\"" } else { reason };
        assert!(reply.text.contains(reason), "{path}: {}", &reply.text[reply.text.len() - 300..]);
    }
}

#[tokio::test]
async fn a_bound_that_the_model_server_does_not_know_lets_no_stream_pass_a_limit_in_hard() {
    let gw = Gateway::start().await;
    let mut body = long_stream(asking(5));
    body.as_object_mut().unwrap().remove("max_tokens");
    body["max_output_tokens"] = 5.into();
    cut(&gw, "/v1/chat/completions", body.clone(), 2_000).await;
    // So large that it counts all the same, but not to the model server.
    body["max_output_tokens"] = 600.into();
    cut(&gw, "/v1/chat/completions", body, 2_000).await;
}

#[tokio::test]
async fn a_stream_of_short_words_that_a_limit_cuts_in_hard_is_charged_as_it_was_held() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", prompt(&gw).await + 1_000)]).await;
    gw.model.set(Script { word: "a".to_owned(), ..writing(100_000) });
    let reply = gw.chat_with(&customer.key, long_stream(asking(50_000))).await.expect(200);
    let words = reply.text.matches(r#""content":"a""#).count();
    let (used, pending) = standing(&gw, &customer).await;
    assert!(words > 500 && pending == 0, "{words}");
    assert!(used >= u64::try_from(words).unwrap(), "{used} for {words} words");
}

#[tokio::test]
async fn many_answers_in_hard_need_room_for_a_token_each() {
    let gw = Gateway::start().await;
    gw.model.set(writing(100));
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", prompt(&gw).await + 127)]).await;
    let mut body = asking(100);
    body["n"] = 128.into();
    refused(&gw.chat_with(&customer.key, body.clone()).await, 429, "request_exceeds_limit");
    body["n"] = 127.into();
    gw.chat_with(&customer.key, body).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 1);
}

#[tokio::test]
async fn a_stream_in_hard_holds_one_step_and_not_all_it_declares() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", 100_000)]).await;
    gw.model.set(Script::ending(End::StallAfter(4)));
    let stream = gw.chat_request(&customer.key).json(&long_stream(asking(32_000))).open().await;
    assert_eq!(100_000 - remaining(&stream.headers, "tokens"), prompt_of(&gw).await + 256);
    drop(stream);
    gw.quiet().await;
    assert_eq!(standing(&gw, &customer).await.1, 0);
}

/// The same as [`prompt`], while the model server stalls.
async fn prompt_of(gw: &Gateway) -> u64 {
    gw.model.set(Script::default());
    prompt(gw).await
}

#[tokio::test]
async fn a_stream_in_hard_that_ends_by_itself_gives_back_what_it_did_not_use() {
    let gw = Gateway::start().await;
    let customer = admitted_by(&gw, "hard", &[("TOKEN", "DAY", 100_000), ("TOKEN", "MINUTE", 100_000)]).await;
    gw.model.set(writing(3_000));
    let reply = gw.chat_with(&customer.key, long_stream(asking(50_000))).await.expect(200);
    assert!(reply.text.contains("\"finish_reason\":\"stop\""));
    assert_eq!(reply.text.matches("word ").count(), 3_000);
    assert_eq!(standing(&gw, &customer).await, (3_010, 0));
    assert_eq!(told(&gw)["max_tokens"], 50_000);
}

#[tokio::test]
async fn hard_takes_no_prompt_that_only_the_model_server_can_count() {
    let gw = Gateway::start().await;
    let body = json!({"model": M1, "input": "more", "previous_response_id": "resp_1"});
    let responses = async |key: &str| {
        let request =
            gw.request(Method::POST, "/v1/responses").header("authorization", format!("Bearer {key}"));
        request.json(&body).send().await
    };
    let hard = admitted_by(&gw, "hard", &[("TOKEN", "DAY", 100_000)]).await;
    refused(&responses(&hard.key).await, 400, "uncountable_prompt");
    let without_token_limits = admitted_by(&gw, "hard", &[("REQUEST", "DAY", 100)]).await;
    responses(&without_token_limits.key).await.expect(200);
}

/// A customer of an endpoint whose model writes more than its streams show.
async fn hidden(gw: &Gateway, admission: &str, limits: &[Limit]) -> Customer {
    let mut target = at(&gw.model.base_url());
    target["hidden_output"] = true.into();
    let body = json!({"slug": "acme/x", "targets": [target], "admission": admission});
    gw.post("/v1/gateway/endpoints", body).await.expect(200);
    gw.customer("hidden", models("acme/x", limits)).await
}

#[tokio::test]
async fn a_stream_with_hidden_output_is_bounded_like_a_whole_answer_in_hard() {
    let gw = Gateway::start().await;
    let threshold = prompt(&gw).await + 300;
    let customer = hidden(&gw, "hard", &[("TOKEN", "DAY", threshold)]).await;
    let mut body = long_stream(asking(1_000));
    body["model"] = "acme/x".into();
    gw.chat_with(&customer.key, body).await.expect(200);
    assert_eq!(told(&gw)["max_tokens"], 300);
}

#[tokio::test]
async fn who_leaves_a_stream_with_hidden_output_pays_for_what_was_reported_or_for_all_it_held() {
    for usage in [UsageReport::Lying { prompt: 10, completion: 700 }, UsageReport::Missing] {
        let gw = Gateway::start().await;
        let prompt = prompt(&gw).await;
        let customer = hidden(&gw, "estimate", &[("TOKEN", "DAY", 100_000)]).await;
        let pause = std::time::Duration::from_millis(20);
        gw.model.set(Script { usage, between_chunks: pause, ..Script::default() });
        let mut body = long_stream(asking(1_000));
        body["model"] = "acme/x".into();
        let mut stream = gw.chat_request(&customer.key).json(&body).open().await;
        stream.piece().await.unwrap();
        drop(stream);
        gw.quiet().await;
        let expected = if usage == UsageReport::Missing { prompt + 1_000 } else { 710 };
        assert_eq!(standing(&gw, &customer).await, (expected, 0), "{usage:?}");
        assert_eq!(gw.model.served().finished, 2, "the answer was read to its end");
    }
}
