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
