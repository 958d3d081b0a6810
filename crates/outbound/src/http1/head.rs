//! The head of an answer, and what it says of where the answer ends.
//!
//! Lines are read by `httparse`, in its strict settings. Here is decided what they mean (RFC 9112, sections 6.3 and 9.3):
//! lengths that contradict each other are refused, never reconciled.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::body::{Chunks, Framing};
use super::fault::Fault;

/// Longest head, in bytes.
pub const HEAD_MAX: usize = 64 * 1024;
/// Headers of one answer.
const HEADERS_MAX: usize = 100;

/// The head of an answer: its status, and those of its headers that are of interest.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// Nearly every answer has one, and nothing else that is of interest: so it takes no list to hold it.
    content_type: Option<HeaderValue>,
    others: Vec<(HeaderName, HeaderValue)>,
}

/// What was received.
pub(super) enum Received {
    /// The answer is still to come.
    Informational,
    Final {
        head: Head,
        framing: Framing,
        /// Whether the server leaves the connection open.
        stays: bool,
    },
}

impl Head {
    /// The first value of a header, if it is one of those that are kept.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if *name == header::CONTENT_TYPE {
            return self.content_type.as_ref();
        }
        self.others.iter().find(|(kept, _)| kept == name).map(|(_, value)| value)
    }

    /// All headers that were kept.
    pub fn into_headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let first = self.content_type.map(|value| (header::CONTENT_TYPE, value));
        first.into_iter().chain(self.others)
    }
}

/// Takes a head out of the buffer, if all of it is there.
pub(super) fn read(buffer: &mut BytesMut, wanted: &'static [HeaderName]) -> Result<Option<Received>, Fault> {
    // The parser would read over empty lines, which no answer begins with.
    if matches!(buffer.first(), Some(b'\r' | b'\n')) {
        return Err(Fault::Garbage("an empty line in place of a status"));
    }
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let strict = httparse::ParserConfig::default();
    let length = match strict.parse_response_with_uninit_headers(&mut parsed, buffer, &mut room) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
        Ok(httparse::Status::Partial) if buffer.len() <= HEAD_MAX => return Ok(None),
        Ok(_) => return Err(Fault::Garbage("a head that is too long")),
        Err(error) => return Err(Fault::Garbage(what_is_wrong(error))),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Fault::Garbage("a status that is none"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::Garbage("a change of protocol that nobody asked for"));
    }
    if status.is_informational() {
        buffer.advance(length);
        return Ok(Some(Received::Informational));
    }
    let terms = Terms::of(parsed.headers, parsed.version)?;
    let places = Places::of(parsed.headers, wanted, buffer.as_ptr().addr());
    let head = places.into_head(status, &buffer.split_to(length).freeze())?;
    let (framing, stays) = terms.framing(status);
    Ok(Some(Received::Final { head, framing, stays }))
}

/// Where the headers of interest stand in the bytes of a head.
#[derive(Default)]
struct Places {
    content_type: Option<Range<usize>>,
    others: Vec<(&'static HeaderName, Range<usize>)>,
}

impl Places {
    fn of(headers: &[httparse::Header<'_>], wanted: &'static [HeaderName], start: usize) -> Self {
        let mut places = Self::default();
        for header in headers {
            let Some(name) = wanted.iter().find(|name| header.name.eq_ignore_ascii_case(name.as_str()))
            else {
                continue;
            };
            let begin = header.value.as_ptr().addr() - start;
            let place = begin..begin + header.value.len();
            if *name == header::CONTENT_TYPE && places.content_type.is_none() {
                places.content_type = Some(place);
            } else {
                places.others.push((name, place));
            }
        }
        places
    }

    /// The values are slices of the head.
    fn into_head(self, status: StatusCode, bytes: &Bytes) -> Result<Head, Fault> {
        let value = |place| {
            let value = HeaderValue::from_maybe_shared(bytes.slice(place));
            value.map_err(|_| Fault::Garbage("a header value that is none"))
        };
        let others = self.others.into_iter().map(|(name, place)| Ok((name.clone(), value(place)?)));
        Ok(Head {
            status,
            content_type: self.content_type.map(value).transpose()?,
            others: others.collect::<Result<_, Fault>>()?,
        })
    }
}

/// What a head says of the end of its answer and of the connection after it.
#[derive(Default)]
struct Terms {
    length: Option<u64>,
    is_chunked: bool,
    after: After,
}

/// What becomes of the connection after the answer.
#[derive(Default, PartialEq, Eq)]
enum After {
    /// As is the custom of the version.
    #[default]
    Unsaid,
    Open,
    Closed,
}

impl Terms {
    fn of(headers: &[httparse::Header<'_>], version: Option<u8>) -> Result<Self, Fault> {
        let mut terms = Self::default();
        let is_1_0 = version != Some(1);
        for httparse::Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                terms.has_length(value)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                terms.has_coding(value)?;
            } else if name.eq_ignore_ascii_case("connection") {
                terms.has_options(value);
            }
        }
        if terms.is_chunked && terms.length.is_some() {
            return Err(Fault::Garbage("both a length and a transfer coding"));
        }
        if terms.is_chunked && is_1_0 {
            return Err(Fault::Garbage("a transfer coding in HTTP/1.0"));
        }
        if is_1_0 && terms.after == After::Unsaid {
            terms.after = After::Closed;
        }
        Ok(terms)
    }

    /// Said twice, a length must be the same. A list of lengths in one line is not taken, though the RFC would allow it.
    fn has_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = digits(value).ok_or(Fault::Garbage("a length that is none"))?;
        match self.length.replace(length) {
            Some(other) if other != length => Err(Fault::Garbage("two lengths")),
            Some(_) | None => Ok(()),
        }
    }

    /// No other coding was asked for, and one that we cannot undo would hide where the answer ends.
    fn has_coding(&mut self, value: &[u8]) -> Result<(), Fault> {
        let is_first = !std::mem::replace(&mut self.is_chunked, true);
        if is_first && value.eq_ignore_ascii_case(b"chunked") {
            Ok(())
        } else {
            Err(Fault::Garbage("a transfer coding other than chunked"))
        }
    }

    /// Whoever says both closes.
    fn has_options(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.after = After::Closed;
            } else if option.eq_ignore_ascii_case(b"keep-alive") && self.after == After::Unsaid {
                self.after = After::Open;
            }
        }
    }

    /// How the body is framed, and whether the connection stays open after it.
    fn framing(&self, status: StatusCode) -> (Framing, bool) {
        let stays = self.after != After::Closed;
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // No body follows. A server that speaks of one may send it all the same.
            return (Framing::Over, stays && !self.is_chunked && self.length.unwrap_or(0) == 0);
        }
        match (self.is_chunked, self.length) {
            (true, _) => (Framing::Chunked(Chunks::default()), stays),
            (false, Some(length)) => (Framing::Length(length), stays),
            (false, None) => (Framing::ToTheEnd, false),
        }
    }
}

/// A number in digits alone: no sign, no space, no comma.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn what_is_wrong(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a header name that is none",
        httparse::Error::HeaderValue => "a header value that is none",
        httparse::Error::NewLine => "a line that does not end as lines do",
        httparse::Error::Status => "a status line that is none",
        httparse::Error::Token => "a head that is none",
        httparse::Error::TooManyHeaders => "too many headers",
        httparse::Error::Version => "a version other than HTTP/1.0 and HTTP/1.1",
    }
}
