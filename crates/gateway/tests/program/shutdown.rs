//! SIGTERM, once and twice, with calls in flight.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Program, call, tollgate};

const KEY: &str = "mgmt_shutdown-tests-0123456789-abcdef";
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked for what another process brings about. A bound, never a pause.
const LOOKS_MAX: usize = 15_000;
const STREAMED: &str =
    r#"{"model":"acme/chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
const WHOLE: &str = r#"{"model":"acme/chat","messages":[{"role":"user","content":"Hello"}]}"#;

/// A model server that sends a piece of its streams when it is told to. Whole calls are answered at once.
struct Puppet {
    base_url: String,
    pieces: Sender<&'static str>,
}

impl Puppet {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (pieces, told) = channel::<&'static str>();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if !read_call(&stream).contains(r#""stream":true"#) {
                    let body =
                        r#"{"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":9}}"#;
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
                    continue;
                }
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                for piece in told.iter().take_while(|piece| !piece.is_empty()) {
                    write!(stream, "data: {piece}\n\n").unwrap();
                }
            }
        });
        Self { base_url, pieces }
    }

    fn say(&self, piece: &'static str) {
        self.pieces.send(piece).unwrap();
    }

    /// The rest of a stream that used 19 tokens.
    fn finish(&self) {
        self.say(r#"{"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":9}}"#);
        self.say("[DONE]");
        self.say("");
    }
}

fn read_call(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// A gateway with one customer, whose calls go to a puppet.
struct Scene {
    dir: TempDir,
    puppet: Puppet,
    serve: Program,
    addr: String,
    group: String,
    key: String,
}

impl Scene {
    fn set(environment: &[(&str, &str)]) -> Self {
        let (dir, puppet) = (TempDir::new().unwrap(), Puppet::start());
        let environment = [&[("TOLLGATE_MANAGEMENT_KEY", KEY)], environment].concat();
        let serve = Program::serve(dir.path(), &environment);
        let run = |arguments: &[&str]| serve.manage(KEY, arguments);
        run(&["endpoints", "create", "acme/chat", "--base-url", &puppet.base_url, "--target-model", "m"]);
        let model = "acme/chat:REQUEST/DAY=1000,TOKEN/DAY=100000";
        let group = run(&["groups", "create", "--external-id", "org", "--model", model]);
        let group = group.split_whitespace().next().unwrap().to_owned();
        let key = run(&["keys", "mint", &group]).trim().to_owned();
        let addr = serve.url().trim_start_matches("http://").to_owned();
        Self { dir, puppet, serve, addr, group, key }
    }

    /// A stream whose first piece has come.
    fn streaming(&self) -> TcpStream {
        let mut stream = self.send(STREAMED);
        self.puppet.say(r#"{"model":"m","choices":[{"index":0,"delta":{"content":"first"}}]}"#);
        assert!(read_until(&mut stream, "first").starts_with("HTTP/1.1 200"));
        stream
    }

    /// A call on a connection that stays open.
    fn send(&self, body: &str) -> TcpStream {
        let stream = TcpStream::connect(&self.addr).unwrap();
        self.send_on(&stream, body);
        stream
    }

    fn send_on(&self, mut stream: &TcpStream, body: &str) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (key, length) = (&self.key, body.len());
        let head =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
        write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    }

    fn status(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Requests and tokens that the customer has used today, as a new gateway on the same directory says.
    fn used_after_restart(dir: &TempDir, group: &str) -> (u64, u64) {
        let serve = Program::serve(dir.path(), &[("TOLLGATE_MANAGEMENT_KEY", KEY)]);
        let usage = serve.manage(KEY, &["groups", "usage", group, "--json"]);
        let usage: serde_json::Value = serde_json::from_str(&usage).unwrap();
        let of = |kind: &str| {
            let mut entries = usage["usage"]["acme/chat"].as_array().into_iter().flatten();
            let entry = entries.find(|entry| entry["type"] == kind);
            entry.map_or(0, |entry| entry["current_usage"].as_u64().unwrap_or(0))
        };
        (of("REQUEST"), of("TOKEN"))
    }
}

/// Reads until this text has come; what came.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4096]);
    while !all.contains(text) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "`{text}` never came, but: {all}");
        all.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    all
}

fn rest(mut stream: TcpStream) -> String {
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all
}

/// Waits for a fact that another process brings about.
fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it never came about that {what}");
}

#[test]
fn a_gateway_that_stops_is_not_ready_at_once_and_serves_until_drain_delay_is_over() {
    let scene = Scene::set(&[("TOLLGATE__SERVER__DRAIN_DELAY", "1h")]);
    assert_eq!(scene.status("/healthz/ready"), 200);
    scene.serve.ask_to_stop();
    until("it is not ready", || scene.status("/healthz/ready") == 503);
    assert_eq!(scene.status("/healthz/live"), 200);
    assert!(call(&scene.addr, &scene.key, WHOLE).starts_with("HTTP/1.1 200"));
    scene.serve.ask_to_stop();
    assert_eq!(scene.serve.ended().code(), Some(1), "a second signal does not wait for the delay");
    assert_eq!(Scene::used_after_restart(&scene.dir, &scene.group), (1, 19));
}

#[test]
fn while_calls_finish_kept_alive_connections_hear_that_it_drains() {
    let scene = Scene::set(&[]);
    let kept = scene.send(WHOLE);
    let mut kept_too = kept.try_clone().unwrap();
    assert!(read_until(&mut kept_too, "completion_tokens").starts_with("HTTP/1.1 200"));
    let silent = TcpStream::connect(&scene.addr).unwrap();
    let stream = scene.streaming();
    scene.serve.ask_to_stop();
    until("nobody is let in", || TcpStream::connect(&scene.addr).is_err());
    scene.send_on(&kept, WHOLE);
    let answer = rest(kept);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains(r#""code":"draining""#), "{answer}");
    scene.puppet.finish();
    assert!(rest(stream).contains("data: [DONE]"), "a call in flight comes to its end");
    assert!(scene.serve.ended().success());
    assert_eq!(rest(silent), "", "a connection without a call is closed in order");
    assert_eq!(Scene::used_after_restart(&scene.dir, &scene.group), (2, 38));
}

#[test]
fn a_gateway_without_calls_stops_at_once_whoever_stays_connected() {
    let scene = Scene::set(&[("TOLLGATE__SERVER__SHUTDOWN_GRACE", "1h")]);
    let mut kept = scene.send(WHOLE);
    assert!(read_until(&mut kept, "completion_tokens").starts_with("HTTP/1.1 200"));
    scene.serve.ask_to_stop();
    assert!(scene.serve.ended().success());
    assert_eq!(rest(kept), "");
}

#[test]
fn a_second_signal_ends_calls_in_flight_and_the_next_start_bills_them() {
    let scene = Scene::set(&[("TOLLGATE__SERVER__SHUTDOWN_GRACE", "1h")]);
    let stream = scene.streaming();
    scene.serve.ask_to_stop();
    until("nobody is let in", || TcpStream::connect(&scene.addr).is_err());
    scene.serve.ask_to_stop();
    assert_eq!(scene.serve.ended().code(), Some(1));
    assert!(!rest(stream).contains("[DONE]"));
    let (requests, _) = Scene::used_after_restart(&scene.dir, &scene.group);
    assert_eq!(requests, 1, "the call that was cut is taken for what it held");
}

#[test]
fn calls_answered_a_moment_before_a_second_signal_are_in_the_ledger() {
    let scene = Scene::set(&[("TOLLGATE__SERVER__DRAIN_DELAY", "1h")]);
    scene.serve.ask_to_stop();
    until("it is not ready", || scene.status("/healthz/ready") == 503);
    for _ in 0..20 {
        assert!(call(&scene.addr, &scene.key, WHOLE).starts_with("HTTP/1.1 200"));
    }
    scene.serve.ask_to_stop();
    assert_eq!(scene.serve.ended().code(), Some(1));
    assert_eq!(Scene::used_after_restart(&scene.dir, &scene.group), (20, 380));
    let checked = tollgate(&["check", "--data-dir", scene.dir.path().to_str().unwrap()], &[]);
    assert!(checked.status.success(), "{checked:?}");
}
