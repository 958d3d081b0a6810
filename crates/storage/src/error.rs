//! What can go wrong with a store, in words for the operator. No error carries a key, a secret or a prompt.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use domain::Rejection;

/// The process that holds a data directory, as far as it said.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves from this directory.
    #[error("the data directory is in use by {}", Holder(*pid))]
    Locked {
        /// Its process id, if it has written it already.
        pid: Option<u32>,
    },
    /// A later version of the program wrote this store.
    #[error(
        "the store has schema version {found}, but this program knows versions up to {known}; use a newer program"
    )]
    TooNew {
        /// The version on disk.
        found: u32,
        /// The latest version this program knows.
        known: u32,
    },
    /// There is no store in the directory.
    #[error("there is no store here; name the directory that serve uses")]
    NoStore,
    /// An earlier version of the program wrote this store, and only `serve` brings it to this one.
    #[error(
        "the store has schema version {found}, this program {known}; start the gateway once, which upgrades it"
    )]
    TooOld {
        /// The version on disk.
        found: u32,
        /// The version this program works with.
        known: u32,
    },
    /// A later version of the program wrote this part of the journal.
    #[error(
        "{} is in version {found} of the journal, but this program knows version {known}; use the program that wrote it",
        path.display()
    )]
    JournalTooNew {
        /// The file.
        path: PathBuf,
        /// The version that it is written in.
        found: u32,
        /// The version this program knows.
        known: u32,
    },
    /// Credentials and secrets of this store were made with another master key.
    #[error("the master key is not the one this store was made with")]
    WrongMasterKey,
    /// The SQLite library has a known fault that corrupts data.
    #[error("the SQLite library is version {found}, but 3.51.3 or later is needed")]
    OldSqlite {
        /// Its version as SQLite writes it: 3051003 for 3.51.3.
        found: i32,
    },
    /// The operating system refused something.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused something.
    #[error("{doing}")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// What the database said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { doing, source: Box::new(source) }
    }
}

/// Why a copy was not made, or not put back. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory or the store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The directory to make has something in it.
    #[error("{} is not empty; name a directory that is empty or not there", .0.display())]
    NotEmpty(PathBuf),
    /// The directory to make has no name of its own.
    #[error("{} cannot be made; name a directory that is empty or not there", .0.display())]
    NoName(PathBuf),
    /// An earlier one was cut short.
    #[error("{} is what is left of an earlier copy that was cut short; remove it", .0.display())]
    Unfinished(PathBuf),
    /// The master key is not in the data directory.
    #[error("there is no {}: the master key comes from the environment; copy without it, and keep it apart", .0.display())]
    NoMasterKey(PathBuf),
    /// There is no copy, or it was never finished.
    #[error("{} has no manifest.json: it is no backup, or was cut short; name another", .0.display())]
    NoManifest(PathBuf),
    /// A file is not what it was when it was copied.
    #[error("{} is damaged; use another backup", .0.display())]
    Damaged(PathBuf),
    /// Another program made the copy.
    #[error("the backup has format {found}, but this program knows {known}; use a newer program")]
    OtherFormat {
        /// The format of the copy.
        found: u64,
        /// The one that this program reads.
        known: u32,
    },
    /// The thread that copied ended by a fault, or the gateway stopped.
    #[error("the copy was cut short; try again")]
    Cut,
}

/// Why an edit was not made. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A rule forbids it.
    #[error("the edit was refused")]
    Rejected(Rejection),
    /// The store cannot write now; the log says why.
    #[error("storage is unavailable")]
    Unavailable,
}

/// The store cannot answer now; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("storage is unavailable")]
pub struct Unavailable;
