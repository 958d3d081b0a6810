//! Connections to model servers: kept, closed by the other side, answered in unexpected shapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

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

/// A server that hands each of its connections to `serve`, and counts them. Returns its base URL.
async fn raw_server<F>(accepted: &Arc<AtomicUsize>, serve: fn(TcpStream, usize) -> F) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let accepted = Arc::clone(accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, accepted.fetch_add(1, Ordering::SeqCst)));
        }
    });
    base_url
}

/// Answers 413 when it has the beginning of a request, and neither takes the rest nor closes.
async fn answer_early(mut stream: TcpStream, _: usize) {
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
    let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nlong";
    stream.write_all(answer.as_bytes()).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_model_server_that_answers_before_it_has_taken_the_request_is_heard_and_its_connection_not_kept() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let base_url = raw_server(&accepted, answer_early).await;
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    customer_of(&gw, at(&base_url)).await;
    let customer = gw.customer("unlimited", models("acme/x", &[])).await;
    let mut call = chat("acme/x");
    call["messages"][0]["content"] = "x".repeat(16 << 20).into();
    for connections in 1..=2 {
        let reply = gw.chat_with(&customer.key, call.clone()).await;
        assert_eq!((reply.status, reply.text.as_str()), (413, "long"));
        assert_eq!(accepted.load(Ordering::SeqCst), connections);
    }
    assert_eq!(gw.node().in_flight(), 0);
}

/// Answers that end at one place for some readers and at another for others; the last one is in order.
const IN_DOUBT: [&str; 8] = [
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "content-length: 2\r\ncontent-length: 4\r\n\r\n{}{}",
    "content-length: +2\r\n\r\n{}",
    "content-length: 0x2\r\n\r\n{}",
    "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
];

/// Gives the answer whose turn it is, for as long as it is asked.
async fn answer_in_doubt(mut stream: TcpStream, turn: usize) {
    while read_call(&mut stream).await {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{}", IN_DOUBT[turn]);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_whose_end_is_in_doubt_is_502_and_its_connection_is_not_used_again() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let base_url = raw_server(&accepted, answer_in_doubt).await;
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let customer = customer_of(&gw, at(&base_url)).await;
    let (last, refused_ones) = IN_DOUBT.split_last().unwrap();
    for (turn, answer) in refused_ones.iter().enumerate() {
        let reply = gw.chat(&customer.key, "acme/x").await;
        assert_eq!(accepted.load(Ordering::SeqCst), turn + 1, "{answer:?}");
        refused(&reply, 502, "upstream_unavailable");
        assert_eq!(gw.node().in_flight(), 0);
    }
    for _ in 0..2 {
        assert_eq!(gw.chat(&customer.key, "acme/x").await.expect(200).text, "{}", "{last:?}");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), IN_DOUBT.len());
}

/// Sends a second answer behind each answer, at once with it.
async fn answer_twice(mut stream: TcpStream, turn: usize) {
    while read_call(&mut stream).await {
        let answer = |text: &str| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            )
        };
        let both = answer(&format!(r#"{{"turn":{turn}}}"#)) + &answer(r#"{"turn":"evil"}"#);
        stream.write_all(both.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_model_server_sends_behind_its_answer_reaches_no_other_call() {
    let base_url = raw_server(&Arc::default(), answer_twice).await;
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let customer = customer_of(&gw, at(&base_url)).await;
    for turn in 0..3 {
        let reply = gw.chat(&customer.key, "acme/x").await.expect(200);
        assert_eq!(reply.body["turn"], json!(turn));
    }
}
