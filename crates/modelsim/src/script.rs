//! How the simulated server behaves, from the next request on.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// How many requests are remembered unless the script says otherwise.
const REMEMBERED: usize = 1000;

/// What the server does with each request. Fields are independent unless their text says otherwise.
#[derive(Clone, Debug)]
pub struct Script {
    /// What each call is said to have read.
    pub prompt_tokens: u64,
    /// How many of them are said to come from a cache. Anthropic's `input_tokens` leaves them out.
    pub cache_read_tokens: u64,
    /// How many of them are said to be written into a cache: told by `messages`, which leaves them out of its
    /// `input_tokens`, and by `responses`.
    pub cache_write_tokens: u64,
    /// How many words each answer has; fewer where the request's own bound is smaller. At most 2^24.
    pub completion_tokens: u64,
    /// The text of one completion token.
    pub word: String,
    /// The `model` in answers; `None`: what was sent.
    pub model: Option<String>,
    /// What is said about usage.
    pub usage: UsageReport,
    /// What happens when the request offers tools.
    pub tools: Tools,
    /// Wait before the head of the answer.
    pub first_byte: Duration,
    /// Wait before each event of a stream but the first.
    pub between_chunks: Duration,
    /// Whether a comment (`: keep-alive`) goes before each event of a stream.
    pub comments: bool,
    /// How an answer ends.
    pub end: End,
    /// What is done at all.
    pub act: Act,
    /// How bodies are encoded.
    pub encoding: Encoding,
    /// More headers on every answer (`set-cookie`, `retry-after`, `x-ratelimit-*`); they replace the server's own.
    pub headers: HeaderMap,
    /// How many requests are remembered; a benchmark says 0.
    pub remember: usize,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// What the route is for.
    Answer,
    /// 200, but what should be JSON is not: a broken object, or a stream of garbage.
    Garble,
    /// An answer with this status (500 if that is none); JSON if the body begins like it, else HTML.
    Fail { status: u16, body: String },
    /// An error with this status (500 if that is none) as the route's dialect words it.
    Error { status: u16, message: String },
    /// 307 to this address.
    Redirect { to: String },
    /// Never an answer; the connection stays open.
    Hang,
    /// The connection is reset: at once where it is new, else at its next request.
    Refuse,
}

/// How an answer ends. Events of a stream are counted from its first (in a chat the one that says the role);
/// a whole answer is cut or stalled in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Complete,
    /// The stream closes in good order, but without its last event: `[DONE]`, `response.completed`, `message_stop`.
    WithoutDone,
    /// The connection is reset after so many events.
    CutAfter(usize),
    /// Nothing more comes after so many events; the connection stays open.
    StallAfter(usize),
    /// After so many events the stream says `error` and closes in good order.
    ErrorAfter(usize),
}

/// What an answer says about usage. A stream of chat or completions says it only where
/// `stream_options.include_usage` asks; `responses` and `messages` say it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageReport {
    /// The truth.
    Reported,
    /// Nothing.
    Missing,
    /// These numbers, whatever was served.
    Lying { prompt: u64, completion: u64 },
}

/// What happens when the request offers tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// Text, as ever.
    Ignore,
    /// The first of them is called; the words become its argument.
    Call,
}

/// How bodies are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    /// Valid gzip under `content-encoding: gzip`, whatever the request accepts.
    Gzip,
}

impl Default for Script {
    /// 10 tokens read and 9 written, at once, truthfully.
    fn default() -> Script {
        Script {
            prompt_tokens: 10,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            completion_tokens: 9,
            word: "word ".to_owned(),
            model: None,
            usage: UsageReport::Reported,
            tools: Tools::Ignore,
            first_byte: Duration::ZERO,
            between_chunks: Duration::ZERO,
            comments: false,
            end: End::Complete,
            act: Act::Answer,
            encoding: Encoding::Identity,
            headers: HeaderMap::new(),
            remember: REMEMBERED,
        }
    }
}

impl Script {
    /// The default, but every request gets this error answer.
    pub fn failing(status: u16, body: impl Into<String>) -> Script {
        Script { act: Act::Fail { status, body: body.into() }, ..Script::default() }
    }

    /// The default, but answers end so.
    pub fn ending(end: End) -> Script {
        Script { end, ..Script::default() }
    }

    /// The same with one more header on every answer.
    ///
    /// # Panics
    ///
    /// If the name or the value is none; write the name in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Script {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }
}
