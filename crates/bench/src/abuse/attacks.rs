//! The bad callers. All of them live in one thread and go on until the end, each attack in one function.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::tally::Tally;
use crate::clock;
use crate::tollgate::SLUG;

const LORIS: usize = 2_000;
const UPLOADERS: usize = 500;
const UPLOAD_BYTES: usize = 50 * 1_000_000;
const LONG_HEADERS: usize = 20;
const HEADER_BYTES: usize = 1024 * 1024;
const GARBLERS: usize = 50;
const GARBAGE_EACH: usize = 200;
const NON_READERS: usize = 100;
const PIECE: usize = 256 * 1024;
/// How long an abuser waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between one attempt of a caller and its next.
const PAUSE: Duration = Duration::from_secs(1);

/// What all abusers know.
struct Scene {
    addr: SocketAddr,
    key: String,
    body: Bytes,
    end: Instant,
}

/// How an uploader sends its body.
#[derive(Clone, Copy)]
enum Upload {
    Announced,
    Chunked,
    Stalling,
}

pub(super) fn run(addr: SocketAddr, key: &str, end: Instant, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let text = "x".repeat(UPLOAD_BYTES);
    let body = json!({"model": SLUG, "max_tokens": 1, "messages": [{"role": "user", "content": text}]});
    let scene = Arc::new(Scene { addr, key: key.to_owned(), body: body.to_string().into(), end });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut all = JoinSet::new();
        let mut repeat = |name, count, attack: fn(Arc<Scene>, usize) -> Attack| {
            for at in 0..count {
                all.spawn(until_the_end(name, Arc::clone(&scene), Arc::clone(tally), at, attack));
            }
        };
        repeat("slow headers (2 000 callers)", LORIS, |scene, at| Box::pin(loris(scene, at)));
        repeat("uploads of 50 MB (500 callers)", UPLOADERS, |scene, at| Box::pin(upload(scene, at)));
        repeat("headers of 1 MB (20 callers)", LONG_HEADERS, |scene, _| Box::pin(long_header(scene)));
        repeat("garbage (50 callers, 200 at a time)", GARBLERS, |scene, at| Box::pin(garbage(scene, at)));
        repeat("streams never read (100 callers)", NON_READERS, |scene, _| Box::pin(never_reading(scene)));
        while all.join_next().await.is_some() {}
    });
    Ok(())
}

type Attack = std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<String>>> + Send>>;

async fn until_the_end(
    name: &'static str,
    scene: Arc<Scene>,
    tally: Arc<Tally>,
    at: usize,
    attack: fn(Arc<Scene>, usize) -> Attack,
) {
    while clock::now() < scene.end {
        match timeout_at(scene.end.into(), attack(Arc::clone(&scene), at)).await {
            Ok(Ok(endings)) => endings.into_iter().for_each(|ending| tally.count(name, ending)),
            Ok(Err(error)) => tally.count(name, format!("{:?}", error.kind())),
            Err(_) => tally.count(name, "held to the end".to_owned()),
        }
        sleep(PAUSE).await;
    }
}

/// A header that comes a byte a second.
async fn loris(scene: Arc<Scene>, at: usize) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(scene.addr).await?;
    // Not all in the same moment.
    sleep(Duration::from_micros(500) * u32::try_from(at).unwrap_or(0)).await;
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nx: ").await?;
    loop {
        if let Ok(ending) = timeout(PAUSE, ending(&mut stream)).await {
            return Ok(vec![ending]);
        }
        stream.write_all(b"x").await?;
    }
}

async fn upload(scene: Arc<Scene>, at: usize) -> std::io::Result<Vec<String>> {
    let how = [Upload::Announced, Upload::Announced, Upload::Chunked, Upload::Stalling][at % 4];
    let stream = TcpStream::connect(scene.addr).await?;
    let (mut from, mut to) = stream.into_split();
    let length = match how {
        Upload::Chunked => "transfer-encoding: chunked".to_owned(),
        Upload::Announced | Upload::Stalling => format!("content-length: {}", scene.body.len()),
    };
    to.write_all(head(&scene, &length).as_bytes()).await?;
    let sending = async {
        let sent = if matches!(how, Upload::Stalling) { scene.body.len() / 2 } else { scene.body.len() };
        for piece in scene.body[..sent].chunks(PIECE) {
            if matches!(how, Upload::Chunked) {
                to.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            }
            to.write_all(piece).await?;
            if matches!(how, Upload::Chunked) {
                to.write_all(b"\r\n").await?;
            }
        }
        if matches!(how, Upload::Chunked) {
            to.write_all(b"0\r\n\r\n").await?;
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let mut answer = [0; 512];
    let read = tokio::select! {
        // Whoever is refused stops sending, as an honest client would.
        read = from.read(&mut answer) => read?,
        failed = sending => { failed?; 0 }
    };
    Ok(vec![status(&answer[..read])])
}

async fn long_header(scene: Arc<Scene>) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(scene.addr).await?;
    let header = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx: {}", "x".repeat(HEADER_BYTES));
    // Refused before its end.
    let _ = stream.write_all(header.as_bytes()).await;
    Ok(vec![ending(&mut stream).await])
}

/// Noise, and calls with a byte spoiled; then silence.
async fn garbage(scene: Arc<Scene>, at: usize) -> std::io::Result<Vec<String>> {
    let mut endings = Vec::new();
    let mut noise = u64::try_from(at).unwrap_or(0) + 1;
    for _ in 0..GARBAGE_EACH {
        let mut bytes = (head(&scene, "content-length: 2") + "{}").into_bytes();
        for _ in 0..3 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let spot = usize::try_from(noise >> 33).unwrap_or(0) % bytes.len();
            bytes[spot] = noise.to_be_bytes()[0];
        }
        let mut stream = TcpStream::connect(scene.addr).await?;
        let _ = stream.write_all(&bytes).await;
        let ending = timeout(Duration::from_millis(100), ending(&mut stream)).await;
        endings.push(ending.unwrap_or_else(|_| "left waiting".to_owned()));
    }
    Ok(endings)
}

/// A stream of 10 MiB whose caller reads nothing.
async fn never_reading(scene: Arc<Scene>) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(scene.addr).await?;
    let body = json!({"model": SLUG, "stream": true, "messages": []}).to_string();
    let length = format!("content-length: {}", body.len());
    stream.write_all((head(&scene, &length) + &body).as_bytes()).await?;
    std::future::pending().await
}

fn head(scene: &Scene, line: &str) -> String {
    let key = &scene.key;
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{line}\r\n\r\n")
}

/// How a connection ends: with the status of an answer, or without one.
async fn ending(stream: &mut TcpStream) -> String {
    let mut answer = [0; 512];
    match timeout(PATIENCE, stream.read(&mut answer)).await {
        Ok(Ok(read)) => status(&answer[..read]),
        Ok(Err(error)) => format!("{:?}", error.kind()),
        Err(_) => "left waiting".to_owned(),
    }
}

fn status(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    match text.split(' ').nth(1) {
        Some(status) => status.to_owned(),
        None => "closed".to_owned(),
    }
}
