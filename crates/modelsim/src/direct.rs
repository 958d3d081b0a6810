//! A script for each request, and the server's own count of each.
//!
//! A [`Director`] hands out a [`Role`] as a request arrives: how to behave, and a [`Receipt`] in which the server
//! writes down what it really read and wrote, whatever the answer said. So one server can behave well for one call
//! and badly for the next, and whoever directs it can hold each bill against what was served.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use http::request::Parts;

use crate::script::Script;

/// Gives requests their scripts.
pub trait Director: Send + Sync + fmt::Debug {
    /// The role of a request with this head; `None`: the server's own script. Asked once for each request to a model,
    /// before its body is read.
    fn cast(&self, head: &Parts) -> Option<Role>;
}

/// What one request gets.
#[derive(Debug)]
pub struct Role {
    /// How the server behaves.
    pub script: Script,
    /// Where it writes down what it did.
    pub receipt: Arc<Receipt>,
}

/// What was really served to one request. Everything only grows.
#[derive(Debug, Default)]
pub struct Receipt {
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    ending: AtomicU8,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered to the end, errors included.
    Finished,
    /// Given up by the client.
    Aborted,
    /// Broken off by the script.
    Cut,
}

impl Receipt {
    /// Tokens read, counted with the first byte of an answer.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens.load(Relaxed)
    }

    /// Tokens written, counted as they are handed to the connection.
    #[must_use]
    pub fn completion_tokens(&self) -> u64 {
        self.completion_tokens.load(Relaxed)
    }

    /// `None` while it goes on, or where its body never came.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match self.ending.load(Relaxed) {
            1 => Some(Ending::Finished),
            2 => Some(Ending::Aborted),
            3 => Some(Ending::Cut),
            _ => None,
        }
    }

    pub(crate) fn read(&self, tokens: u64) {
        self.prompt_tokens.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn wrote(&self, tokens: u64) {
        self.completion_tokens.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn end(&self, ending: Ending) {
        let code = match ending {
            Ending::Finished => 1,
            Ending::Aborted => 2,
            Ending::Cut => 3,
        };
        self.ending.store(code, Relaxed);
    }
}
