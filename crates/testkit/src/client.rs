//! A plain HTTP client for tests: one connection for each request, nothing hidden.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null where it is not JSON.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// A header as text, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// This answer, if its status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A request being put together.
#[derive(Debug)]
pub struct Request {
    addr: SocketAddr,
    builder: http::request::Builder,
    body: Bytes,
}

impl Request {
    pub(crate) fn new(addr: SocketAddr, method: Method, path: &str) -> Self {
        let builder =
            http::Request::builder().method(method).uri(path).header(header::HOST, addr.to_string());
        Self { addr, builder, body: Bytes::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.builder = self.builder.header(name, value.as_ref());
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this value as JSON.
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Reply {
        let streaming = self.open().await;
        let (status, headers) = (streaming.status, streaming.headers.clone());
        let text = streaming.rest().await;
        Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// Sends it and reads the header of the answer.
    pub async fn open(self) -> Streaming {
        let stream = TcpStream::connect(self.addr).await.expect("the gateway listens");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = self.builder.body(Full::new(self.body)).unwrap();
        let answer = sender.send_request(request).await.expect("the gateway answers");
        let (head, body) = answer.into_parts();
        Streaming { status: head.status.as_u16(), headers: head.headers, body, connection, _sender: sender }
    }
}

/// An answer that is still coming. Dropping it closes the connection, as a caller that leaves does.
#[derive(Debug)]
pub struct Streaming {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    connection: tokio::task::JoinHandle<()>,
    _sender: http1::SendRequest<Full<Bytes>>,
}

impl Streaming {
    /// The next piece, or `None` at the end.
    pub async fn piece(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.expect("the answer does not break off");
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }

    /// Everything that still comes, as text.
    pub async fn rest(mut self) -> String {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await {
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).unwrap()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
