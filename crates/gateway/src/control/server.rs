//! The socket's side of the gateway.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Answer, Desk, socket};

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 8;
/// Longest request, in bytes: paths are no longer than 4096.
const REQUEST_MAX: u64 = 16 * 1_024;
/// How long a request may take to come, and an answer to be taken.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Bytes of a socket's address, of which the last is a nought.
const ADDRESS_LEN: usize = 108;
/// How long nothing is accepted after the machine refused to: no file may be left, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound.
#[derive(Debug)]
pub(crate) struct Control {
    listener: StdListener,
    socket: Socket,
    desk: Arc<Desk>,
}

/// The socket's file. It goes with this.
#[derive(Debug)]
struct Socket(PathBuf);

impl Control {
    /// Binds the socket of the desk's data directory, whose lock is ours. Without one the gateway serves all the same.
    pub(crate) fn bind(desk: Desk) -> Option<Self> {
        let path = socket(desk.dir());
        match bind(&path) {
            Ok(listener) => Some(Self { listener, socket: Socket(path), desk: Arc::new(desk) }),
            Err(error) => {
                tracing::warn!(
                    %error,
                    path = %path.display(),
                    "there is no control socket, so `tollgate audit`, `backup` and `workspace recover` need the gateway \
                     to be stopped; give a shorter --data-dir if the path is too long (107 bytes at most)"
                );
                None
            }
        }
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self) {
        let Self { listener, socket: _socket, desk } = self;
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "the control socket cannot be served"),
        };
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if under_way.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => drop(under_way.spawn(attend(stream, Arc::clone(&desk)))),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                _ = under_way.join_next(), if !under_way.is_empty() => {}
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever finds it later meets nobody, and replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Under another name first, so that nobody else ever may open it. Whatever is there was left by a process that was
/// killed.
fn bind(path: &Path) -> io::Result<StdListener> {
    let fresh = path.with_extension("new");
    for old in [&fresh, path] {
        match fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    // The name that it is bound by is shorter.
    if path.as_os_str().len() >= ADDRESS_LEN {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    }
    let listener = StdListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
    fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers requests of one connection, one after the other.
async fn attend(stream: UnixStream, desk: Arc<Desk>) {
    let mut stream = BufReader::new(stream);
    while let Some(line) = request(&mut stream).await {
        let answer = match serde_json::from_slice(&line) {
            Ok(request) => desk.answer(request).await,
            Err(_) => {
                Answer::Refused("the request is not understood; use a command of the same version".into())
            }
        };
        let Ok(mut text) = serde_json::to_vec(&answer) else { return };
        text.push(b'\n');
        if !matches!(timeout(SILENCE_MAX, stream.write_all(&text)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next line; none where the other side has left, is silent, or sends too much.
async fn request(stream: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut bounded = stream.take(REQUEST_MAX);
    let read = timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await;
    (matches!(read, Ok(Ok(_))) && line.last() == Some(&b'\n')).then_some(line)
}
