//! Where answers end (RFC 9112, section 6.3).

use super::*;

/// What comes of an answer whose server then says nothing more.
fn kept(answer: &str) -> (String, End) {
    let seen = exchange(&[answer.as_bytes()], Then::Waits);
    (String::from_utf8(seen.body).unwrap(), seen.end)
}

/// What comes of an answer whose server then closes.
fn closed(answer: &str) -> (String, End) {
    let seen = exchange(&[answer.as_bytes()], Then::Closes);
    (String::from_utf8(seen.body).unwrap(), seen.end)
}

fn whole(body: &str, end: End) -> (String, End) {
    (body.to_owned(), end)
}

#[test]
fn a_length_says_where_an_answer_ends() {
    let answer = |length, body| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    assert_eq!(kept(&answer("5", "hello")), whole("hello", End::Reusable));
    assert_eq!(kept(&answer("0", "")), whole("", End::Reusable));
    assert_eq!(kept(&answer("005", "hello")), whole("hello", End::Reusable));
    assert_eq!(kept(&answer("6", "hello")), whole("hello", End::Waiting));
    assert_eq!(closed(&answer("6", "hello")), whole("hello", End::Fault("closed within the answer".into())));
    assert_eq!(kept(&answer("18446744073709551615", "hello")), whole("hello", End::Waiting));
}

#[test]
fn the_same_length_twice_is_one_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(kept(answer), whole("hello", End::Reusable));
}

#[test]
fn chunks_say_where_an_answer_ends() {
    let answer = |chunks| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    for chunks in [
        "5\r\nhello\r\n0\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "005\r\nhello\r\n000\r\n\r\n",
        "5;name=value;more=\"quoted\"\r\nhello\r\n0;last\r\n\r\n",
        "5  \r\nhello\r\n0 \t\r\n\r\n",
        "5 ;x\r\nhello\r\n0\r\nTrailer: value\r\nAnother: one\r\n\r\n",
    ] {
        assert_eq!(kept(&answer(chunks)), whole("hello", End::Reusable), "{chunks:?}");
    }
    assert_eq!(kept(&answer("0\r\n\r\n")), whole("", End::Reusable));
    assert_eq!(kept(&answer("A\r\n0123456789\r\n0\r\n\r\n")), whole("0123456789", End::Reusable));
    let cut = End::Fault("closed within the answer".into());
    for chunks in ["5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nTrailer: v\r\n"]
    {
        assert_eq!(kept(&answer(chunks)), whole("hello", End::Waiting), "{chunks:?}");
        assert_eq!(closed(&answer(chunks)).1, cut, "{chunks:?}");
    }
}

#[test]
fn without_either_an_answer_ends_with_its_connection() {
    let answer = "HTTP/1.1 200 OK\r\n\r\nhello";
    assert_eq!(kept(answer), whole("hello", End::Waiting));
    assert_eq!(closed(answer), whole("hello", End::Spent));
    assert_eq!(closed("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello"), whole("hello", End::Spent));
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    assert_eq!(kept("HTTP/1.1 204 No Content\r\n\r\n"), whole("", End::Reusable));
    assert_eq!(kept("HTTP/1.1 304 Not Modified\r\n\r\n"), whole("", End::Reusable));
    assert_eq!(kept("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), whole("", End::Reusable));
    // Where they speak of one, it may be on its way.
    assert_eq!(kept("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), whole("", End::Spent));
    assert_eq!(
        kept("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        whole("", End::Spent)
    );
}

#[test]
fn a_connection_stays_open_as_its_version_has_it_or_as_its_server_says() {
    let end = |head: &str| kept(&format!("{head}\r\nContent-Length: 0\r\n\r\n")).1;
    assert_eq!(end("HTTP/1.1 200 OK"), End::Reusable);
    assert_eq!(end("HTTP/1.1 200 OK\r\nConnection: close"), End::Spent);
    assert_eq!(end("HTTP/1.1 200 OK\r\nConnection: x, CLOSE"), End::Spent);
    assert_eq!(end("HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive"), End::Spent);
    assert_eq!(end("HTTP/1.1 200 OK\r\nConnection: keep-alive, close"), End::Spent);
    assert_eq!(end("HTTP/1.0 200 OK"), End::Spent);
    assert_eq!(end("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"), End::Reusable);
}

#[test]
fn what_comes_after_an_answer_belongs_to_none_and_ends_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n0",
    ] {
        assert_eq!(kept(answer), whole("ok", End::Spent), "{answer:?}");
    }
}

#[test]
fn what_comes_between_answers_shows_before_the_next_request() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_slice();
    let mut quiet = connection(&[answer], Then::Waits);
    quiet.begin(request());
    assert_eq!((outcome(&mut quiet).end, quiet.is_quiet()), (End::Reusable, true));
    let mut stray = connection(&[answer, b"HTTP/1.1 200 OK\r\n"], Then::Waits);
    stray.begin(request());
    assert_eq!((outcome(&mut stray).end, stray.is_quiet()), (End::Reusable, false));
    let mut closed = connection(&[answer], Then::Closes);
    closed.begin(request());
    assert_eq!((outcome(&mut closed).end, closed.is_quiet()), (End::Reusable, false));
}

#[test]
fn informational_answers_are_read_over() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 7\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(kept(answer), whole("ok", End::Reusable));
    assert_eq!(kept("HTTP/1.1 100 Continue\r\n\r\n").1, End::Waiting);
}

#[test]
fn the_end_is_known_with_the_last_piece_where_it_came_with_it() {
    let cx = &mut Context::from_waker(Waker::noop());
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let mut connection = connection(&[answer], Then::Waits);
    connection.begin(request());
    assert!(matches!(connection.poll_answer(cx), Poll::Ready(Ok(_))));
    assert_eq!((connection.is_over(), connection.announced()), (false, None));
    assert!(matches!(connection.poll_data(cx), Poll::Ready(Some(Ok(data))) if *data == *b"ok"));
    assert!(connection.is_over());
}

#[test]
fn headers_that_are_asked_for_are_kept_whatever_their_case_and_number_and_others_are_not() {
    let cx = &mut Context::from_waker(Waker::noop());
    let answer = b"HTTP/1.1 429 Slow\r\nRETRY-after: 7 \r\nx-other: 1\r\nContent-Type:text/plain\r\n\
                   content-type: b\r\nretry-after: 8\r\ncontent-length: 0\r\n\r\n";
    let mut connection = connection(&[answer], Then::Waits);
    connection.begin(request());
    let Poll::Ready(Ok(head)) = connection.poll_answer(cx) else { panic!("an answer came") };
    assert_eq!(head.get(&http::header::RETRY_AFTER).unwrap(), "7");
    assert_eq!(head.get(&HeaderName::from_static("x-other")), None);
    let all: Vec<_> = head.into_headers().map(|(name, value)| format!("{name}: {value:?}")).collect();
    assert_eq!(
        all,
        ["content-type: \"text/plain\"", "retry-after: \"7\"", "content-type: \"b\"", "retry-after: \"8\""]
    );
}

#[test]
fn a_connection_that_waits_holds_no_memory_for_answers() {
    let body = "x".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}");
    let mut connection = connection(&[answer.as_bytes()], Then::Waits);
    connection.begin(request());
    assert_eq!(outcome(&mut connection).end, End::Reusable);
    assert_eq!(connection.buffer.bytes().capacity(), 0);
}
