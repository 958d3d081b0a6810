//! A caller's side of HTTP: one kept-alive connection, given up with an answer that is not read to its end.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection, or the wish for one.
#[derive(Debug)]
pub struct Line {
    addr: SocketAddr,
    open: Option<(SendRequest<Full<Bytes>>, JoinHandle<()>)>,
}

impl Line {
    /// To this address; nothing is opened yet.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, open: None }
    }

    /// Sends a request and waits for the header of its answer.
    ///
    /// # Errors
    /// No connection, or one that breaks.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let ready = match &mut self.open {
            Some((sender, _)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.hang_up();
            let stream = TcpStream::connect(self.addr).await.context("the gateway takes no connection")?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            let task = tokio::spawn(async move {
                // How a connection ends is seen by who waits for an answer on it.
                let _ = connection.await;
            });
            self.open = Some((sender, task));
        }
        let (sender, _) = self.open.as_mut().context("the connection has just been opened")?;
        Ok(sender.send_request(request).await?)
    }

    /// Leaves, whatever is still to come.
    pub fn hang_up(&mut self) {
        if let Some((_, task)) = self.open.take() {
            task.abort();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// A way to the management API.
#[derive(Debug)]
pub struct Desk {
    line: Line,
    key: String,
}

impl Desk {
    /// With an operator's key.
    #[must_use]
    pub fn new(addr: SocketAddr, key: &str) -> Self {
        Self { line: Line::new(addr), key: key.to_owned() }
    }

    /// An exchange; `null` sends no body. The status and the body of the answer.
    ///
    /// # Errors
    /// No answer, or one that is not JSON.
    pub async fn ask(&mut self, method: Method, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gateway")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes))?;
        let answer = self.line.send(request).await?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes)?))
    }

    /// An exchange that has to succeed.
    ///
    /// # Errors
    /// Anything but 200.
    pub async fn must(&mut self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method, path, body).await?;
        anyhow::ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }
}
