//! A copy is whole or not there, and what is put back is what was copied.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use domain::GroupId;
use storage::{BackupError, BackupOrder, Manifest, OpenError, Store, audit_at_rest, backup_at_rest, restore};

use crate::world::*;

fn order(to: &Path) -> BackupOrder {
    BackupOrder { to: to.to_owned(), with_master_key: false, program: "0.1.0".into(), now_ms: NOON_MS }
}

fn back_up(store: &Store, to: &Path) -> Result<Manifest, BackupError> {
    wait(store.backup(order(to)))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn open(dir: &Path) -> Store {
    Store::open(options(dir, MASTER)).unwrap()
}

/// A closed store with a few calls, and room beside it.
struct Copied {
    world: World,
    beside: tempfile::TempDir,
}

impl Copied {
    fn new() -> Self {
        let (world, beside) = (World::new(), tempfile::tempdir().unwrap());
        let store = world.open();
        let group = create(&store, "cust");
        (1..=5).for_each(|n| book(&store, n, &[group.id]));
        fs::create_dir_all(world.path().join("journal")).unwrap();
        for (name, text) in [("0-1.seg", "first"), ("1-1.seg", ""), ("0-0.seg.tmp", "no segment")] {
            fs::write(world.path().join("journal").join(name), text).unwrap();
        }
        store.close();
        Self { world, beside }
    }

    fn to(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    fn copy(&self) -> (PathBuf, Manifest) {
        let to = self.to("copy");
        let manifest = backup_at_rest(self.world.path(), &order(&to)).unwrap();
        (to, manifest)
    }
}

#[test]
fn a_copy_tells_how_far_it_goes_and_only_its_owner_may_read_it() {
    let copied = Copied::new();
    let (to, manifest) = copied.copy();
    assert_eq!((manifest.schema, manifest.at_ms, manifest.recorded_ms), (SCHEMA, NOON_MS, NOON_MS));
    let [reached] = &*manifest.reached else { unreachable!("{manifest:?}") };
    assert_eq!((reached.sequence, reached.at_ms), (5, NOON_MS));
    let paths: Vec<_> = manifest.files.iter().map(|file| (&*file.path, mode(&to.join(&file.path)))).collect();
    assert_eq!(paths, [("tollgate.db", 0o600), ("journal/0-1.seg", 0o600), ("journal/1-1.seg", 0o600)]);
    assert_eq!(
        [mode(&to), mode(&to.join("journal")), mode(&to.join("manifest.json"))],
        [0o700, 0o700, 0o600]
    );
    let first = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
    assert_eq!(manifest.files[1].sha256, first, "of the word `first`");
}

#[test]
fn what_is_put_back_is_what_was_copied() {
    let copied = Copied::new();
    let (from, manifest) = copied.copy();
    let to = copied.to("deep/er/data");
    assert_eq!(restore(&from, &to).unwrap(), manifest);
    assert_eq!(fs::read(to.join("journal/0-1.seg")).unwrap(), b"first");
    assert!(!to.join("manifest.json").exists());
    assert_eq!([mode(&to), mode(&to.join("tollgate.db"))], [0o700, 0o600]);
    fs::remove_dir_all(to.join("journal")).unwrap();
    let audit = audit_at_rest(&to).unwrap();
    assert_eq!((audit.entries, audit.differences), (5, vec![]));
    let store = open(&to);
    assert_eq!(store.snapshot().groups_after(workspace(&store), domain::Version(0)).count(), 1);
}

#[test]
fn a_copy_taken_among_calls_adds_up() {
    let (world, beside) = (World::new(), tempfile::tempdir().unwrap());
    let store = world.open();
    let (root, child) = family(&store, domain::Enforcement::Cascading);
    let done = AtomicBool::new(false);
    let copies: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                let path: [GroupId; 2] = [child.id, root.id];
                record(&store, entry(n, &path, NOON_MS, NOON_MS + u64::from(n)));
                n += 1;
                if n % 16 == 0 {
                    wait(store.flush());
                }
            }
        });
        let copies = (0..4).map(|nth| {
            let to = beside.path().join(format!("copy-{nth}"));
            book(&store, u32::MAX - nth, &[root.id]);
            (back_up(&store, &to).unwrap(), to, nth)
        });
        let copies = copies.collect();
        done.store(true, Ordering::SeqCst);
        copies
    });
    store.close();
    let mut before = 0;
    for (manifest, from, nth) in copies {
        let to = beside.path().join(format!("data-{nth}"));
        restore(&from, &to).unwrap();
        let audit = audit_at_rest(&to).unwrap();
        assert_eq!((audit.count(), audit.entries), (0, manifest.reached[0].sequence), "{audit:?}");
        assert!(audit.entries > before, "what was written before it was asked for is in it");
        before = audit.entries;
    }
}

#[test]
fn nothing_is_written_over_and_nothing_is_left_of_a_copy_that_fails() {
    let copied = Copied::new();
    let (from, _) = copied.copy();
    let full = copied.to("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "").unwrap();
    let refused = backup_at_rest(copied.world.path(), &order(&full)).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty(_)), "{refused}");
    assert!(matches!(restore(&from, &full).unwrap_err(), BackupError::NotEmpty(_)));

    let keyed = BackupOrder { with_master_key: true, ..order(&copied.to("keyed")) };
    let refused = backup_at_rest(copied.world.path(), &keyed).unwrap_err();
    assert!(matches!(refused, BackupError::NoMasterKey(_)), "{refused}");
    fs::write(copied.world.path().join("master.key"), "00").unwrap();
    let manifest = backup_at_rest(copied.world.path(), &keyed).unwrap();
    assert!(manifest.has_master_key);
    assert_eq!(mode(&keyed.to.join("master.key")), 0o600);

    let refused = backup_at_rest(&copied.to("nowhere"), &order(&copied.to("x"))).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::NoStore)), "{refused}");
    let store = copied.world.open();
    let refused = backup_at_rest(copied.world.path(), &order(&copied.to("x"))).unwrap_err();
    assert!(matches!(refused, BackupError::Open(OpenError::Locked { .. })), "{refused}");
    fs::create_dir(copied.to("x")).unwrap();
    back_up(&store, &copied.to("x")).unwrap();

    fs::create_dir(copied.to("y.part")).unwrap();
    let refused = back_up(&store, &copied.to("y")).unwrap_err();
    assert!(matches!(refused, BackupError::Unfinished(_)), "{refused}");
    let mut names: Vec<_> =
        fs::read_dir(copied.beside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["copy", "full", "keyed", "x", "y.part"]);
}

#[test]
fn a_copy_that_is_not_what_it_was_is_not_put_back() {
    let copied = Copied::new();
    let (from, _) = copied.copy();
    let to = copied.to("data");
    let manifest = from.join("manifest.json");
    let said = fs::read_to_string(&manifest).unwrap();
    let with = |change: &dyn Fn()| {
        change();
        let refused = restore(&from, &to).unwrap_err();
        fs::write(&manifest, &said).unwrap();
        assert!(!to.exists() && !copied.to("data.part").exists(), "{refused}");
        refused
    };
    let write = |text: String| fs::write(&manifest, text).unwrap();
    let refused = with(&|| fs::remove_file(&manifest).unwrap());
    assert!(matches!(refused, BackupError::NoManifest(_)), "{refused}");
    for text in ["", "{}", &said[..said.len() / 2], &said.replace("journal/0-1.seg", "../0-1.seg")] {
        let refused = with(&|| write(text.to_owned()));
        assert!(matches!(refused, BackupError::Damaged(_)), "{refused}");
    }
    let refused = with(&|| write(said.replace("\"format\": 1", "\"format\": 2")));
    assert!(matches!(refused, BackupError::OtherFormat { found: 2, .. }), "{refused}");
    let newer = said.replace(&format!("\"schema\": {SCHEMA}"), "\"schema\": 99");
    let refused = with(&|| write(newer.clone()));
    assert!(matches!(refused, BackupError::Open(OpenError::TooNew { found: 99, .. })), "{refused}");
    for (file, text) in [("journal/0-1.seg", "fir5t"), ("journal/0-1.seg", "firs"), ("tollgate.db", "")] {
        let before = fs::read(from.join(file)).unwrap();
        let refused = with(&|| fs::write(from.join(file), text).unwrap());
        assert!(matches!(refused, BackupError::Damaged(_)), "{refused}");
        fs::write(from.join(file), before).unwrap();
    }
    fs::remove_file(from.join("journal/1-1.seg")).unwrap();
    assert!(restore(&from, &to).is_err() && !to.exists());
}
