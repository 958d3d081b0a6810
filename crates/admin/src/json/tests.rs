use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use http_body::Frame;
use tokio::time::Sleep;

use super::*;

#[derive(Debug, DeriveDeserialize)]
struct Outer {
    inner: Object<Inner>,
}
#[derive(Debug, DeriveDeserialize)]
struct Inner {
    #[serde(default)]
    number: Option<Whole>,
    #[serde(default)]
    word: Option<Word<domain::Unit>>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default, deserialize_with = "present")]
    nullable: Option<Option<String>>,
}

#[track_caller]
fn refused(body: &str) -> String {
    match parse::<Outer>(body.as_bytes()) {
        Err(Error::Invalid(message)) => message.into_owned(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_good_body_is_read_and_unknown_fields_are_ignored() {
    let body = br#"{"inner":{"number":7,"word":"DAY","text":"x","other":[{}]},"x":1}"#;
    let Outer { inner: Object(inner) } = parse(body).unwrap();
    assert_eq!(inner.number.unwrap().0, 7);
    assert_eq!(inner.word.unwrap().0, domain::Unit::Day);
    assert_eq!(&*inner.text.unwrap().0, "x");
}

#[test]
fn null_and_absent_can_be_told_apart() {
    let nullable = |body: &str| parse::<Outer>(body.as_bytes()).unwrap().inner.0.nullable;
    assert_eq!(nullable(r#"{"inner":{}}"#), None);
    assert_eq!(nullable(r#"{"inner":{"nullable":null}}"#), Some(None));
    assert_eq!(nullable(r#"{"inner":{"nullable":"x"}}"#), Some(Some("x".into())));
}

#[test]
fn what_is_wrong_is_said_by_name() {
    for (body, place) in [
        (r#"{"inner":{"number":1.5}}"#, "inner.number: "),
        (r#"{"inner":{"number":1e3}}"#, "inner.number: "),
        (r#"{"inner":{"number":"10"}}"#, "inner.number: "),
        (r#"{"inner":{"number":-1}}"#, "inner.number: "),
        (r#"{"inner":{"number":9223372036854775808}}"#, "inner.number: "),
        (r#"{"inner":{"number":18446744073709551616}}"#, "inner.number: "),
        (r#"{"inner":{"word":"day"}}"#, "inner.word: "),
        (r#"{"inner":{"word":{"DAY":null}}}"#, "inner.word: "),
        (r#"{"inner":{"text":""}}"#, "inner.text: "),
        (r#"{"inner":[1,"DAY"]}"#, "inner: "),
        (r#"{"inner":{"number":1,"number":2}}"#, "inner"),
        (r#"{}"#, "The body is not as expected: missing field `inner`"),
        (r#"[{}]"#, "The body is not as expected: "),
        (r#"null"#, "The body is not as expected: "),
    ] {
        let message = refused(body);
        assert!(message.starts_with(place), "{body}: {message}");
        assert!(!message.contains(" at line "), "{message}");
    }
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    for body in ["", "{", "{}x", "{} {}", "\u{feff}{}", "{'inner':{}}", r#"{"inner":{"text":"\ud800"}}"#] {
        refused(body);
    }
    assert!(parse::<Outer>(b"{\"inner\":{},\"x\":\"\xff\"}").is_err());
    let deep = format!(r#"{{"inner":{{}},"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(&deep).contains("128"));
}

/// A body that says something every now and then: how often is left, after how long each, and what.
struct Trickle {
    left: u32,
    every: Duration,
    piece: Bytes,
    wait: Pin<Box<Sleep>>,
}

impl Trickle {
    fn body(left: u32, every: Duration, piece: &'static [u8]) -> Body {
        let wait = Box::pin(tokio::time::sleep(every));
        Body::new(Self { left, every, piece: Bytes::from_static(piece), wait })
    }
}

impl HttpBody for Trickle {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.wait.as_mut().poll(cx));
        self.left -= 1;
        let next = Instant::now() + self.every;
        self.wait.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_come_slowly_but_not_as_slowly_as_it_likes() {
    let second = Duration::from_secs(1);
    let kib = &[b'x'; 1024];
    assert_eq!(read(Trickle::body(9, second, b"x"), 100).await.unwrap().len(), 9);
    assert_eq!(read(Trickle::body(60, second, kib), 1 << 20).await.unwrap().len(), 60 * 1024);
    let began = Instant::now();
    assert_eq!(read(Trickle::body(100, second, b"x"), 100).await, Err(Error::RequestTimeout));
    assert_eq!(began.elapsed(), 10 * second, "whoever says nothing to the point is not waited for longer");
    assert_eq!(read(Trickle::body(100, 2 * second, kib), 1 << 20).await, Err(Error::RequestTimeout));
}

#[tokio::test]
async fn a_body_has_a_longest_length() {
    let body = |length: usize| Body::from(vec![b'x'; length]);
    assert_eq!(read(body(100), 100).await.unwrap().len(), 100);
    assert_eq!(read(body(101), 100).await, Err(Error::PayloadTooLarge(100)));
}
