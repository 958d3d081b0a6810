//! A client that reads answers as they are.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use modelsim::{ModelServer, Served};
use serde_json::Value;
use tokio::net::TcpStream;

/// Only guards against a hung test; nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One event of a stream.
pub(crate) struct Event {
    /// Empty where it has none.
    pub(crate) name: String,
    /// `[DONE]` as null.
    pub(crate) data: Value,
}

/// What so many default calls count besides their words.
pub(crate) fn finished(calls: u64) -> Served {
    Served { started: calls, finished: calls, prompt_tokens: 10 * calls, ..Served::default() }
}

/// The words in the arguments of a tool.
pub(crate) fn arguments(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap()["text"].as_str().unwrap().to_owned()
}

pub(crate) async fn connect(server: &ModelServer) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn post(path: &str, body: String) -> Request<Full<Bytes>> {
    let post = Request::post(path).header("host", "sim");
    post.header("authorization", "Bearer sk-test").body(Full::from(body)).unwrap()
}

/// The connection is given up with the answer.
pub(crate) async fn send(server: &ModelServer, path: &str, body: Value) -> Response<Incoming> {
    send_text(server, path, body.to_string()).await
}

pub(crate) async fn send_text(server: &ModelServer, path: &str, body: String) -> Response<Incoming> {
    let answer = async { connect(server).await.send_request(post(path, body)).await };
    tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap()
}

pub(crate) async fn text(answer: Response<Incoming>) -> String {
    let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap();
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) async fn whole(server: &ModelServer, path: &str, body: Value) -> Value {
    let answer = send(server, path, body).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    serde_json::from_str(&text(answer).await).unwrap()
}

/// The events of the stream that this request asks for.
pub(crate) async fn events(server: &ModelServer, path: &str, mut body: Value) -> Vec<Event> {
    body["stream"] = true.into();
    let answer = send(server, path, body).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    text(answer).await.split_terminator("\n\n").map(event).collect()
}

/// An event that has a name repeats it as its type.
fn event(lines: &str) -> Event {
    let (name, data) = match lines.strip_prefix("event: ") {
        Some(named) => named.split_once('\n').unwrap(),
        None => ("", lines),
    };
    let data = data.strip_prefix("data: ").unwrap();
    let data: Value = if data == "[DONE]" { Value::Null } else { serde_json::from_str(data).unwrap() };
    if !name.is_empty() {
        assert_eq!(data["type"], name);
    }
    Event { name: name.to_owned(), data }
}

pub(crate) fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// Waits until the counts are so; the server runs in the same runtime, so that yielding lets it.
pub(crate) async fn until(server: &ModelServer, reached: impl Fn(&Served) -> bool) -> Served {
    let wait = async {
        while !reached(&server.served()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    server.served()
}
