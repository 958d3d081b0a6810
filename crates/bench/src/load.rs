//! Closed-loop load: each connection sends its next call when the last has been answered to its end.
//!
//! All connections live in one thread. Each is one task, which drives the socket and the calls
//! together, so that no task hop of ours is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::clock;
use crate::exchange::{exchange, request};
use crate::options::Answers;
use crate::subject::Subject;
use crate::tollgate::SLUG;

const PATH: &str = "/v1/chat/completions";
const REQUEST_LEN: usize = 250;
/// Wait before a connection that failed is made again.
const RECONNECT: Duration = Duration::from_millis(10);

/// Calls to one address.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    addr: SocketAddr,
    /// Made by turns; at least one.
    requests: Arc<[http::Request<Full<Bytes>>]>,
    /// Whose turn it is.
    next: Arc<AtomicUsize>,
}

/// What came of a burst of calls.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    /// How long each good call took, in nanoseconds.
    pub(crate) nanos: Vec<u64>,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
}

impl Load {
    pub(crate) fn on(subject: &Subject, answers: Answers) -> anyhow::Result<Load> {
        let key = subject.key.as_deref();
        let request = request(Method::POST, PATH, subject.addr, key, body(answers))?;
        Ok(Load { addr: subject.addr, requests: [request].into(), next: Arc::default() })
    }

    /// Whole answers, by each of these keys in turn; each makes its calls for a user of its own.
    pub(crate) fn by(addr: SocketAddr, keys: &[String]) -> anyhow::Result<Load> {
        ensure!(!keys.is_empty(), "nobody calls");
        let call = |(at, key): (usize, &String)| {
            let mut request = request(Method::POST, PATH, addr, Some(key), body(Answers::Whole))?;
            request.headers_mut().insert("x-user-id", format!("caller-{at}").parse()?);
            anyhow::Ok(request)
        };
        let requests = keys.iter().enumerate().map(call).collect::<Result<Vec<_>, _>>()?;
        Ok(Load { addr, requests: requests.into(), next: Arc::default() })
    }

    fn request(&self) -> http::Request<Full<Bytes>> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.requests.len();
        self.requests[at].clone()
    }

    /// One call, to see that the answer is the right one. Returns its length.
    pub(crate) fn check(&self, answers: Answers) -> anyhow::Result<usize> {
        let (status, body) = exchange(self.addr, self.request())?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == StatusCode::OK, "a call was answered {status}: {text}");
        let ending = match answers {
            Answers::Whole => text.contains(r#""completion_tokens":20"#),
            Answers::Streamed => text.ends_with("data: [DONE]\n\n"),
        };
        ensure!(ending, "a call was answered wrongly: {text}");
        Ok(body.len())
    }

    /// Calls for so long on so many connections, in a thread of its own.
    pub(crate) fn run(&self, connections: usize, time: Duration) -> anyhow::Result<Burst> {
        let load = Arc::new(self.clone());
        let work = std::thread::spawn(move || runtime()?.block_on(load.burst(connections, time)));
        work.join().ok().context("the load generator failed")?
    }

    async fn burst(self: Arc<Load>, connections: usize, time: Duration) -> anyhow::Result<Burst> {
        let begun = clock::now();
        let callers: Vec<_> =
            (0..connections).map(|_| tokio::spawn(Arc::clone(&self).call_until(begun + time))).collect();
        let mut sum = Burst::default();
        for caller in callers {
            let one = caller.await?;
            sum.nanos.extend(one.nanos);
            sum.errors += one.errors;
        }
        sum.elapsed = begun.elapsed();
        Ok(sum)
    }

    async fn call_until(self: Arc<Load>, end: Instant) -> Burst {
        let mut burst = Burst::default();
        while clock::now() < end {
            if self.converse(end, &mut burst).await.is_err() {
                burst.errors += 1;
                tokio::time::sleep(RECONNECT).await;
            }
        }
        burst
    }

    /// One connection, until the end or its own.
    async fn converse(&self, end: Instant, burst: &mut Burst) -> anyhow::Result<()> {
        let stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut connection = std::pin::pin!(connection);
        let mut calls = std::pin::pin!(self.call_on(sender, end, burst));
        tokio::select! {
            biased;
            done = &mut calls => done,
            // The calls then end by themselves: an answer, if there is one, is with them already.
            _ = &mut connection => calls.await,
        }
    }

    async fn call_on(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        end: Instant,
        burst: &mut Burst,
    ) -> anyhow::Result<()> {
        while clock::now() < end {
            sender.ready().await?;
            let begun = clock::now();
            let mut answer = sender.send_request(self.request()).await?;
            while let Some(frame) = answer.frame().await {
                frame?;
            }
            if answer.status() == StatusCode::OK {
                burst.nanos.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            } else {
                burst.errors += 1;
            }
        }
        Ok(())
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A chat request, filled up to its length.
fn body(answers: Answers) -> Bytes {
    let streamed = answers == Answers::Streamed;
    let of = |text: &str| {
        let messages =
            json!([{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": text}]);
        json!({"model": SLUG, "messages": messages, "max_tokens": 64, "temperature": 0, "stream": streamed})
            .to_string()
    };
    let missing = REQUEST_LEN.saturating_sub(of("").len());
    of(&"ask ".repeat(REQUEST_LEN)[..missing]).into()
}
