//! Answers that are refused: those that are none, and those whose end two readers could see in two places.

use super::*;

fn fault(answer: &[u8]) -> String {
    match exchange(&[answer], Then::Closes).end {
        End::Fault(fault) => fault,
        end @ (End::Reusable | End::Spent | End::Waiting) => {
            panic!("{:?} ended as {end:?}", String::from_utf8_lossy(answer))
        }
    }
}

/// An answer that begins well and then has these headers.
fn headers(headers: &str) -> String {
    fault(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nhello").as_bytes())
}

#[test]
fn a_length_that_could_be_read_in_two_ways_is_refused() {
    for length in [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5,5",
        "5, 5",
        "5;",
        "5.0",
        "5e0",
        "five",
        "",
        "\u{0665}",
        "5\t5",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        assert!(
            headers(&format!("Content-Length: {length}")).ends_with("a length that is none"),
            "{length:?}"
        );
    }
    assert!(headers("Content-Length: 5\r\nContent-Length: 6").ends_with("two lengths"));
    assert!(headers("Content-Length: 5\r\nContent-Length:").ends_with("a length that is none"));
}

#[test]
fn a_length_beside_a_transfer_coding_is_refused_in_either_order() {
    let (length, chunked) = ("Content-Length: 5", "Transfer-Encoding: chunked");
    for both in [format!("{length}\r\n{chunked}"), format!("{chunked}\r\n{length}")] {
        assert!(headers(&both).ends_with("both a length and a transfer coding"), "{both}");
    }
}

#[test]
fn any_transfer_coding_but_chunked_alone_is_refused() {
    for coding in [
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;q=1",
        "xchunked",
        "chunked,",
        ", chunked",
        "chun ked",
        "\"chunked\"",
        "chunked\u{0b}",
        "",
    ] {
        let fault = headers(&format!("Transfer-Encoding: {coding}"));
        let is_refused =
            fault.ends_with("other than chunked") || fault.ends_with("a header value that is none");
        assert!(is_refused, "{coding:?}: {fault}");
    }
    let twice = headers("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    assert!(twice.ends_with("a transfer coding other than chunked"));
    let old = fault(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(old.ends_with("a transfer coding in HTTP/1.0"), "{old}");
}

#[test]
fn names_and_lines_that_other_readers_take_for_something_else_are_refused() {
    for line in [
        "Content-Length : 5",
        " Content-Length: 5",
        "X: 1\r\n Content-Length: 5",
        "X: 1\r\n\tfolded",
        "Content-Length\u{0}: 5",
        "X: a\u{0}b",
        "X: a\rContent-Length: 5",
        "Content-Length",
        ": 5",
    ] {
        assert!(headers(line).starts_with("not an HTTP answer: "), "{line:?}");
    }
}

#[test]
fn what_is_no_head_is_refused_as_soon_as_that_is_seen() {
    for text in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "<html>",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "\n",
        "http/1.1 200 OK\r\n\r\n",
    ] {
        let seen = exchange(&[text.as_bytes()], Then::Waits);
        assert!(matches!(seen.end, End::Fault(_)), "{text:?}: {seen:?}");
    }
}

#[test]
fn an_end_before_an_answer_and_an_end_within_its_head_are_told_apart() {
    assert_eq!(fault(b""), "closed before an answer");
    assert_eq!(fault(b"HTTP/1.1 200 OK\r\nContent-"), "closed within the answer");
    assert_eq!(fault(b"HTTP/1.1 100 Continue\r\n\r\n"), "closed before an answer");
}

#[test]
fn a_head_has_bounds() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(HEAD_MAX));
    assert!(fault(long.as_bytes()).ends_with("a head that is too long"));
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2 * HEAD_MAX));
    assert!(fault(endless.as_bytes()).ends_with("a head that is too long"));
    let many = "X: 1\r\n".repeat(101);
    assert!(fault(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes()).ends_with("too many headers"));
    let as_many_as_may_be = "X: 1\r\n".repeat(99);
    let seen = exchange(
        &[format!("HTTP/1.1 200 OK\r\n{as_many_as_may_be}Content-Length: 0\r\n\r\n").as_bytes()],
        Then::Waits,
    );
    assert_eq!(seen.end, End::Reusable);
}

#[test]
fn informational_answers_have_a_bound_and_change_no_protocol() {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        exchange(&[format!("{}{answer}", hints.repeat(8)).as_bytes()], Then::Waits).end,
        End::Reusable
    );
    let nine = format!("{}{answer}", hints.repeat(9));
    assert!(fault(nine.as_bytes()).ends_with("too many informational answers"));
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    assert!(fault(upgrade).ends_with("a change of protocol that nobody asked for"));
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    for chunks in [
        "\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "g\r\n",
        ";x\r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a\u{0}\r\nhello\r\n",
        "5\r\r\nhello\r\n",
        "10000000000000000\r\n",
        "00000000000000005\r\nhello\r\n",
        "fffffffffffffffff\r\nx",
        "5\u{b}\r\nhello\r\n",
    ] {
        let fault =
            fault(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes());
        assert!(fault.starts_with("not an HTTP answer: "), "{chunks:?}: {fault}");
    }
}

#[test]
fn what_chunks_carry_beside_data_has_bounds() {
    let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let long = chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5_000)));
    assert!(fault(long.as_bytes()).ends_with("a line that is too long"));
    let endless = chunked(&"5".repeat(5_000));
    assert!(fault(endless.as_bytes()).ends_with("a line that is too long"));
    let many = chunked(&format!("1;{}\r\nx\r\n", "x".repeat(1_000)).repeat(20));
    assert!(fault(many.as_bytes()).ends_with("than anybody needs"));
    let trailers = chunked(&format!("0\r\n{}", format!("T: {}\r\n", "x".repeat(1_000)).repeat(20)));
    assert!(fault(trailers.as_bytes()).ends_with("than anybody needs"));
    let padded = chunked(&format!("{}0\r\n\r\n", format!("1{}\r\nx\r\n", " ".repeat(100)).repeat(1_000)));
    assert_eq!(exchange(&[padded.as_bytes()], Then::Waits).end, End::Reusable, "spaces are nothing to carry");
}

#[test]
fn an_answer_that_came_before_its_request_is_none() {
    let server = Server {
        sends: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_vec()].into(),
        takes: Some(0),
        ..Server::default()
    };
    let mut connection = Connection::new(server, &WANTED);
    connection.begin(request());
    let end = outcome(&mut connection).end;
    assert_eq!(end, End::Fault("not an HTTP answer: an answer before a request".into()));
    assert!(connection.take_unsent().is_some(), "it may go out elsewhere");
}
