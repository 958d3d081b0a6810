//! The gateway as a process of its own: started, killed, started again, on one data directory and one port.
//!
//! Guarantees: it ends with this value; what it says goes into a file beside its data, whose end is told where a start
//! fails. Knows nothing of: who calls.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use gateway::keys::MANAGEMENT_KEY_VARIABLE;
use http::{Request, header};
use http_body_util::Full;
use tempfile::TempDir;

use crate::chance::Chance;
use crate::http::{Desk, Line};

const OPERATOR_KEY: &str = "mgmt_crash-0123456789-0123456789";
/// Laid over the defaults.
const SETTINGS: [(&str, &str); 8] = [
    ("TOLLGATE__SERVER__WORKERS", "2"),
    ("TOLLGATE__UPSTREAM__FIRST_BYTE_TIMEOUT", "20s"),
    ("TOLLGATE__UPSTREAM__IDLE_TIMEOUT", "20s"),
    ("TOLLGATE__UPSTREAM__TOTAL_TIMEOUT", "30s"),
    ("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "0"),
    ("TOLLGATE__LIMITS__ADMISSION", "estimate"),
    ("TOLLGATE__LOG__CALLS", "off"),
    ("TOLLGATE__LOG__LEVEL", "warn"),
];
/// Below those that the system gives to outgoing connections: none of these can sit on the port while nobody listens.
const PORTS: (u64, u64) = (18_000, 30_000);
const PORTS_TRIED: usize = 100;
const POLL: Duration = Duration::from_millis(5);
/// Only guards against a gateway that is never ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are copied at once, or left out where they are zeros.
const PIECE: usize = 64 << 10;
/// How much of its words is told where a start fails.
const WORDS_MAX: usize = 2_000;

/// A gateway that is killed and started again.
#[derive(Debug)]
pub struct House {
    binary: PathBuf,
    addr: SocketAddr,
    data: PathBuf,
    child: Option<Child>,
    files: TempDir,
}

/// Builds the program, as it is built for tests: what the code asserts of itself is caught as well.
///
/// # Errors
/// A program that does not build.
pub fn build() -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--package", "gateway", "--bin", "tollgate"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    ensure!(cargo.status().context("cargo does not start")?.success(), "the gateway does not build");
    let this = std::env::current_exe()?;
    let found = this.ancestors().skip(1).take(2).map(|dir| dir.join("tollgate")).find(|path| path.exists());
    found.context("the gateway is not where it was built")
}

impl House {
    /// Not started yet. Its data lie in `place`, or beside what it says.
    ///
    /// # Errors
    /// A machine without room or ports.
    pub fn new(binary: PathBuf, place: Option<&Path>, chance: &mut Chance) -> anyhow::Result<Self> {
        let files = TempDir::new()?;
        let data = place.unwrap_or(files.path()).join("data");
        Ok(Self { binary, addr: free(chance)?, data, child: None, files })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A way to its management API.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk::new(self.addr, OPERATOR_KEY)
    }

    /// Starts it; it may not be ready yet.
    ///
    /// # Errors
    /// A program that does not start.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let words = OpenOptions::new().create(true).append(true).open(self.words())?;
        let mut command = self.command("serve");
        command.arg("--listen").arg(self.addr.to_string());
        command.envs(SETTINGS).env(MANAGEMENT_KEY_VARIABLE, OPERATOR_KEY);
        command.stdout(words.try_clone()?).stderr(words);
        self.child = Some(command.spawn().context("the gateway does not start")?);
        Ok(())
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// One that ends instead, or takes too long.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let waiting = async {
            while !self.says_ready().await {
                let child = self.child.as_mut().context("it was never started")?;
                if let Some(status) = child.try_wait()? {
                    bail!("it ended with {status}");
                }
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        let ready = match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(ended) => ended,
            Err(_) => Err(anyhow::anyhow!("it is not ready after {} s", PATIENCE.as_secs())),
        };
        ready.with_context(|| format!("the gateway does not come up; it said: {}", self.last_words()))
    }

    async fn says_ready(&self) -> bool {
        let request =
            Request::get("/healthz/ready").header(header::HOST, "gateway").body(Full::<Bytes>::default());
        let Ok(request) = request else { return false };
        Line::new(self.addr).send(request).await.is_ok_and(|answer| answer.status() == 200)
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// One that had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(status) = child.try_wait()? {
            bail!("the gateway had ended by itself with {status}; it said: {}", self.last_words());
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// A copy of its files as they are now.
    ///
    /// # Errors
    /// A disk without room.
    pub fn copy(&self) -> anyhow::Result<TempDir> {
        let copy = TempDir::new()?;
        copy_files(&self.data, copy.path())?;
        Ok(copy)
    }

    /// Runs the audit beside it. What it finds, in its words; `None`: nothing.
    ///
    /// # Errors
    /// A program that does not start.
    pub fn audit(&self) -> anyhow::Result<Option<String>> {
        let output = self.command("audit").stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(None);
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().chars().take(WORDS_MAX).collect::<String>();
        Ok(Some(format!("{}: {said}", output.status)))
    }

    /// The end of what it said.
    #[must_use]
    pub fn last_words(&self) -> String {
        let said = fs::read(self.words()).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(WORDS_MAX)..]).trim().to_owned()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(name).arg("--data-dir").arg(&self.data).current_dir(self.files.path());
        command
    }

    fn words(&self) -> PathBuf {
        self.files.path().join("gateway.log")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free(chance: &mut Chance) -> anyhow::Result<SocketAddr> {
    // Another run with the same seed looks elsewhere.
    let shift = u64::from(std::process::id());
    for _ in 0..PORTS_TRIED {
        let port = PORTS.0 + (chance.between(0, PORTS.1) + shift) % (PORTS.1 - PORTS.0);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("no port is free")
}

/// Plain files and folders; what is left of sockets is left out.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let Some(name) = entry.file_name() else { continue };
        if kind.is_dir() {
            copy_files(&entry, &to.join(name))?;
        } else if kind.is_file() {
            copy_file(&entry, &to.join(name))?;
        }
    }
    Ok(())
}

/// Zeros stay holes: most of a journal is room that nobody has written to yet.
fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let (mut source, mut copy) = (File::open(from)?, File::create(to)?);
    copy.set_len(source.metadata()?.len())?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = source.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        if piece[..read].iter().all(|byte| *byte == 0) {
            copy.seek(SeekFrom::Current(i64::try_from(read)?))?;
        } else {
            copy.write_all(&piece[..read])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_it_was_made_from_holes_and_all() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let written = [vec![0; 3 * PIECE], vec![7; 10], vec![0; 2 * PIECE]].concat();
        fs::create_dir(from.path().join("journal")).unwrap();
        fs::write(from.path().join("journal/0-1.seg"), &written).unwrap();
        fs::write(from.path().join("empty"), b"").unwrap();
        copy_files(from.path(), to.path()).unwrap();
        assert_eq!(fs::read(to.path().join("journal/0-1.seg")).unwrap(), written);
        assert_eq!(fs::read(to.path().join("empty")).unwrap(), b"");
    }
}
