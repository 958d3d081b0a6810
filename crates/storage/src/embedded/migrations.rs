//! The schema, step by step. A store is brought to the latest version at start, after a copy of what it was.
//!
//! All missing steps run in one transaction: a start that fails leaves the store as it was.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::{FILE, make_dir, make_private};
use crate::error::OpenError;

/// One step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Every step there is. The schema version of a store is the number of steps it has taken.
pub(crate) const ALL: &[Migration] = &[
    Migration { name: "0001_first", sql: include_str!("../../migrations/0001_first.sql") },
    Migration { name: "0002_tenants", sql: include_str!("../../migrations/0002_tenants.sql") },
    Migration { name: "0003_model_configs", sql: include_str!("../../migrations/0003_model_configs.sql") },
    Migration { name: "0004_ledger", sql: include_str!("../../migrations/0004_ledger.sql") },
    Migration { name: "0005_webhooks", sql: include_str!("../../migrations/0005_webhooks.sql") },
    Migration { name: "0006_late_sums", sql: include_str!("../../migrations/0006_late_sums.sql") },
];

/// The version that all these steps lead to.
pub(crate) fn known(migrations: &[Migration]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The steps that a store of version `found` has not taken.
pub(crate) fn pending(
    migrations: &'static [Migration],
    found: u32,
) -> impl Iterator<Item = &'static Migration> {
    migrations.iter().skip(usize::try_from(found).unwrap_or(usize::MAX))
}

/// The version of the store; 0 if there is nothing in it.
pub(crate) fn found(connection: &Connection, migrations: &[Migration]) -> Result<u32, OpenError> {
    let found = version_of(connection).map_err(OpenError::database("reading the schema version"))?;
    let known = known(migrations);
    if found > known { Err(OpenError::TooNew { found, known }) } else { Ok(found) }
}

/// Brings the store to the latest version. A store with anything in it is copied to `before-VERSION` first.
pub(crate) fn run(
    connection: &mut Connection,
    dir: &Path,
    migrations: &'static [Migration],
) -> Result<(), OpenError> {
    let (found, known) = (found(connection, migrations)?, known(migrations));
    if found == known {
        return Ok(());
    }
    if found > 0 {
        copy(connection, &dir.join(format!("before-{known}")))?;
    }
    let mut upgrade = || {
        let transaction = connection.transaction()?;
        for migration in pending(migrations, found) {
            transaction.execute_batch(migration.sql)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()
    };
    upgrade().map_err(OpenError::database("bringing the store to the latest version"))
}

/// Moves the log into the file, so that the head of the file tells the version.
pub(crate) fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn version_of(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Copies the store into `dir`, whole or not at all. An earlier copy there is replaced: it was made by a start that
/// did not finish, or the store was put back since.
fn copy(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    make_dir(dir)?;
    let (part, whole) = (dir.join(format!("{FILE}.part")), dir.join(FILE));
    if part.exists() {
        fs::remove_file(&part).map_err(OpenError::io("removing", &part))?;
    }
    make_private(&part)?;
    let copied = connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]);
    copied.map_err(OpenError::database("copying the store before its upgrade"))?;
    let synced = fs::File::open(&part).and_then(|file| file.sync_all());
    synced.map_err(OpenError::io("writing", &part))?;
    fs::rename(&part, &whole).map_err(OpenError::io("renaming", &part))?;
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(OpenError::io("writing", dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SECOND: Migration = Migration { name: "0002_test", sql: "CREATE TABLE later (n INTEGER) STRICT;" };
    const BROKEN: Migration = Migration { name: "0003_test", sql: "CREATE TABLE more (n INTEGER); NOT SQL;" };
    const ONE: &[Migration] = &[ALL[0]];
    const TWO: &[Migration] = &[ALL[0], SECOND];
    const THREE: &[Migration] = &[ALL[0], SECOND, BROKEN];

    fn open(dir: &Path) -> Connection {
        Connection::open(dir.join(FILE)).unwrap()
    }

    fn tables(connection: &Connection, name: &str) -> u32 {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_new_store_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path());
        run(&mut connection, dir.path(), TWO).unwrap();
        assert_eq!(version_of(&connection).unwrap(), 2);
        assert!(!dir.path().join("before-2").exists());
    }

    #[test]
    fn a_store_is_copied_before_its_upgrade() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path());
        run(&mut connection, dir.path(), ONE).unwrap();
        connection.execute("INSERT INTO config VALUES ('version', 7)", []).unwrap();
        run(&mut connection, dir.path(), TWO).unwrap();

        let file = dir.path().join("before-2").join(FILE);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = open(&dir.path().join("before-2"));
        assert_eq!((version_of(&copy).unwrap(), tables(&copy, "later")), (1, 0));
        let kept: i64 = copy.query_row("SELECT value FROM config", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 7);
        assert_eq!((version_of(&connection).unwrap(), tables(&connection, "later")), (2, 1));
    }

    #[test]
    fn a_step_that_fails_leaves_the_store_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path());
        run(&mut connection, dir.path(), ONE).unwrap();
        assert!(run(&mut connection, dir.path(), THREE).is_err());
        assert_eq!((version_of(&connection).unwrap(), tables(&connection, "later")), (1, 0));
        run(&mut connection, dir.path(), TWO).unwrap();
        assert_eq!(version_of(&connection).unwrap(), 2);
    }

    #[test]
    fn a_store_newer_than_the_program_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path());
        run(&mut connection, dir.path(), TWO).unwrap();
        let refused = run(&mut connection, dir.path(), ONE).unwrap_err();
        assert!(matches!(refused, OpenError::TooNew { found: 2, known: 1 }), "{refused}");
    }
}
