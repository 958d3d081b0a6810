//! One process, one data directory: a file that is locked for as long as the process lives.
//!
//! The system gives the lock back however the process ends. The file says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::OpenError;

const FILE: &str = "lock";

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Whether a directory is in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// By the process with this id, if it has written it.
    Held(Option<u32>),
}

/// Takes the lock and writes our process id into it.
pub(crate) fn take(dir: &Path) -> Result<Lock, OpenError> {
    let path = dir.join(FILE);
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(OpenError::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { pid: holder(&mut file) }),
        Err(TryLockError::Error(error)) => return Err(OpenError::io("locking", &path)(error)),
    }
    sign(&mut file).map_err(OpenError::io("writing", &path))?;
    Ok(Lock { _file: file })
}

/// Looks whether somebody holds the lock. Writes nothing.
pub(crate) fn probe(dir: &Path) -> Result<State, OpenError> {
    let path = dir.join(FILE);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Free),
        Err(error) => return Err(OpenError::io("opening", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(State::Free),
        Err(TryLockError::WouldBlock) => Ok(State::Held(holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(OpenError::io("locking", &path)(error)),
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    // Written before it is cut, so that a reader in between finds a number.
    let text = format!("{}\n", std::process::id());
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
