//! The store on this machine's disk: one SQLite file, written by the committer alone.
//!
//! Write-ahead log, and every commit waits for the disk: what was answered survives a loss of power.
//!
//! Guarantees: files are readable by their owner only; a store of another version or key is left untouched.
//! Knows nothing of: queues and threads.
//! Begins at [`open`].

mod audit;
mod books;
mod config_rows;
mod copy_store;
mod correction_rows;
mod customer_rows;
mod day_rows;
pub(crate) mod delivery_rows;
mod entry_rows;
mod event_pages;
mod event_rows;
mod fields;
mod folds;
mod history_rows;
mod late_sums;
mod ledger_rows;
mod line_edits;
mod line_records;
mod load;
mod lock;
mod migrations;
mod prune;
mod refusal_rows;
mod replay;
mod rollup_rows;
mod span_rows;
mod terms;
mod webhook_rows;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Now, Snapshot, Version};
use rusqlite::{Connection, OpenFlags};

pub(crate) use self::audit::run as audit;
pub(crate) use self::books::Books;
pub(crate) use self::copy_store::{copy_store, told_by_copy};
pub(crate) use self::correction_rows::{read as read_corrections, write as correct};
pub(crate) use self::day_rows::ever_used;
pub use self::entry_rows::LedgerLine;
pub(crate) use self::entry_rows::{
    read as read_entry, read_after as read_entries_after, read_last as read_last_entries,
};
pub(crate) use self::event_pages::{page as event_page, read as read_events, window as event_window};
pub(crate) use self::fields::{count, id, read_count};
pub(crate) use self::history_rows::read as history;
pub(crate) use self::line_edits::read as read_line_edits;
pub use self::line_edits::{LineEdit, UseChange};
pub(crate) use self::line_records::{counter as line_counter, home as line_home};
pub(crate) use self::prune::batch as prune;
pub(crate) use self::refusal_rows::write as write_refusals;
pub(crate) use self::rollup_rows::HOUR_MS;
use crate::error::OpenError;
use crate::vault::Vault;

/// The store's file in the data directory.
pub(crate) const FILE: &str = "tollgate.db";
/// SQLite 3.51.3: earlier ones can corrupt a write-ahead log.
const SQLITE_MIN: i32 = 3_051_003;
/// KiB of pages that the committer keeps, so that the sums' rows of busy groups stay in memory: 32 MiB.
const PAGES_KIB: i64 = 32 * 1_024;
/// How long to wait for another connection, such as a backup's.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// What opening a directory would meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether there is a store.
    pub exists: bool,
    /// Schema version on disk; 0 if there is no store.
    pub schema_found: u32,
    /// The latest schema version this program knows.
    pub schema_known: u32,
    /// Names of the migrations that would run.
    pub pending_migrations: Vec<&'static str>,
    /// Whether another process serves from this directory.
    pub locked: bool,
    /// Its process id, if it says.
    pub locked_by: Option<u32>,
}

/// A store that was opened.
pub(crate) struct Opened {
    pub(crate) books: Books,
    pub(crate) last_recorded_ms: u64,
}

/// Opens the store in `dir`, or makes it.
pub(crate) fn open(
    dir: &Path,
    vault: Arc<Vault>,
    engine: Arc<limits::Engine>,
    now: Now,
) -> Result<Opened, OpenError> {
    let doing = OpenError::database;
    make_dir(dir)?;
    let lock = lock::take(dir)?;
    let mut connection = open_writer(dir)?;
    let found = migrations::found(&connection, migrations::ALL)?;
    if found > 0 {
        load::check_master_key(&connection, &vault)?;
    }
    migrations::run(&mut connection, dir, migrations::ALL)?;
    migrations::settle(&connection).map_err(doing("tidying up the store after opening"))?;
    load::keep_check_value(&connection, &vault).map_err(doing("writing the check value"))?;
    let customers = customer_rows::read(dir)?;
    let snapshot =
        load::snapshot(&connection, &vault, customers).map_err(doing("reading the configuration"))?;
    let line_use = load::line_use(&connection, &snapshot).map_err(doing("reading what is spent"))?;
    replay::run(&mut connection, &line_use).map_err(doing("adding up what was written last"))?;
    let today = load::today(&connection, now.day()).map_err(doing("reading today's use"))?;
    let last_recorded_ms = load::last_recorded_ms(&connection).map_err(doing("reading the ledger"))?;
    let last_used =
        load::last_used(&connection).map_err(doing("reading when management keys were last used"))?;
    let fresh = snapshot.version() == Version::default();
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let (today, line_use, last_used) = (Arc::new(today), Arc::new(line_use), Arc::new(last_used));
    let bell = Arc::default();
    let shared = books::Shared { vault, engine, snapshot, today, line_use, last_used, bell };
    let mut books = Books::new(connection, lock, shared);
    if fresh {
        books.make_default_workspace(now).map_err(doing("making the first workspace"))?;
    }
    Ok(Opened { books, last_recorded_ms })
}

/// A connection that only reads, for questions beside the committer.
pub(crate) fn open_reader(dir: &Path) -> Result<Connection, OpenError> {
    open_file_to_read(&store_file(dir))
}

fn open_file_to_read(file: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = OpenError::database("opening the store to read");
    let open = || {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(BUSY_WAIT)?;
        Ok(connection)
    };
    open().map_err(doing)
}

/// One more connection to the file that this one reads.
pub(crate) fn open_beside(reader: &Connection) -> Result<Connection, OpenError> {
    open_file_to_read(Path::new(reader.path().unwrap_or_default()))
}

/// What opening `dir` would meet. Reads the head of the file only: a connection would leave files behind.
pub(crate) fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    let file = store_file(dir);
    let exists = file.try_exists().map_err(OpenError::io("looking for the store at", &file))?;
    let schema_found = if exists { schema_of(&file)? } else { 0 };
    let (locked, locked_by) = match lock::probe(dir)? {
        lock::State::Free => (false, None),
        lock::State::Held(pid) => (true, pid),
    };
    Ok(Inspection {
        exists,
        schema_found,
        schema_known: migrations::known(migrations::ALL),
        pending_migrations: migrations::pending(migrations::ALL, schema_found).map(|m| m.name).collect(),
        locked,
        locked_by,
    })
}

/// Groups and endpoints, read without keys. A store that nobody has open is read as it lies there, because a
/// connection would leave files behind; so one with a log beside it is not read.
pub(crate) fn configuration(dir: &Path) -> Result<Option<Snapshot>, OpenError> {
    let Inspection { exists, schema_found, schema_known, locked, .. } = inspect(dir)?;
    if !exists || schema_found != schema_known || (!locked && has_log(dir)?) {
        return Ok(None);
    }
    let connection = if locked { open_reader(dir)? } else { open_as_it_lies(dir)? };
    load::outline(&connection).map(Some).map_err(OpenError::database("reading the configuration"))
}

/// The latest schema version that this program knows.
pub(crate) fn schema_known() -> u32 {
    migrations::known(migrations::ALL)
}

/// Takes the lock of a directory whose store is of this program's version, to look at it or to copy it.
pub(crate) fn lock_at_rest(dir: &Path) -> Result<lock::Lock, OpenError> {
    let Inspection { exists, schema_found, schema_known, .. } = inspect(dir)?;
    if !exists {
        return Err(OpenError::NoStore);
    }
    let lock = lock::take(dir)?;
    match schema_found.cmp(&schema_known) {
        std::cmp::Ordering::Equal => Ok(lock),
        std::cmp::Ordering::Less => Err(OpenError::TooOld { found: schema_found, known: schema_known }),
        std::cmp::Ordering::Greater => Err(OpenError::TooNew { found: schema_found, known: schema_known }),
    }
}

/// A connection that only reads, where the lock is ours. Without a log beside it the store is read as it lies there.
pub(crate) fn open_at_rest(dir: &Path) -> Result<Connection, OpenError> {
    if has_log(dir)? { open_reader(dir) } else { open_as_it_lies(dir) }
}

fn has_log(dir: &Path) -> Result<bool, OpenError> {
    let log = dir.join(format!("{FILE}-wal"));
    log.try_exists().map_err(OpenError::io("looking for the log", &log))
}

/// `immutable`: nobody writes, so neither locks nor files of the connection are needed
/// (<https://www.sqlite.org/uri.html#uriimmutable>).
fn open_as_it_lies(dir: &Path) -> Result<Connection, OpenError> {
    let file = store_file(dir);
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let opened = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags);
    opened.map_err(OpenError::database("opening the store to look at it"))
}

fn store_file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn make_dir(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(OpenError::io("making the data directory", dir))
}

/// Makes an empty file that only its owner may read. SQLite gives its other files the same permissions.
fn make_private(file: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
    made.map(drop).map_err(OpenError::io("making", file))
}

fn open_writer(dir: &Path) -> Result<Connection, OpenError> {
    let found = rusqlite::version_number();
    if found < SQLITE_MIN {
        return Err(OpenError::OldSqlite { found });
    }
    let file = store_file(dir);
    make_private(&file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(&file, flags)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
        // A burst may grow the log; it is cut to 64 MiB afterwards.
        connection.pragma_update(None, "journal_size_limit", 64 * 1_024 * 1_024)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(OpenError::database("opening the store"))
}

/// The schema version as it stands in the file: `user_version`, four bytes at offset 60
/// (<https://www.sqlite.org/fileformat2.html#the_database_header>). Opening leaves it there, not in the log.
fn schema_of(file: &Path) -> Result<u32, OpenError> {
    let mut head = [0; 64];
    let mut opened = fs::File::open(file).map_err(OpenError::io("opening", file))?;
    match opened.read_exact(&mut head) {
        Ok(()) => Ok(u32::from_be_bytes([head[60], head[61], head[62], head[63]])),
        // A start that was cut short before it wrote anything.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(OpenError::io("reading", file)(error)),
    }
}
