//! A copy of everything, taken while the gateway runs or when it does not, and put back in another place.
//!
//! The store first, as of one moment, then the journal: what came after that moment is in the journal, and what is in
//! both is written once. Torn ends of the journal are those of a process that was killed, which every start can read.
//!
//! Guarantees: a copy is there whole or not at all, and only its owner can read it; nobody who writes waits for it.
//! Knows nothing of: what is in the journal.
//! Begins at [`Store::backup`], [`backup_at_rest`] and [`restore`].

mod copying;
mod hold;
mod manifest;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::hold::JournalHold;
pub(crate) use self::hold::JournalHolds;
pub use self::manifest::{CopiedFile, MANIFEST_FILE, Manifest, Reached};
use crate::embedded;
use crate::error::{BackupError, OpenError};
use crate::store::Store;

/// The directory of the journal in a data directory, and in a copy.
const JOURNAL: &str = "journal";
/// What files of the journal end in.
const SEGMENT: &str = "seg";
/// The file that holds the master key, where it is not in the environment.
const MASTER_KEY: &str = "master.key";

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub struct BackupOrder {
    /// The directory to make: absent, or empty.
    pub to: PathBuf,
    /// Whether the file with the master key goes along.
    pub with_master_key: bool,
    /// The version of the program, for the manifest.
    pub program: String,
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
}

impl Store {
    /// Copies everything to another directory while calls and edits go on. Waits on a thread of its own.
    ///
    /// # Errors
    /// A directory that has something in it, or that cannot be written; a store that cannot be read.
    pub async fn backup(&self, order: BackupOrder) -> Result<Manifest, BackupError> {
        // What was recorded before this was asked for is in the copy, journal or not.
        self.flush().await;
        let (store, hold) = (self.clone(), self.hold_journal());
        let copied = tokio::task::spawn_blocking(move || {
            let _hold = hold;
            let reader = embedded::open_reader(store.dir())?;
            copying::copy((store.dir(), &reader), &order)
        });
        copied.await.map_err(|_| BackupError::Cut)?
    }

    /// From now on no file of the journal goes away or is used again, until this is dropped.
    pub fn hold_journal(&self) -> JournalHold {
        self.journal_holds().hold()
    }
}

/// Copies a directory that nobody serves from.
///
/// # Errors
/// When somebody does; otherwise those of [`Store::backup`].
pub fn backup_at_rest(dir: &Path, order: &BackupOrder) -> Result<Manifest, BackupError> {
    let _lock = embedded::lock_at_rest(dir)?;
    let reader = embedded::open_at_rest(dir)?;
    copying::copy((dir, &reader), order)
}

/// Puts a copy into a data directory that is absent or empty. The first start there reads its journal.
///
/// # Errors
/// A copy that is not whole or was made by a newer program; a directory that has something in it, or that cannot be
/// written.
pub fn restore(from: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let manifest = manifest::read(from)?;
    let known = embedded::schema_known();
    if manifest.schema > known {
        return Err(OpenError::TooNew { found: manifest.schema, known }.into());
    }
    copying::put_back(from, to, &manifest)?;
    Ok(manifest)
}

/// A directory is made beside the one that is meant, and takes its name when it is whole.
fn part_of(dir: &Path) -> Result<PathBuf, BackupError> {
    let name = dir.file_name().ok_or_else(|| BackupError::NoName(dir.to_owned()))?;
    let mut name = name.to_owned();
    name.push(".part");
    Ok(dir.with_file_name(name))
}

fn check_free(dir: &Path) -> Result<(), BackupError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty(dir.to_owned())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::io("looking into", dir)(error).into()),
    }
}
