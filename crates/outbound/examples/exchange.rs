//! What an exchange costs its client's thread, in CPU time: ours, and hyper's. The server is on other threads.
//!
//! `cargo run --release -p outbound --example exchange`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, which shows and stops")]

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use outbound::http1::{Connection, Opening};
use outbound::{Dialer, Origin, Trust};

const CONNECTIONS: usize = 32;
const EXCHANGES: usize = 8_000;
const ROUNDS: usize = 5;
const FIRST_BYTE: Duration = Duration::from_secs(600);
static WANTED: [HeaderName; 1] = [CONTENT_TYPE];
static BODY: &[u8] = &[b'x'; 300];
static ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: x\r\n\
    date: Sat, 21 Nov 2026 21:00:00 GMT\r\ncontent-length: 13\r\n\r\n{\"answer\": 1}";

fn main() {
    let origin = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("ns of CPU time for an exchange, of which in user mode");
    for _ in 0..ROUNDS {
        let (all, user) = runtime.block_on(measured(&origin, ours));
        println!("ours {all}, {user}");
        let (all, user) = runtime.block_on(measured(&origin, hypers));
        println!("hyper's {all}, {user}");
    }
}

/// CPU time of this thread for one exchange, many of them under way at once.
async fn measured<F: Future<Output = ()> + 'static>(origin: &Origin, client: fn(Origin) -> F) -> (u64, u64) {
    let before = cpu_ns();
    let local = tokio::task::LocalSet::new();
    let all: Vec<_> = (0..CONNECTIONS).map(|_| local.spawn_local(client(origin.clone()))).collect();
    local.await;
    for one in all {
        one.await.unwrap();
    }
    let after = cpu_ns();
    let exchanges = u64::try_from(CONNECTIONS * EXCHANGES).unwrap();
    ((after.0 - before.0) / exchanges, (after.1 - before.1) / exchanges)
}

async fn ours(origin: Origin) {
    let dialer = Dialer::for_clients(FIRST_BYTE).unwrap();
    let mut connection = Connection::new(dialer.open(&origin).await.unwrap(), &WANTED);
    let opening = Opening::new(&HeaderValue::from_static("models.test"), &[]);
    let (path, json) = (PathAndQuery::from_static("/v1/x"), HeaderValue::from_static("application/json"));
    for _ in 0..EXCHANGES {
        assert!(connection.is_quiet());
        let mut draft = opening.post(&path);
        draft.header(&CONTENT_TYPE, &json);
        connection.begin(draft.with_body(vec![Bytes::from_static(BODY)]));
        let head = poll_fn(|cx| connection.poll_answer(cx)).await.unwrap();
        assert!(head.status.is_success() && head.get(&CONTENT_TYPE).is_some());
        while let Some(data) = poll_fn(|cx| connection.poll_data(cx)).await {
            assert_eq!(data.unwrap().len(), 13);
        }
        assert!(connection.is_reusable());
    }
}

async fn hypers(origin: Origin) {
    let dialer = Dialer::for_clients(FIRST_BYTE).unwrap();
    let mut connection = dialer.connect::<Full<Bytes>>(&origin).await.unwrap();
    for _ in 0..EXCHANGES {
        connection.ready().await.unwrap();
        let request = Request::post("/v1/x")
            .header(HOST, HeaderValue::from_static("models.test"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = connection.send_request(request.body(Full::new(Bytes::from_static(BODY))).unwrap());
        let answer = tokio::time::timeout(FIRST_BYTE, sent).await.unwrap().unwrap();
        assert!(answer.status().is_success() && answer.headers().contains_key(CONTENT_TYPE));
        let mut body = answer.into_body();
        while let Some(frame) = tokio::time::timeout(FIRST_BYTE, body.frame()).await.unwrap() {
            assert_eq!(frame.unwrap().into_data().unwrap().len(), 13);
        }
    }
}

/// A server with a thread for each connection, which answers each read.
fn serve() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let (mut buffer, mut seen) = ([0; 16 * 1024], 0);
                while let Ok(read @ 1..) = stream.read(&mut buffer[seen..]) {
                    seen += read;
                    if buffer[..seen].ends_with(BODY) {
                        stream.write_all(ANSWER).unwrap();
                        seen = 0;
                    }
                }
            });
        }
    });
    Origin { tls: false, host: "127.0.0.1".to_owned(), port: address.port(), trust: Trust::Operator }
}

/// CPU time of this thread, exact, and what of it was in user mode, in steps of 10 ms.
fn cpu_ns() -> (u64, u64) {
    let exact = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ticks = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, ticks) = ticks.rsplit_once(") ").unwrap();
    let number = |text: &str, at: usize| text.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap();
    (number(&exact, 0), number(ticks, 11) * 10_000_000)
}
