//! Stores with many groups, filled once by `tollgate import` and kept below `target/bench`.
//!
//! Groups stand in trees of five levels, CASCADING, with limits at each level, and each has a key. A store belongs to the
//! binary that filled it; who measures works on a copy. Begins at [`fill`].

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::clock;
use crate::machine::Machine;
use crate::options::Options;
use crate::say::note;
use crate::star::Axis;
use crate::tollgate::{self, LEVELS, group, model};

const SIZES: [usize; 2] = [10_000, 1_000_000];
/// Keys that call, each of another tree.
const CALLING: usize = 1_000;
/// Stores of other binaries that are kept.
const OLD_MAX: usize = 2;
const KEY_LEN: usize = 40;
const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DONE: &str = "filled";
const COPY: &str = "copy-";

/// A store that nobody serves from.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) groups: usize,
    /// With `data` in it.
    dir: PathBuf,
    /// Of those who call.
    pub(super) keys: Vec<String>,
    /// How long it took to fill it, if that was now.
    pub(super) filled_in: Option<Duration>,
}

/// All stores that the measurement needs; none where it has no axis for them.
pub(super) fn fill(options: &Options, machine: Machine, binary: &Path) -> anyhow::Result<Vec<Store>> {
    if !options.full && !options.axes.contains(&Axis::Groups) {
        return Ok(Vec::new());
    }
    drop_copies()?;
    let print = fingerprint(binary)?;
    SIZES.into_iter().map(|groups| Store::of((binary, print), machine, groups)).collect()
}

impl Store {
    fn of((binary, print): (&Path, u64), machine: Machine, groups: usize) -> anyhow::Result<Store> {
        let prefix = format!("{groups}-groups-");
        let dir = shelf()?.join(format!("{prefix}{print:016x}"));
        let mut filled_in = None;
        if !dir.join(DONE).exists() {
            make_room(&prefix)?;
            note(&format!("importing {groups} groups into {}, for minutes; this is kept", dir.display()));
            let begun = clock::now();
            import(binary, machine, &dir, groups)
                .with_context(|| format!("{groups} groups can't be imported"))?;
            filled_in = Some(begun.elapsed());
        }
        let trees = groups / LEVELS;
        let calling = CALLING.min(trees);
        let keys = (0..calling).map(|at| key(at * trees / calling, LEVELS)).collect();
        Ok(Store { groups, dir, keys, filled_in })
    }

    /// Something to serve from.
    pub(super) fn copy(&self) -> anyhow::Result<tempfile::TempDir> {
        let prefix = format!("{COPY}{}-", std::process::id());
        let copy = tempfile::Builder::new().prefix(&prefix).tempdir_in(shelf()?)?;
        let mut command = Command::new("cp");
        command.args(["-a", "--reflink=auto"]).arg(self.dir.join("data")).arg(copy.path());
        ensure!(command.status()?.success(), "the store can't be copied");
        Ok(copy)
    }
}

/// A folder that is half filled is filled anew.
fn import(binary: &Path, machine: Machine, dir: &Path, groups: usize) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    // An import is into a store, and a gateway's first start makes one.
    drop(tollgate::serve(binary, machine, dir)?);
    let file = dir.join("import.ndjson");
    write(&mut BufWriter::new(File::create(&file)?), groups / LEVELS)?;
    let mut command = Command::new(binary);
    command.arg("import").arg(&file).arg("--data-dir").arg(dir.join("data"));
    let status = command.stdout(Stdio::from(std::io::stderr())).status()?;
    ensure!(status.success(), "`tollgate import` failed with {status}");
    fs::remove_file(file)?;
    File::create(dir.join(DONE))?;
    Ok(())
}

/// Parents before their children, and each group before its key.
fn write(file: &mut impl Write, trees: usize) -> anyhow::Result<()> {
    let model = model();
    for tree in 0..trees {
        for level in 1..=LEVELS {
            let mut hierarchy = json!({"limit_enforcement": "CASCADING", "parent_external_entity_id": null});
            if level > 1 {
                hierarchy["parent_external_entity_id"] = name(tree, level - 1).into();
            }
            let group = group(&name(tree, level), &model, &hierarchy);
            writeln!(file, "{}", json!({ "group": group }))?;
            let key = json!({"external_entity_id": name(tree, level), "key": key(tree, level)});
            writeln!(file, "{}", json!({ "key": key }))?;
        }
    }
    Ok(file.flush()?)
}

fn name(tree: usize, level: usize) -> String {
    format!("t{tree}-l{level}")
}

/// No secret: it opens a gateway that lives for minutes, and the next run has to know it. But as a key has to be: of many
/// different characters, and unlike any other at its beginning.
fn key(tree: usize, level: usize) -> String {
    let mut state = (tree * (LEVELS + 1) + level) as u64;
    let characters = (0..KEY_LEN).map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let at = usize::try_from(mixed(state) % CHARACTERS.len() as u64).unwrap_or_default();
        char::from(CHARACTERS[at])
    });
    characters.collect()
}

/// The finalizer of `SplitMix64`.
fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Where stores are kept: beside what was built.
fn shelf() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent).context("the program is not in a target folder")?;
    let shelf = target.join("bench");
    fs::create_dir_all(&shelf)?;
    Ok(shelf)
}

/// Drops what runs left that were cut off.
fn drop_copies() -> anyhow::Result<()> {
    for entry in fs::read_dir(shelf()?)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(COPY)?.split_once('-'));
        if owner.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Drops the oldest stores of other binaries.
fn make_room(prefix: &str) -> anyhow::Result<()> {
    let mut old = Vec::new();
    for entry in fs::read_dir(shelf()?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            old.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    old.sort();
    let surplus = old.len().saturating_sub(OLD_MAX);
    for (_, path) in old.into_iter().take(surplus) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// What a binary is known by.
fn fingerprint(binary: &Path) -> anyhow::Result<u64> {
    let (mut file, mut hasher) = (File::open(binary)?, DefaultHasher::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            len => hasher.write(&buffer[..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_key_and_a_parent_that_came_before_it() {
        let mut file = Vec::new();
        write(&mut file, 2).unwrap();
        let lines: Vec<serde_json::Value> =
            file.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert_eq!(lines.len(), 2 * 2 * LEVELS);
        let mut seen = Vec::new();
        for pair in lines.chunks(2) {
            let group = &pair[0]["group"];
            let name = group["metadata"]["external_entity_id"].as_str().unwrap();
            let parent = group["hierarchy"]["parent_external_entity_id"].as_str();
            assert!(parent.is_none_or(|parent| seen.contains(&parent.to_owned())), "{name}");
            assert_eq!(pair[1]["key"]["external_entity_id"], name);
            seen.push(name.to_owned());
        }
    }

    #[test]
    fn keys_differ_where_they_are_known_by() {
        let keys = [key(1, 1), key(1, 2), key(199_999, 1), key(11, 1)];
        for (at, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 40);
            assert!(keys[at + 1..].iter().all(|other| other[..16] != one[..16]));
        }
    }
}
