//! What lies in the data directory, and who may open it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::GroupId;
use storage::{Inspection, OpenError, Store, UseScope};

use crate::world::*;

const CREDENTIAL: &str = "tg_1234567-plaintext-of-a-customers-key";
const SECRET: &str = "sk-plaintext-of-an-upstream-secret";
const REPLACED: &str = "sk-plaintext-of-a-replaced-secret";

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let world = World::new();
    let store = world.open();
    let refused = world.try_open(MASTER, NOW).unwrap_err();
    assert!(
        matches!(refused, OpenError::Locked { pid: Some(pid) } if pid == std::process::id()),
        "{refused}"
    );
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    let other = store.clone();
    store.close();
    world.open();
    drop(other);
}

#[test]
fn a_newer_store_is_refused_by_naming_both_versions() {
    let world = World::new();
    world.open().close();
    world.sql().pragma_update(None, "user_version", 99).unwrap();
    let refused = world.try_open(MASTER, NOW).unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { found: 99, known: SCHEMA }), "{refused}");
    assert!(
        refused.to_string().contains("99") && refused.to_string().contains(&SCHEMA.to_string()),
        "{refused}"
    );
}

#[test]
fn another_master_key_is_refused_and_the_right_one_still_works() {
    let world = World::new();
    world.open().close();
    assert!(matches!(world.try_open([9; 32], NOW), Err(OpenError::WrongMasterKey)));
    world.open();
}

#[test]
fn a_secret_whose_row_was_moved_is_refused() {
    let world = World::new();
    let store = world.open();
    put_secret(&store, "A", SECRET);
    store.close();
    world.sql().execute("UPDATE secrets SET name = 'B'", []).unwrap();
    let refused = world.try_open(MASTER, NOW).unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused:?}");
    assert!(!format!("{refused:?}").contains(SECRET));
}

#[test]
fn no_credential_or_secret_lies_in_the_files() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    try_mint(&store, &group, CREDENTIAL).unwrap();
    put_secret(&store, "A", REPLACED);
    put_secret(&store, "A", SECRET);
    book(&store, 1, &[GroupId(1)]);
    assert!(contains(world.path(), b"cust"), "the scan sees what is there");
    for open in [true, false] {
        for plain in [CREDENTIAL.as_bytes(), SECRET.as_bytes(), REPLACED.as_bytes(), &MASTER] {
            assert!(!contains(world.path(), plain), "{} while open: {open}", String::from_utf8_lossy(plain));
        }
        store.clone().close();
    }
}

#[test]
fn only_the_owner_may_read() {
    let world = World::new();
    let dir = world.path().join("made/by/us");
    let store = Store::open(options(&dir, MASTER)).unwrap();
    create(&store, "cust");
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let expected = if file.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&file), expected, "{}", file.display());
    }
}

#[test]
fn what_was_answered_is_in_the_files_even_if_the_process_never_closes_them() {
    let (world, after) = (World::new(), World::new());
    let store = world.open();
    let group = create(&store, "cust");
    put_secret(&store, "A", SECRET);
    book(&store, 1, &[group.id]);
    for file in fs::read_dir(world.path()).unwrap() {
        let file = file.unwrap();
        // The shared memory of the log belongs to living processes only.
        if file.path().is_file() && !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), after.path().join(file.file_name())).unwrap();
        }
    }
    let found = after.open();
    assert_eq!(found.snapshot().group(group.id), Some(&group));
    assert_eq!(found.snapshot().secret(group.workspace, "A").unwrap().value.expose(), SECRET);
    assert_eq!(found.used_today(group.id, UseScope::Own, &slug("acme/m1"), NOW.day()).requests, 1);
}

#[test]
fn looking_says_what_opening_would_meet_and_changes_nothing() {
    let world = World::new();
    let nothing = Inspection {
        exists: false,
        schema_found: 0,
        schema_known: SCHEMA,
        pending_migrations: MIGRATIONS.to_vec(),
        locked: false,
        locked_by: None,
    };
    assert_eq!(Store::inspect(world.path()).unwrap(), nothing);
    assert_eq!(Store::inspect(&world.path().join("not there")).unwrap(), nothing);
    assert_eq!(fs::read_dir(world.path()).unwrap().count(), 0);

    let store = world.open();
    let held = Inspection {
        exists: true,
        schema_found: SCHEMA,
        pending_migrations: Vec::new(),
        locked: true,
        locked_by: Some(std::process::id()),
        ..nothing
    };
    assert_eq!(Store::inspect(world.path()).unwrap(), held);
    store.close();
    let before = fs::read_dir(world.path()).unwrap().count();
    assert_eq!(Store::inspect(world.path()).unwrap(), Inspection { locked: false, locked_by: None, ..held });
    assert_eq!(fs::read_dir(world.path()).unwrap().count(), before);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn contains(dir: &Path, needle: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|file| {
        let path = file.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}
