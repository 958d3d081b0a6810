//! A command that asks the gateway which serves from a data directory, if one does.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Answer, Request, socket};

/// Longest answer, in bytes: an audit tells a thousand differences, of a few hundred bytes each.
const ANSWER_MAX: u64 = 16 << 20;
/// How long a gateway may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the gateway; none if nobody answers at the socket. What takes long is waited for.
pub(crate) async fn ask(dir: &Path, request: &Request) -> anyhow::Result<Option<Value>> {
    let path = socket(dir);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot speak to {}", path.display())),
    };
    let mut stream = BufReader::new(stream);
    let there = timeout(PATIENCE, exchange(&mut stream, &Request::Ping)).await;
    there.with_context(|| format!("the gateway does not answer at {}; try again", path.display()))??;
    match exchange(&mut stream, request).await? {
        Answer::Done(value) => Ok(Some(value)),
        Answer::Refused(why) => bail!("{why}"),
    }
}

/// The file is not there, is none of a process that lives, or cannot be a socket's because its name is too long.
fn is_nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::InvalidInput)
}

async fn exchange(stream: &mut BufReader<UnixStream>, request: &Request) -> anyhow::Result<Answer> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await.context("the gateway ended before it was asked")?;
    let mut answer = Vec::new();
    let read = (&mut *stream).take(ANSWER_MAX).read_until(b'\n', &mut answer).await;
    read.context("the gateway ended before it answered")?;
    if answer.last() != Some(&b'\n') {
        bail!("the gateway ended before it answered; see its log");
    }
    serde_json::from_slice(&answer)
        .context("the gateway's answer is not understood; it may be of another version")
}
