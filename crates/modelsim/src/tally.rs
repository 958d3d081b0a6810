//! What the server has seen and served.
//!
//! Each request to a model takes a [`Ticket`], which ends in exactly one way: finished, cut by the script,
//! or, where it is dropped before either, aborted by the client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;

use crate::direct::{Ending, Receipt};
use crate::intake::Received;

/// The bodies that are remembered hold no more than this together.
const REMEMBERED_BYTES_MAX: usize = 64 << 20;

/// Counts of what was really served, whatever the answers said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Served {
    /// Requests whose body was read; each ends as one of the next three, or is still going on.
    pub started: u64,
    /// Answered to the end, errors included.
    pub finished: u64,
    /// Given up by the client: its connection closed before the end.
    pub aborted: u64,
    /// Broken off by the script.
    pub cut: u64,
    /// Tokens read, counted with the first byte of an answer.
    pub prompt_tokens: u64,
    /// Tokens written, counted as they are handed to the connection.
    pub completion_tokens: u64,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    pub path: String,
    pub headers: HeaderMap,
    /// At most its first 4 MiB.
    pub body: Bytes,
    /// The length in bytes of the whole body.
    pub body_len: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    started: AtomicU64,
    finished: AtomicU64,
    aborted: AtomicU64,
    cut: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: VecDeque<SeenRequest>,
    bytes: usize,
}

/// One request being served.
#[derive(Debug)]
pub(crate) struct Ticket {
    tally: Arc<Tally>,
    /// Of this request alone, where somebody wants to know.
    receipt: Option<Arc<Receipt>>,
    ended: bool,
}

impl SeenRequest {
    /// The first value of this header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Tally {
    pub(crate) fn start(self: &Arc<Tally>, receipt: Option<Arc<Receipt>>) -> Ticket {
        self.started.fetch_add(1, Relaxed);
        Ticket { tally: Arc::clone(self), receipt, ended: false }
    }

    pub(crate) fn served(&self) -> Served {
        Served {
            started: self.started.load(Relaxed),
            finished: self.finished.load(Relaxed),
            aborted: self.aborted.load(Relaxed),
            cut: self.cut.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            completion_tokens: self.completion_tokens.load(Relaxed),
        }
    }

    /// Keeps the last `remember` requests, and fewer where their bodies are large.
    pub(crate) fn remember(&self, head: Parts, received: Received, remember: usize) {
        let mut seen = self.seen();
        let Received { start: body, len: body_len, .. } = received;
        seen.bytes += body.len();
        seen.requests.push_back(SeenRequest {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body,
            body_len,
        });
        while seen.requests.len() > remember || seen.bytes > REMEMBERED_BYTES_MAX {
            let Some(oldest) = seen.requests.pop_front() else { break };
            seen.bytes -= oldest.body.len();
        }
    }

    pub(crate) fn last_request(&self) -> Option<SeenRequest> {
        self.seen().requests.back().cloned()
    }

    pub(crate) fn requests(&self) -> Vec<SeenRequest> {
        self.seen().requests.iter().cloned().collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(crate) fn read(&self, prompt_tokens: u64) {
        self.tally.prompt_tokens.fetch_add(prompt_tokens, Relaxed);
        if let Some(receipt) = &self.receipt {
            receipt.read(prompt_tokens);
        }
    }

    pub(crate) fn wrote(&self, completion_tokens: u64) {
        self.tally.completion_tokens.fetch_add(completion_tokens, Relaxed);
        if let Some(receipt) = &self.receipt {
            receipt.wrote(completion_tokens);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.end(Ending::Finished);
    }

    pub(crate) fn cut(&mut self) {
        self.end(Ending::Cut);
    }

    /// The first ending counts; later ones change nothing.
    fn end(&mut self, ending: Ending) {
        if self.ended {
            return;
        }
        self.ended = true;
        let count = match ending {
            Ending::Finished => &self.tally.finished,
            Ending::Aborted => &self.tally.aborted,
            Ending::Cut => &self.tally.cut,
        };
        count.fetch_add(1, Relaxed);
        if let Some(receipt) = &self.receipt {
            receipt.end(ending);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Ending::Aborted);
    }
}
