//! How a connection ends: with a last word where one is owed, and so that the caller can read it.
//!
//! A socket that is closed while bytes of its caller are unread resets the connection, and the answer with it. So our
//! side is closed first, and what still comes is read and thrown away, for a little while.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::say;

/// How long parting may take in all.
const PARTING_MAX: Duration = Duration::from_secs(5);
/// How much of a caller that goes on sending is thrown away. Many clients send all of a body before they read.
const DISCARDED_MAX: usize = 64 * 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// Why a connection ends whose caller never got a request across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWord {
    /// What came is no request.
    NoRequest,
    /// The header section did not come to its end in time.
    Slow,
    /// The header section is too long, or has too many fields.
    TooLarge,
}

impl LastWord {
    fn render(self) -> String {
        let (status, code, message) = match self {
            Self::NoRequest => (
                "400 Bad Request",
                "invalid_request",
                "What was sent is not an HTTP/1.1 request; check its request line and headers.",
            ),
            Self::Slow => (
                "408 Request Timeout",
                "request_timeout",
                "The header of the request did not arrive in time; send it again, faster.",
            ),
            Self::TooLarge => (
                "431 Request Header Fields Too Large",
                "headers_too_large",
                "The header of the request is longer than 64 KiB or has more than 100 fields; send a smaller one.",
            ),
        };
        let body = say::error(code, message);
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
    }
}

/// Says the last word and parts.
pub(super) async fn tell<S: AsyncRead + AsyncWrite + Unpin>(word: LastWord, mut stream: S) {
    let said = timeout(PARTING_MAX, stream.write_all(word.render().as_bytes())).await;
    if matches!(said, Ok(Ok(()))) {
        part(stream).await;
    }
}

/// Parts from a caller who may still be sending, and should be able to read what was said.
pub(super) async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let parting = async {
        stream.shutdown().await?;
        discard(&mut stream).await
    };
    // However it goes, the connection ends here.
    let _ = timeout(PARTING_MAX, parting).await;
}

/// Closes a connection on which nothing is left unread.
pub(super) async fn close<S: AsyncWrite + Unpin>(mut stream: S) {
    // With TLS there is a word to send, which a caller who takes nothing must not hold up.
    let _ = timeout(PARTING_MAX, stream.shutdown()).await;
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let mut discarded = 0;
    let mut piece = Vec::with_capacity(PIECE);
    while discarded < DISCARDED_MAX {
        piece.clear();
        match stream.read_buf(&mut piece).await? {
            0 => return Ok(()),
            read => discarded += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_word_is_a_whole_answer_with_a_json_body_of_its_length() {
        for word in [LastWord::NoRequest, LastWord::Slow, LastWord::TooLarge] {
            let text = word.render();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["error"]["type"], "invalid_request_error");
        }
    }
}
