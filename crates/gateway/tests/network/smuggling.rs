//! Published ways of hiding one request in another (CL.TE, TE.CL, TE.TE and their kin). Each goes byte for byte to a real
//! gateway with a model server behind it. What is asserted of all: no byte of a body is taken for a request, by us or by
//! the model server, and a connection does not go on after a doubt that can be seen.
//!
//! A hidden request is a whole, valid call with a valid key, so that it would be served if anybody took it for one.

use testkit::Gateway;

use crate::support::*;

const HIDDEN: &str = "the-hidden-call";

/// What a row of bytes comes to.
enum Comes {
    /// One answer with this status, and the connection ends with it.
    Once(u16),
    /// One answer with this status. Whether the connection goes on is all the same: nothing was in doubt.
    OnceAtEase(u16),
    /// Both are requests by every reading, and both are answered.
    Twice,
    /// No call: its end never comes, and its caller leaves.
    Nothing,
}
use Comes::{Nothing, Once, OnceAtEase, Twice};

struct Pieces {
    /// Request line, host and credential of a call; to be followed by more header lines.
    start: String,
    /// The body of the open call.
    open: String,
    /// A whole hidden request.
    hidden: String,
}

impl Pieces {
    fn new(key: &str) -> Self {
        let hidden = chat().replace("Say hello.", HIDDEN);
        let start = head(key, "");
        let start = start.strip_suffix("\r\n").unwrap().to_owned();
        Self { start, open: chat(), hidden: call(key, &hidden) }
    }

    /// The open call with these header lines, and behind the empty line this.
    fn with(&self, lines: &str, rest: &str) -> String {
        format!("{}{lines}\r\n{rest}", self.start)
    }

    /// The open call's body in chunks.
    fn chunks(&self) -> String {
        format!("{:x}\r\n{}\r\n0\r\n\r\n", self.open.len(), self.open)
    }

    fn one_chunk(body: &str) -> String {
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    }
}

/// Both lengths, one of them obscured, or each twice.
fn lengths(p: &Pieces) -> Vec<(&'static str, String, Comes)> {
    let (hidden, open) = (&p.hidden, p.open.len());
    let after_end = format!("0\r\n\r\n{hidden}");
    let after_all = p.chunks() + hidden;
    let all = after_all.len();
    let te = "transfer-encoding: chunked\r\n";
    let length = |length: &str| format!("content-length: {length}\r\n");
    let behind = |lines: String| p.with(&lines, &format!("{}{hidden}", p.open));
    vec![
        ("CL.TE, an empty body", p.with(&(length(&after_end.len().to_string()) + te), &after_end), Once(400)),
        ("CL.TE, a whole body", p.with(&(length(&all.to_string()) + te), &after_all), Once(200)),
        ("TE.CL", p.with(&(te.to_owned() + &length("4")), &Pieces::one_chunk(hidden)), Once(400)),
        ("TE.CL, a whole body", p.with(&(te.to_owned() + &length("0")), &after_all), Once(200)),
        ("CL unequal", behind(length(&open.to_string()) + &length("0")), Once(400)),
        ("CL unequal, the longer last", behind(length("0") + &length(&open.to_string())), Once(400)),
        ("CL equal and repeated", behind(length(&open.to_string()) + &length(&open.to_string())), Twice),
        ("CL list", behind(length(&format!("{open}, {open}"))), Once(400)),
        ("CL unequal list", behind(length(&format!("{open},0"))), Once(400)),
        ("CL plus", behind(length(&format!("+{open}"))), Once(400)),
        ("CL minus", behind(length("-1")), Once(400)),
        ("CL hexadecimal", behind(length(&format!("0x{open:x}"))), Once(400)),
        ("CL with a fraction", behind(length(&format!("{open}.0"))), Once(400)),
        ("CL with a blank inside", behind(length("1 0")), Once(400)),
        ("CL empty", behind(length("")), Once(400)),
        ("CL past 64 bits", behind(length("18446744073709551700")), Once(400)),
        ("CL huge", behind(length("9223372036854775807")), Once(413)),
        ("CL with zeros before it", behind(length(&format!("000{open}"))), Twice),
        ("CL with blanks around it", behind(length(&format!("  {open}  "))), Twice),
        (
            "CL named by Connection",
            behind(length(&open.to_string()) + "connection: content-length\r\n"),
            Twice,
        ),
        (
            "TE named by Connection",
            p.with(&format!("{te}connection: transfer-encoding\r\n"), &after_all),
            Twice,
        ),
    ]
}

/// `Transfer-Encoding` that one reader takes for chunked and another does not.
fn codings(p: &Pieces) -> Vec<(&'static str, String, Comes)> {
    let after_all = p.chunks() + &p.hidden;
    let of = |lines: &str| p.with(lines, &after_all);
    let te = "transfer-encoding";
    vec![
        ("xchunked", of(&format!("{te}: xchunked\r\n")), Once(400)),
        ("a blank before the colon", of(&format!("{te} : chunked\r\n")), Once(400)),
        ("a tab before the colon", of(&format!("{te}\t: chunked\r\n")), Once(400)),
        ("a tab before the value", of(&format!("{te}:\tchunked\r\n")), Twice),
        ("a vertical tab", of(&format!("{te}:\u{b}chunked\r\n")), Once(400)),
        ("a form feed", of(&format!("{te}: \u{c}chunked\r\n")), Once(400)),
        ("a blank before the name", of(&format!(" {te}: chunked\r\n")), Once(400)),
        ("a folded line", of(&format!("{te}:\r\n chunked\r\n")), Once(400)),
        ("folded behind another field", of(&format!("x: y\r\n {te}: chunked\r\n")), Once(400)),
        ("hidden behind a bare line feed", of(&format!("x: y\n{te}: chunked\r\n")), Twice),
        ("hidden behind a bare return", of(&format!("x: y\r{te}: chunked\r\n")), Once(400)),
        ("twice", of(&format!("{te}: chunked\r\n{te}: chunked\r\n")), Once(400)),
        ("identity first", of(&format!("{te}: identity\r\n{te}: chunked\r\n")), Once(400)),
        ("identity last", of(&format!("{te}: chunked\r\n{te}: identity\r\n")), Once(400)),
        ("a list, identity last", of(&format!("{te}: chunked, identity\r\n")), Once(400)),
        ("a list, identity first", of(&format!("{te}: identity, chunked\r\n")), Once(400)),
        ("gzip, chunked", of(&format!("{te}: gzip, chunked\r\n")), Once(400)),
        ("quoted", of(&format!("{te}: \"chunked\"\r\n")), Once(400)),
        ("with a parameter", of(&format!("{te}: chunked;q=1\r\n")), Once(400)),
        ("a comma behind it", of(&format!("{te}: chunked,\r\n")), Once(400)),
        ("capitals", of("TRANSFER-ENCODING: CHUNKED\r\n"), Twice),
        ("an empty value", of(&format!("{te}:\r\n")), Once(400)),
        ("NUL in the value", of(&format!("{te}: chunked\0\r\n")), Once(400)),
        ("NUL in another value", of(&format!("x: a\0b\r\n{te}: chunked\r\n")), Once(400)),
        ("NUL in a name", of(&format!("x\0: y\r\n{te}: chunked\r\n")), Once(400)),
        (
            "HTTP/1.0",
            of(&format!("{te}: chunked\r\n")).replace("HTTP/1.1\r\nhost", "HTTP/1.0\r\nhost"),
            Once(400),
        ),
    ]
}

/// Chunks whose size two readers see differently.
fn chunk_sizes(p: &Pieces) -> Vec<(&'static str, String, Comes)> {
    let (open, hidden) = (&p.open, &p.hidden);
    let size = format!("{:x}", open.len());
    let of = |chunks: String| p.with("transfer-encoding: chunked\r\n", &(chunks + hidden));
    let sized = |size: &str| of(format!("{size}\r\n{open}\r\n0\r\n\r\n"));
    let long = "x".repeat(64 * 1024);
    vec![
        ("a size with junk", sized(&format!("{size}g")), Once(400)),
        ("a size with 0x", sized(&format!("0x{size}")), Once(400)),
        ("a size with plus", sized(&format!("+{size}")), Once(400)),
        ("a size with minus", sized(&format!("-{size}")), Once(400)),
        ("an underscore in a size", sized(&format!("0_{size}")), Once(400)),
        ("no size", sized(""), Once(400)),
        ("a blank before a size", sized(&format!(" {size}")), Once(400)),
        ("a blank behind a size", sized(&format!("{size} ")), Twice),
        ("a size past 64 bits", sized(&format!("10000000000000000{size}")), Once(400)),
        ("a size of many zeros", sized(&format!("{}{size}", "0".repeat(40))), Twice),
        ("an extension", sized(&format!("{size};name=value")), Twice),
        ("an extension with a bare line feed", sized(&format!("{size};\nname")), Once(400)),
        ("an extension with a bare return", sized(&format!("{size};\rname")), Once(400)),
        ("an extension without end", sized(&format!("{size};{long}")), Once(400)),
        ("a size line that ends with a line feed", of(format!("{size}\n{open}\r\n0\r\n\r\n")), Once(400)),
        ("a chunk that ends with a line feed", of(format!("{size}\r\n{open}\n0\r\n\r\n")), Once(400)),
        ("a chunk longer than its size", of(format!("{size}\r\n{open}x\r\n0\r\n\r\n")), Once(400)),
        ("a last chunk without its end", of(format!("{size}\r\n{open}\r\n0\r\n")), Once(400)),
        ("trailers", of(format!("{size}\r\n{open}\r\n0\r\nx: y\r\n\r\n")), Twice),
        (
            "a length among the trailers",
            of(format!("{size}\r\n{open}\r\n0\r\ncontent-length: 9\r\n\r\n")),
            Twice,
        ),
        ("trailers without end", of(format!("{size}\r\n{open}\r\n0\r\nx: {long}\r\n\r\n")), Once(400)),
    ]
}

/// Targets, methods and bodies where none is expected.
fn shapes(p: &Pieces) -> Vec<(&'static str, String, Comes)> {
    let (open, hidden) = (&p.open, &p.hidden);
    let length = format!("content-length: {}\r\n", open.len());
    let plain = p.with(&length, open);
    let holding = format!("content-length: {}\r\n", hidden.len());
    let to = |target: &str| plain.replacen("POST /v1/chat/completions", target, 1);
    let unread = |target: &str| p.with(&holding, hidden).replacen("POST /v1/chat/completions", target, 1);
    vec![
        ("two in order", plain.clone() + hidden, Twice),
        ("absolute-form", to("POST http://elsewhere.example/v1/chat/completions"), OnceAtEase(200)),
        (
            "absolute-form to management",
            to("GET http://x@elsewhere.example/v1/gateway/groups"),
            OnceAtEase(403),
        ),
        ("authority-form", to("POST elsewhere.example:80"), OnceAtEase(404)),
        ("CONNECT", unread("CONNECT elsewhere.example:443"), OnceAtEase(404)),
        ("OPTIONS *", unread("OPTIONS *"), OnceAtEase(404)),
        ("a blank in the target", to("POST /v1/chat/completions?a b"), Once(400)),
        ("a tab for a blank", to("POST\t/v1/chat/completions"), Once(400)),
        ("a fragment", to("POST /v1/chat/completions#x"), OnceAtEase(200)),
        ("a line feed in the target", to("POST /v1/chat/comp\nletions"), Once(400)),
        ("GET with a body", unread("GET /v1/models"), OnceAtEase(200)),
        ("a body for health", unread("POST /healthz/ready"), OnceAtEase(405)),
        ("a body for nobody", unread("POST /v1/nowhere"), OnceAtEase(404)),
        ("a body that is not read", unread("PUT /v1/chat/completions"), OnceAtEase(405)),
        (
            "a wrong key",
            unread("POST /v1/chat/completions").replacen("Bearer sky_", "Bearer sly_", 1),
            Once(401),
        ),
        ("compressed", p.with(&format!("{holding}content-encoding: gzip\r\n"), hidden), Once(415)),
        (
            "expecting a nonsense",
            p.with(&format!("{length}expect: the-unexpected\r\n"), open),
            OnceAtEase(200),
        ),
        (
            "upgrade to h2c",
            p.with(&format!("{length}connection: upgrade\r\nupgrade: h2c\r\n"), open),
            OnceAtEase(200),
        ),
        ("two hosts", p.with(&format!("{length}host: elsewhere.example\r\n"), open), OnceAtEase(200)),
        (
            "HTTP/1.0 with a length",
            (plain.clone() + hidden).replacen("HTTP/1.1", "HTTP/1.0", 1),
            OnceAtEase(200),
        ),
        ("the preface of HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"), Once(400)),
        (
            "a body that is too short",
            p.with(&format!("content-length: {}\r\n", open.len() + 10), open),
            Nothing,
        ),
    ]
}

async fn plays_out(gw: &Gateway, key: &str, name: &str, bytes: &str, comes: &Comes) {
    let before = gw.model.seen().len();
    let mut raw = Raw::open(gw.addr()).await;
    raw.try_send(bytes).await;
    if matches!(comes, Nothing) {
        raw.half_close().await;
    }
    let answers = raw.answers().await;
    gw.quiet().await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let hidden_served = match comes {
        Once(status) => {
            assert_eq!(statuses, [*status], "{name}: {answers:?}");
            assert!(answers[0].closes(), "{name}: the connection ends with its answer: {answers:?}");
            false
        }
        OnceAtEase(status) => {
            assert_eq!(statuses, [*status], "{name}: {answers:?}");
            false
        }
        Nothing => {
            assert!(!statuses.contains(&200), "{name}: {answers:?}");
            false
        }
        Twice => {
            assert_eq!(statuses, [200, 200], "{name}: {answers:?}");
            true
        }
    };
    let upstream = |text: &str| text.replace(M1, "simulated");
    let allowed = [upstream(&chat()), upstream(&chat().replace("Say hello.", HIDDEN))];
    let seen = gw.model.seen().split_off(before);
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(seen.len() <= served, "{name}: {seen:?}");
    for request in seen {
        assert_eq!(request.path, "/v1/chat/completions", "{name}");
        assert!(!request.headers.contains_key("transfer-encoding"), "{name}: framing is made anew");
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()), "{name}");
        let known = allowed.iter().position(|body| request.body == body.as_bytes());
        assert!(known == Some(0) || (known == Some(1) && hidden_served), "{name}: {request:?}");
    }
    assert!(!answers.iter().any(|answer| answer.body.contains(key)), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_published_way_hides_a_request_in_another() {
    // What is left of a doubt would be said soon, and a connection that goes on ends soon.
    let gw = Gateway::with(|config| {
        (config.server.header_timeout, config.server.idle_timeout) = (SHORT, SHORT);
    })
    .await;
    let customer = counted(&gw).await;
    let pieces = Pieces::new(&customer.key);
    let tables = [lengths(&pieces), codings(&pieces), chunk_sizes(&pieces), shapes(&pieces)];
    for (name, bytes, comes) in tables.iter().flatten() {
        plays_out(&gw, &customer.key, name, bytes, comes).await;
    }
    gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, gw.model.served().started);
}
