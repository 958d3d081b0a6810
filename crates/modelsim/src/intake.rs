//! A request body as it comes in: read to its end, held only in part.
//!
//! A body of up to [`KEPT_LEN_MAX`] is kept as it is. Of a longer one its first bytes are kept, and, for
//! reading the request, its short top-level members: what is long is a prompt, and no prompt changes an answer.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The largest request body that is read.
const BODY_LEN_MAX: u64 = 1 << 30;
/// The most that is kept of a body.
const KEPT_LEN_MAX: usize = 4 << 20;
/// The most that the short members of a longer body hold together.
const MEMBERS_LEN_MAX: usize = 1 << 20;
/// Members longer than this are left out of a body that is not kept whole.
const MEMBER_LEN_MAX: usize = 64 << 10;
/// How much of a long string is skipped at once.
const SKIP_LEN: usize = 4096;

/// A body that was read to its end.
#[derive(Default)]
pub(crate) struct Received {
    /// Its first bytes.
    pub(crate) start: Bytes,
    /// Its length in bytes as it came.
    pub(crate) len: u64,
    /// Of a body that is longer than what is kept of it.
    sieve: Option<Sieve>,
}

/// The body is too large, or did not come to its end.
pub(crate) struct Unread;

/// Lets the short members of a JSON object through. It does not check what it leaves out.
#[derive(Default)]
struct Sieve {
    depth: usize,
    place: Place,
    /// The member that is being read, as long as it is short.
    member: Vec<u8>,
    overlong: bool,
    kept: Vec<u8>,
    closed: bool,
}

/// Where the next byte is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Structure,
    Text,
    /// Behind a backslash.
    Escape,
}

impl Received {
    pub(crate) async fn read(mut body: Incoming) -> Result<Received, Unread> {
        let mut received = Received::default();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|_| Unread)?.into_data() {
                received.push(data);
            }
            if received.len > BODY_LEN_MAX {
                return Err(Unread);
            }
        }
        Ok(received)
    }

    /// The request as JSON, without its long members where the body is long.
    pub(crate) fn json(&self) -> Bytes {
        self.sieve.as_ref().map_or_else(|| self.start.clone(), Sieve::json)
    }

    fn push(&mut self, data: Bytes) {
        self.len += data.len() as u64;
        if let Some(sieve) = &mut self.sieve {
            return sieve.push(&data);
        }
        self.start = joined(std::mem::take(&mut self.start), data);
        if self.start.len() > KEPT_LEN_MAX {
            self.sieve.insert(Sieve::default()).push(&self.start);
            // A copy, because a slice would hold the rest too.
            self.start = Bytes::copy_from_slice(&self.start[..KEPT_LEN_MAX]);
        }
    }
}

impl Sieve {
    fn push(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(SKIP_LEN) {
            let skips = self.overlong && self.place == Place::Text;
            if !skips || chunk.contains(&b'"') || chunk.contains(&b'\\') {
                chunk.iter().for_each(|&byte| self.byte(byte));
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        match (self.place, byte) {
            (Place::Escape, _) => self.place = Place::Text,
            (Place::Text, b'\\') => self.place = Place::Escape,
            (Place::Text, b'"') => self.place = Place::Structure,
            (Place::Text, _) => (),
            (Place::Structure, b'"') => self.place = Place::Text,
            (Place::Structure, b'{' | b'[') => return self.open(byte),
            (Place::Structure, b'}' | b']') => return self.close(byte),
            (Place::Structure, b',') if self.depth == 1 => return self.end_member(),
            (Place::Structure, _) => (),
        }
        self.hold(byte);
    }

    fn open(&mut self, byte: u8) {
        // The brace around everything is no part of a member.
        if self.depth > 0 {
            self.hold(byte);
        }
        self.depth += 1;
    }

    fn close(&mut self, byte: u8) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth > 0 {
            return self.hold(byte);
        }
        self.closed = true;
        self.end_member();
    }

    fn hold(&mut self, byte: u8) {
        if self.overlong {
            return;
        }
        self.member.push(byte);
        if self.member.len() > MEMBER_LEN_MAX {
            self.overlong = true;
            self.member.clear();
        }
    }

    fn end_member(&mut self) {
        let fits = self.kept.len() + self.member.len() < MEMBERS_LEN_MAX;
        if !self.overlong && fits && !self.member.trim_ascii().is_empty() {
            if !self.kept.is_empty() {
                self.kept.push(b',');
            }
            self.kept.extend_from_slice(&self.member);
        }
        self.member.clear();
        self.overlong = false;
    }

    /// Empty where the object did not end.
    fn json(&self) -> Bytes {
        if !self.closed {
            return Bytes::new();
        }
        [b"{", self.kept.as_slice(), b"}"].concat().into()
    }
}

fn joined(start: Bytes, more: Bytes) -> Bytes {
    if start.is_empty() {
        return more;
    }
    // Nobody else holds the start, so that this extends it in place.
    let mut start = BytesMut::from(start);
    start.extend_from_slice(&more);
    start.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn long(piece: &str) -> String {
        let prompt = piece.repeat(2 * KEPT_LEN_MAX / piece.len());
        format!(r#" {{ "stream" : true, "messages":[{{"content":"{prompt}"}}], "model":"a\"}},b", "n":1}} "#)
    }

    fn received(body: &str, frame: usize) -> Received {
        let mut received = Received::default();
        for data in body.as_bytes().chunks(frame) {
            received.push(Bytes::copy_from_slice(data));
        }
        received
    }

    #[test]
    fn a_short_body_is_kept_as_it_is() {
        let body = r#"{"model":"m","stream":true}"#;
        let received = received(body, 5);
        assert_eq!((received.len, &received.start[..]), (27, body.as_bytes()));
        assert_eq!(received.json(), received.start);
    }

    #[test]
    fn a_long_body_loses_its_long_members_and_nothing_else() {
        for piece in ["x", r#"\"}],{"#, r"\\", "é, ["] {
            let body = long(piece);
            for frame in [SKIP_LEN - 1, 100_003, body.len()] {
                let received = received(&body, frame);
                let read: Value = serde_json::from_slice(&received.json()).unwrap();
                assert_eq!(read, json!({"stream": true, "model": "a\"},b", "n": 1}), "{piece} by {frame}");
                assert_eq!(received.len, body.len() as u64);
                assert_eq!(received.start, body.as_bytes()[..KEPT_LEN_MAX]);
            }
        }
    }

    #[test]
    fn many_short_members_are_held_only_up_to_the_bound() {
        let members = (0..400_000).map(|n| format!(r#""k{n}":"{}""#, "v".repeat(10))).collect::<Vec<_>>();
        let received = received(&format!("{{{}}}", members.join(",")), 65_536);
        assert!(received.json().len() <= MEMBERS_LEN_MAX + 2);
        assert!(serde_json::from_slice::<Value>(&received.json()).is_ok());
    }

    #[test]
    fn a_long_body_that_does_not_end_is_no_request() {
        let body = long("x");
        assert!(received(&body[..body.len() - 3], 65_536).json().is_empty());
    }
}
