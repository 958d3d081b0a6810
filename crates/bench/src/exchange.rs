//! One HTTP call at a time, for setting things up and checking answers.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Any HTTP server, with the key that goes along.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) addr: SocketAddr,
    pub(crate) key: &'a str,
}

impl Server<'_> {
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<StatusCode> {
        let (status, _) = self.call(Method::GET, path, Bytes::new())?;
        Ok(status)
    }

    /// What this path has to say; anything but 200 fails with it.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, answer) = self.call(Method::GET, path, Bytes::new())?;
        ensure!(
            status == StatusCode::OK,
            "GET {path} answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }

    /// A creation: anything but success fails with what the server says.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.call(Method::POST, path, body.to_string().into())?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(status.is_success(), "POST {path} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("POST {path} answered no JSON"))
    }

    fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = request(method, path, self.addr, Some(self.key), body)?;
        exchange(self.addr, request)
    }
}

/// One call on a connection of its own.
pub(crate) fn exchange(
    addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let stream = TcpStream::connect(addr).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    })
}

pub(crate) fn request(
    method: Method,
    path: &str,
    addr: SocketAddr,
    key: Option<&str>,
    body: Bytes,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path).header("host", addr.to_string());
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    Ok(request.header("content-type", "application/json").body(Full::new(body))?)
}
