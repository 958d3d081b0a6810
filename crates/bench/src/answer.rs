//! Reads an HTTP answer as it comes, by hand: status, length, and when the first token was there.
//!
//! Only as right as it has to be for the servers that are compared: HTTP/1.1, a length or chunks, one answer at a time.
//! What it does not understand is an error, never a guess. Knows nothing of sockets. Begins at [`Answer::feed`].

use anyhow::{Context, bail, ensure};
use memchr::memmem;

/// Longest head of an answer.
const HEAD_MAX: usize = 16 << 10;
/// How far into an answer its first token is looked for.
const OPENING_MAX: usize = 4 << 10;
const CONTENT: &[u8] = br#""content":""#;

/// An answer that is being read.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of its body so far, without the framing.
    pub(crate) len: usize,
    /// Whether a piece of content, not an empty one, was among them.
    pub(crate) has_token: bool,
    at: At,
    /// What has come of the head, and then of the body until its first token.
    opening: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    /// Of a body whose length was said.
    Body(usize),
    /// The line with a chunk's length, as far as it was read.
    ChunkLen(usize),
    /// What a semicolon begins, up to the line's end.
    ChunkExtension(usize),
    Chunk(usize),
    /// The line end behind a chunk.
    ChunkEnd,
    /// The line behind the last chunk; whether it is empty so far.
    Trailer {
        empty: bool,
    },
    End,
}

impl Answer {
    /// Ready for the next one; keeps its buffer.
    pub(crate) fn reset(&mut self) {
        let mut opening = std::mem::take(&mut self.opening);
        opening.clear();
        *self = Answer { opening, ..Answer::default() };
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.at == At::End
    }

    /// Takes what was read. Fails on what is no answer, or more than one.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let taken = match self.at {
                At::Head => self.head(bytes)?,
                At::Body(left) | At::Chunk(left) => self.body(bytes, left),
                At::End => bail!("bytes came behind an answer"),
                At::ChunkLen(_) | At::ChunkExtension(_) | At::ChunkEnd | At::Trailer { .. } => {
                    self.framing(bytes[0])?;
                    1
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Returns how much of it belongs to the head.
    fn head(&mut self, bytes: &[u8]) -> anyhow::Result<usize> {
        let before = self.opening.len();
        self.opening.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.opening, b"\r\n\r\n") else {
            ensure!(self.opening.len() < HEAD_MAX, "the head of an answer does not end");
            return Ok(bytes.len());
        };
        let head = std::str::from_utf8(&self.opening[..end]).context("a head that is no text")?;
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
        self.status = status.context("no status line")?.parse()?;
        self.at = framing_of(lines)?;
        self.opening.clear();
        Ok(end + 4 - before)
    }

    fn body(&mut self, bytes: &[u8], left: usize) -> usize {
        let taken = left.min(bytes.len());
        self.len += taken;
        self.look_for_token(&bytes[..taken]);
        self.at = match (self.at, left - taken) {
            (At::Chunk(_), 0) => At::ChunkEnd,
            (At::Chunk(_), left) => At::Chunk(left),
            (_, 0) => At::End,
            (_, left) => At::Body(left),
        };
        taken
    }

    fn look_for_token(&mut self, bytes: &[u8]) {
        if self.has_token || self.opening.len() > OPENING_MAX {
            return;
        }
        self.opening.extend_from_slice(bytes);
        let after = |at| self.opening.get(at + CONTENT.len());
        self.has_token =
            memmem::find_iter(&self.opening, CONTENT).any(|at| after(at).is_some_and(|next| *next != b'"'));
    }

    fn framing(&mut self, byte: u8) -> anyhow::Result<()> {
        self.at = match (self.at, byte) {
            (At::ChunkLen(0) | At::ChunkExtension(0), b'\n') => At::Trailer { empty: true },
            (At::ChunkLen(len) | At::ChunkExtension(len), b'\n') => At::Chunk(len),
            (At::ChunkLen(len), b'\r') => At::ChunkLen(len),
            (At::ChunkLen(len), b';') => At::ChunkExtension(len),
            (At::ChunkLen(len), digit) => {
                let digit = char::from(digit).to_digit(16).context("a chunk without a length")?;
                let len = len.checked_mul(16).context("a chunk too long")?;
                At::ChunkLen(len + usize::try_from(digit)?)
            }
            (At::ChunkEnd, b'\n') => At::ChunkLen(0),
            (At::ChunkEnd, b'\r') => At::ChunkEnd,
            (At::ChunkEnd, _) => bail!("a chunk is longer than it said"),
            (At::Trailer { empty: true }, b'\n') => At::End,
            (At::Trailer { .. }, b'\n') => At::Trailer { empty: true },
            (At::Trailer { empty }, b'\r') => At::Trailer { empty },
            (At::Trailer { .. }, _) => At::Trailer { empty: false },
            (at @ (At::Head | At::Body(_) | At::Chunk(_) | At::ChunkExtension(_) | At::End), _) => at,
        };
        Ok(())
    }
}

fn framing_of<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<At> {
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(match value.trim().parse()? {
                0 => At::End,
                len => At::Body(len),
            });
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            ensure!(value.trim().eq_ignore_ascii_case("chunked"), "an encoding that is not chunked");
            return Ok(At::ChunkLen(0));
        }
    }
    bail!("an answer that does not say where it ends")
}

#[cfg(test)]
mod tests {
    use super::Answer;

    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\n\r\n\
        b;x=y\r\n{\"content\":\r\n4\r\n\"\"}\n\r\n10\r\n{\"content\":\"hi\"}\r\n0\r\nX-Y: z\r\n\r\n";

    #[test]
    fn an_answer_is_the_same_wherever_it_is_cut() {
        for (text, status, len, has_token) in [(WHOLE, 200, 5, false), (CHUNKED, 429, 31, true)] {
            for cut in 0..text.len() {
                let mut answer = Answer::default();
                let (one, two) = text.as_bytes().split_at(cut);
                answer.feed(one).unwrap();
                assert!(!answer.is_complete());
                answer.feed(two).unwrap();
                assert!(answer.is_complete(), "cut at {cut}");
                assert_eq!((answer.status, answer.len, answer.has_token), (status, len, has_token));
            }
        }
    }

    #[test]
    fn a_token_is_content_that_is_not_empty() {
        let mut answer = Answer::default();
        answer.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"content\":\"\"}").unwrap();
        assert!(!answer.has_token);
        answer.feed(b"{\"content\":\"").unwrap();
        assert!(!answer.has_token);
        answer.feed(b"a").unwrap();
        assert!(answer.has_token);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for wrong in [
            "SSH-2.0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab".to_owned(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n".to_owned(),
            format!("{WHOLE}!"),
        ] {
            assert!(Answer::default().feed(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_reader_takes_one_answer_after_the_other() {
        let mut answer = Answer::default();
        for text in [CHUNKED, WHOLE, CHUNKED] {
            answer.reset();
            answer.feed(text.as_bytes()).unwrap();
            assert!(answer.is_complete());
        }
        assert_eq!((answer.status, answer.len), (429, 31));
    }
}
