//! Connections on which a test writes every byte itself.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Customer, Gateway};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const M1: &str = "acme/m1";
/// Short enough to be waited for: the gateway closes, the test only reads.
pub(crate) const SHORT: Duration = Duration::from_millis(150);
/// What is never waited for.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
/// Longest wait for something that another thread does; nothing takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A customer whose use is counted.
pub(crate) async fn counted(gw: &Gateway) -> Customer {
    let limits = json!([
        { "type": "REQUEST", "unit": "DAY", "threshold": 1_000_000 },
        { "type": "TOKEN", "unit": "DAY", "threshold": 100_000_000 },
    ]);
    gw.customer("counted", json!([{ "slug": M1, "usage_limits": limits }])).await
}

/// The body of a short call.
pub(crate) fn chat() -> String {
    json!({ "model": M1, "max_tokens": 9, "messages": [{ "role": "user", "content": "Say hello." }] })
        .to_string()
}

/// A call's body of exactly this length.
pub(crate) fn chat_of(length: usize) -> String {
    let body = |text: &str| json!({ "model": M1, "max_tokens": 9, "messages": text }).to_string();
    let missing = length.checked_sub(body("").len()).expect("a call is longer than that");
    body(&"x".repeat(missing))
}

/// The head of a chat call, with these further header lines (each with its line end).
pub(crate) fn head(key: &str, lines: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\n{lines}\r\n"
    )
}

/// A whole chat call.
pub(crate) fn call(key: &str, body: &str) -> String {
    head(key, &format!("content-length: {}\r\n", body.len())) + body
}

/// Waits for a fact that another thread brings about.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, poll).await.is_ok(), "it never came about that {what}");
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks status and code of an error of ours.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json()["error"]["code"].as_str()), (status, Some(code)), "{self:?}");
    }

    pub(crate) fn closes(&self) -> bool {
        self.head.to_ascii_lowercase().contains("connection: close")
    }
}

/// A raw connection.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends what the gateway takes; it may close in the middle.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next answer, read by its content-length; `None` if the connection ends before.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            match self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if !self.more().await => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect()).unwrap();
        let lines = head.to_ascii_lowercase();
        let length = lines.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.more().await, "the body breaks off: {head}");
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body })
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn half_close(&mut self) {
        // The gateway may have left already.
        let _ = self.stream.shutdown().await;
    }

    /// Every answer until the gateway closes.
    pub(crate) async fn answers(&mut self) -> Vec<Answer> {
        let mut all = Vec::new();
        while let Some(answer) = self.answer().await {
            all.push(answer);
        }
        all
    }

    /// Everything else until the gateway closes.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    /// Whether the gateway closes without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.more().await
    }

    /// Reads once; whether anything came. A reset is an end.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        read.expect("the gateway neither speaks nor closes").is_ok_and(|read| read > 0)
    }
}
