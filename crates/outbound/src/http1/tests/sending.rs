//! How requests go out, and what becomes of them when they cannot.

use std::sync::Arc;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";

/// A long request, and the bytes it should come to.
fn long(pieces: usize) -> (Request, Vec<u8>) {
    let body: Vec<Bytes> = (0..pieces).map(|piece| Bytes::from(format!("<{piece}>"))).collect();
    let text: String = body.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    let opening = Opening::new(&HeaderValue::from_static("models.test:8000"), &[]);
    let head = "POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: models.test:8000\r\n";
    let path = PathAndQuery::from_static("/v1/chat/completions?x=1");
    (
        opening.post(&path).with_body(body),
        format!("{head}content-length: {}\r\n\r\n{text}", text.len()).into(),
    )
}

fn server(takes_at_once: usize) -> Server {
    Server { takes_at_once: Some(takes_at_once), sends: [ANSWER.to_vec()].into(), ..Server::default() }
}

#[test]
fn a_request_is_written_once_and_whole_however_little_is_taken_at_once() {
    for pieces in [0, 1, 2, 15, 16, 17, 100] {
        for takes_at_once in [1, 2, 3, 7, 100, 100_000] {
            let (request, bytes) = long(pieces);
            let mut connection = Connection::new(server(takes_at_once), &WANTED);
            connection.begin(request);
            assert_eq!(outcome(&mut connection).end, End::Reusable);
            assert!(connection.stream.taken == bytes, "{pieces} pieces, {takes_at_once} at once");
        }
    }
}

#[test]
fn pieces_that_are_empty_are_no_end() {
    let opening = Opening::new(&HeaderValue::from_static("h"), &[]);
    let body = [b"".as_slice(), b"a", b"", b"b", b""].map(Bytes::from_static).to_vec();
    let mut connection = Connection::new(server(1), &WANTED);
    connection.begin(opening.post(&PathAndQuery::from_static("/")).with_body(body));
    assert_eq!(outcome(&mut connection).end, End::Reusable);
    assert!(connection.stream.taken.ends_with(b"content-length: 2\r\n\r\nab"));
}

#[test]
fn what_says_where_a_request_goes_and_ends_is_written_once_whoever_says_it() {
    let value = HeaderValue::from_static("chunked");
    let common = [
        (http::header::AUTHORIZATION, HeaderValue::from_static("Bearer x")),
        (http::header::HOST, value.clone()),
    ];
    let opening = Opening::new(&HeaderValue::from_static("h"), &common);
    let mut draft = opening.post(&PathAndQuery::from_static("/"));
    draft.header(&http::header::CONTENT_LENGTH, &value);
    draft.header(&http::header::TRANSFER_ENCODING, &value);
    draft.header(&http::header::CONNECTION, &value);
    draft.header(&http::header::ACCEPT, &value);
    let mut connection = Connection::new(server(100), &WANTED);
    connection.begin(draft.with_body(Vec::new()));
    assert_eq!(outcome(&mut connection).end, End::Reusable);
    let text = "POST / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer x\r\naccept: chunked\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(String::from_utf8(std::mem::take(&mut connection.stream.taken)).unwrap(), text);
}

#[test]
fn a_server_that_answers_and_takes_no_more_is_heard_and_its_connection_spent() {
    let mut connection = Connection::new(Server { takes: Some(100), ..server(10) }, &WANTED);
    connection.begin(long(100).0);
    let seen = outcome(&mut connection);
    assert_eq!((seen.status, &*seen.body, seen.end), (413, b"no".as_slice(), End::Spent));
    assert_eq!(connection.stream.taken.len(), 100);
}

#[test]
fn a_server_that_answers_and_goes_is_heard_too() {
    let server = Server { takes: Some(100), is_gone: true, closes: true, ..server(10) };
    let mut connection = Connection::new(server, &WANTED);
    connection.begin(long(100).0);
    assert_eq!(
        outcome(&mut connection),
        Seen { status: 413, content_type: None, body: b"no".into(), end: End::Spent }
    );
}

#[test]
fn what_a_server_said_before_it_went_is_heard_though_it_arrives_later() {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut connection =
        Connection::new(Server { takes: Some(100), is_gone: true, ..Server::default() }, &WANTED);
    connection.begin(long(100).0);
    assert!(connection.poll_answer(cx).is_pending());
    connection.stream.sends.push_back(ANSWER.to_vec());
    let seen = outcome(&mut connection);
    assert_eq!((seen.status, &*seen.body, seen.end), (413, b"no".as_slice(), End::Spent));
}

#[test]
fn a_server_that_goes_without_a_word_is_a_fault_and_what_was_begun_is_not_sent_again() {
    for (takes, unsent) in [(0, true), (1, false), (100, false)] {
        let gone = Server { takes: Some(takes), is_gone: true, closes: true, ..Server::default() };
        let mut connection = Connection::new(gone, &WANTED);
        connection.begin(long(100).0);
        let End::Fault(fault) = outcome(&mut connection).end else { panic!("it is gone") };
        assert!(fault.starts_with("the request could not be sent: "), "{fault}");
        assert_eq!(connection.take_unsent().is_some(), unsent, "{takes} bytes were taken");
    }
}

#[test]
fn what_was_not_sent_is_whole() {
    let (request, bytes) = long(20);
    let mut gone = Connection::new(Server { takes: Some(0), is_gone: true, ..Server::default() }, &WANTED);
    gone.begin(request);
    assert!(matches!(outcome(&mut gone).end, End::Fault(_)));
    let mut connection = Connection::new(server(1_000), &WANTED);
    connection.begin(gone.take_unsent().unwrap());
    assert_eq!(outcome(&mut connection).end, End::Reusable);
    assert!(connection.stream.taken == bytes);
}

#[test]
fn pieces_that_are_out_are_held_no_longer() {
    let held: Arc<[u8]> = Arc::from(*b"0123456789");
    let piece = || Bytes::from_owner(Arc::clone(&held));
    let opening = Opening::new(&HeaderValue::from_static("h"), &[]);
    let request = opening.post(&PathAndQuery::from_static("/")).with_body(vec![piece(), piece(), piece()]);
    let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 30\r\n\r\n".len();
    let mut connection = Connection::new(Server { takes: Some(head + 25), ..Server::default() }, &WANTED);
    connection.begin(request);
    assert_eq!(outcome(&mut connection).end, End::Waiting);
    assert_eq!(Arc::strong_count(&held), 2, "the third is half out");
}

#[test]
fn small_requests_go_out_in_one_write() {
    let mut connection = connection(&[ANSWER], Then::Waits);
    connection.begin(request());
    assert_eq!(outcome(&mut connection).end, End::Reusable);
    assert_eq!(connection.stream.writes, 1);
}

#[test]
fn nothing_of_a_request_or_an_answer_is_shown() {
    let secret = [(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-1"))];
    let opening = Opening::new(&HeaderValue::from_static("h"), &secret);
    let draft = opening.post(&PathAndQuery::from_static("/"));
    let shown = format!("{opening:?} {draft:?}");
    let request = draft.with_body(vec![Bytes::from_static(b"my prompt")]);
    let shown = format!("{shown} {request:?}");
    let mut connection = connection(&[b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"], Then::Waits);
    connection.begin(request);
    let _ = connection.poll_answer(&mut Context::from_waker(Waker::noop()));
    let shown = format!("{shown} {connection:?}");
    assert!(!shown.contains("sk-1") && !shown.contains("prompt") && !shown.contains("answer"), "{shown}");
}
