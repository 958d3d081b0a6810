//! The store copied as of one moment, and what the copy says of itself.

use std::fs;
use std::path::Path;

use domain::WorkspaceId;
use rusqlite::{Connection, OpenFlags};

use super::fields::{read_count, read_id};
use super::{load, make_private};
use crate::backup::Reached;
use crate::error::OpenError;

/// What a copied store holds.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) schema: u32,
    pub(crate) recorded_ms: u64,
    pub(crate) reached: Vec<Reached>,
}

/// Copies the store as of this moment into a file that is not there, and waits until it is on disk. Whoever writes goes
/// on meanwhile.
pub(crate) fn copy_store(reader: &Connection, to: &Path) -> Result<(), OpenError> {
    make_private(to)?;
    let copied = reader.execute("VACUUM INTO ?1", [to.to_string_lossy()]);
    copied.map_err(OpenError::database("copying the store"))?;
    let synced = fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(OpenError::io("writing", to))
}

/// Reads a copy that nobody writes.
pub(crate) fn told_by_copy(file: &Path) -> Result<Told, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = || {
        let connection = Connection::open_with_flags(file, flags)?;
        let schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let recorded_ms = load::last_recorded_ms(&connection)?;
        let mut ask =
            connection.prepare("SELECT workspace, sequence, at_ms FROM sequences ORDER BY workspace")?;
        let reached = ask.query_map([], |row| {
            Ok(Reached {
                workspace: WorkspaceId(read_id(row, "workspace")?),
                sequence: read_count(row, "sequence")?,
                at_ms: read_count(row, "at_ms")?,
            })
        })?;
        Ok(Told { schema, recorded_ms, reached: reached.collect::<rusqlite::Result<_>>()? })
    };
    read().map_err(OpenError::database("reading the copy"))
}
