//! Chat completions, and what every answer has in common: delays, cuts, errors, counts.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use modelsim::{Act, Encoding, End, ModelServer, Script, Served, Tools, UsageReport};
use serde_json::{Value, json};

use crate::support::{self, arguments, connect, finished, text, until};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_whole_answer_has_the_scripted_text_usage_and_the_model_as_sent() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let answer = whole(&server, json!({"model": "acme/\"chat\"", "messages": []})).await;
    assert_eq!(answer["model"], "acme/\"chat\"");
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "word ".repeat(9));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19}));
    assert_eq!(server.served(), Served { completion_tokens: 9, ..finished(1) });
}

#[tokio::test]
async fn the_requests_own_bound_shortens_the_answer() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let bounds = json!({"model": "m", "max_tokens": 5, "max_completion_tokens": 4});
    let answer = whole(&server, bounds).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["choices"][0]["message"]["content"], "word ".repeat(4));
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    let answer = whole(&server, json!({"model": "m", "max_tokens": 9})).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_stream_says_usage_only_where_it_is_asked_for() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let silent = events(&server, json!({"model": "m", "stream": true})).await;
    assert_eq!(silent.len(), 12, "the role, nine words, the reason, [DONE]");
    assert!(silent[..11].iter().all(|event| event.get("usage").is_none()));
    let asked = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    let told = events(&server, asked).await;
    assert_eq!(told.len(), 13);
    assert_eq!(told[3]["usage"], Value::Null);
    assert!(told[3].get("usage").is_some());
    assert_eq!(told[11]["choices"], json!([]));
    assert_eq!(told[11]["usage"]["total_tokens"], 19);
    assert_eq!(told[10]["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn usage_can_be_missing_or_a_lie_while_the_count_stays_true() {
    let script = Script { usage: UsageReport::Missing, ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    assert!(whole(&server, json!({"model": "m"})).await.get("usage").is_none());
    let lie = UsageReport::Lying { prompt: 1, completion: u64::MAX };
    server.set(Script { usage: lie, ..Script::default() });
    let answer = whole(&server, json!({"model": "m"})).await;
    assert_eq!(answer["usage"]["completion_tokens"], u64::MAX);
    assert_eq!(server.served(), Served { completion_tokens: 18, ..finished(2) });
}

#[tokio::test]
async fn each_event_of_a_stream_is_a_chunk_of_its_own() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let mut answer = send(&server, json!({"model": "m", "stream": true})).await;
    let mut frames = 0;
    while let Some(frame) = answer.body_mut().frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.starts_with(b"data: ") && data.ends_with(b"\n\n"));
        assert_eq!(data.windows(2).filter(|pair| pair == b"\n\n").count(), 1);
        frames += 1;
    }
    assert_eq!(frames, 12);
}

#[tokio::test]
async fn a_cut_stream_is_reset_after_the_events_it_promised() {
    let server = ModelServer::start(Script::ending(End::CutAfter(3))).await.unwrap();
    let mut answer = send(&server, json!({"model": "m", "stream": true})).await;
    for _ in 0..3 {
        answer.body_mut().frame().await.unwrap().unwrap();
    }
    assert!(answer.body_mut().frame().await.unwrap().is_err());
    assert_eq!(server.served(), Served { finished: 0, cut: 1, completion_tokens: 2, ..finished(1) });
}

#[tokio::test]
async fn a_cut_whole_answer_stops_in_its_middle() {
    let server = ModelServer::start(Script::ending(End::CutAfter(1))).await.unwrap();
    let answer = send(&server, json!({"model": "m"})).await;
    assert!(answer.headers().contains_key("content-length"));
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(server.served().cut, 1);
}

#[tokio::test]
async fn a_stream_may_end_without_done_or_with_an_error() {
    let server = ModelServer::start(Script::ending(End::WithoutDone)).await.unwrap();
    let request = json!({"model": "m", "stream": true});
    assert_eq!(events(&server, request.clone()).await.len(), 11);
    server.set(Script::ending(End::ErrorAfter(2)));
    let events = events(&server, request).await;
    assert_eq!(events.len(), 3);
    assert_eq!(events[2]["error"]["type"], "server_error");
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_stream_is_counted_as_aborted() {
    let server = ModelServer::start(Script::ending(End::StallAfter(4))).await.unwrap();
    let mut answer = send(&server, json!({"model": "m", "stream": true})).await;
    for _ in 0..4 {
        answer.body_mut().frame().await.unwrap().unwrap();
    }
    drop(answer);
    let served = until(&server, |served| served.aborted == 1).await;
    assert_eq!((served.finished, served.completion_tokens), (0, 3));
}

#[tokio::test]
async fn a_client_that_leaves_before_any_answer_is_counted_as_aborted() {
    let script = Script { act: Act::Hang, ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let mut client = connect(&server).await;
    let answer = tokio::spawn(client.send_request(post(&json!({"model": "m"}))));
    until(&server, |served| served.started == 1).await;
    answer.abort();
    drop(client);
    let served = until(&server, |served| served.aborted == 1).await;
    assert_eq!((served.prompt_tokens, served.completion_tokens), (0, 0));
}

#[tokio::test]
async fn an_error_answer_has_the_scripted_status_body_and_headers() {
    let script = Script::failing(429, r#"{"error":{"message":"slow down"}}"#)
        .with_header("retry-after", "7")
        .with_header("set-cookie", "a=1")
        .with_header("set-cookie", "b=2");
    let server = ModelServer::start(script).await.unwrap();
    let answer = send(&server, json!({"model": "m"})).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(text(answer).await, r#"{"error":{"message":"slow down"}}"#);
    server.set(Script::failing(500, "<h1>no</h1>"));
    let answer = send(&server, json!({"model": "m"})).await;
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert_eq!(server.served().prompt_tokens, 0);
}

#[tokio::test]
async fn garbage_is_not_json() {
    let script = Script { act: Act::Garble, ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let answer = text(send(&server, json!({"model": "m"})).await).await;
    assert!(serde_json::from_str::<Value>(&answer).is_err());
    let stream = send(&server, json!({"model": "m", "stream": true})).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert!(text(stream).await.contains("neither this"));
}

#[tokio::test]
async fn a_redirect_names_where_to_go() {
    let act = Act::Redirect { to: "http://127.0.0.1:1/".to_owned() };
    let server = ModelServer::start(Script { act, ..Script::default() }).await.unwrap();
    let answer = send(&server, json!({"model": "m"})).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (307, &"http://127.0.0.1:1/".parse().unwrap())
    );
}

#[tokio::test]
async fn a_refusal_closes_new_connections_and_the_next_request_of_old_ones() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let mut client = connect(&server).await;
    let answer = client.send_request(post(&json!({"model": "m"}))).await.unwrap();
    text(answer).await;
    server.set(Script { act: Act::Refuse, ..Script::default() });
    client.ready().await.unwrap();
    assert!(client.send_request(post(&json!({"model": "m"}))).await.is_err());
    let mut client = connect(&server).await;
    assert!(client.send_request(post(&json!({"model": "m"}))).await.is_err());
    assert_eq!(server.served().started, 1);
}

#[tokio::test]
async fn a_gzip_body_says_so_and_carries_the_answer() {
    let script = Script { encoding: Encoding::Gzip, ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let answer = send(&server, json!({"model": "m"})).await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    // Ten bytes of head, then one stored block behind its five bytes, then five and eight of ending.
    let plain: Value = serde_json::from_slice(&body[15..body.len() - 13]).unwrap();
    assert_eq!(plain["model"], "m");
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_that_are_json() {
    let script = Script { tools: Tools::Call, word: "\"so\" ".to_owned(), ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let tools = json!([{"type": "function", "function": {"name": "find", "parameters": {}}}]);
    let answer = whole(&server, json!({"model": "m", "tools": tools})).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "find");
    assert_eq!(arguments(call["arguments"].as_str().unwrap()), "\"so\" ".repeat(9));
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");

    let events = events(&server, json!({"model": "m", "tools": tools, "stream": true})).await;
    let parts = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
    assert_eq!(arguments(&parts.collect::<String>()), "\"so\" ".repeat(9));
    let plain = whole(&server, json!({"model": "m", "tools": null})).await;
    assert!(plain["choices"][0]["message"]["content"].is_string());
}

#[tokio::test]
async fn comments_go_between_the_events() {
    let server = ModelServer::start(Script { comments: true, ..Script::default() }).await.unwrap();
    let answer = text(send(&server, json!({"model": "m", "stream": true})).await).await;
    assert_eq!(answer.matches(": keep-alive\n\n").count(), 12);
    assert!(answer.starts_with(": keep-alive\n\ndata: {"));
}

#[tokio::test]
async fn delays_are_kept() {
    let pause = Duration::from_millis(20);
    let script =
        Script { first_byte: pause, between_chunks: pause, completion_tokens: 1, ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let began = tokio::time::Instant::now();
    let events = events(&server, json!({"model": "m", "stream": true})).await;
    assert_eq!(events.len(), 4);
    assert!(began.elapsed() >= pause * 4, "one before the head, three between four events");
}

#[tokio::test]
async fn requests_are_remembered_up_to_the_scripts_number() {
    let script = Script { remember: 2, model: Some("other".to_owned()), ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    for model in ["a", "b", "c"] {
        assert_eq!(whole(&server, json!({"model": model})).await["model"], "other");
    }
    let bodies: Vec<Bytes> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [r#"{"model":"b"}"#, r#"{"model":"c"}"#]);
    let last = server.last_request().unwrap();
    assert_eq!(last.path, "/v1/chat/completions");
    assert_eq!(last.header("authorization"), Some("Bearer sk-test"));
}

fn post(body: &Value) -> Request<Full<Bytes>> {
    support::post(CHAT, body.to_string())
}

async fn send(server: &ModelServer, body: Value) -> Response<Incoming> {
    support::send(server, CHAT, body).await
}

async fn whole(server: &ModelServer, body: Value) -> Value {
    support::whole(server, CHAT, body).await
}

/// The data of each event; `[DONE]` as null.
async fn events(server: &ModelServer, body: Value) -> Vec<Value> {
    support::events(server, CHAT, body).await.into_iter().map(|event| event.data).collect()
}
