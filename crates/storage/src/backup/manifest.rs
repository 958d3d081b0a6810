//! What a copy says of itself: written last, so a copy without it is none.

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Take};
use std::path::{Component, Path};

use domain::WorkspaceId;
use serde::{Deserialize, Serialize};

use crate::error::{BackupError, OpenError};

/// Its file in the copy.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The form that this program writes and reads.
const FORMAT: u32 = 1;
/// Longest manifest that is read, in bytes: a thousand workspaces and files take about 200 KB.
const LEN_MAX: u64 = 64 << 20;

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub format: u32,
    /// The version of the program that made the copy.
    pub program: String,
    /// The version of the store's schema.
    pub schema: u32,
    /// When it was made, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The latest settlement in the ledger, in milliseconds since 1970 UTC; 0 where it is empty. What the journal says
    /// beyond it is added at the first start.
    pub recorded_ms: u64,
    /// How far events have come, for each workspace that has any.
    pub reached: Vec<Reached>,
    /// Whether the master key is in it.
    pub has_master_key: bool,
    /// Every other file.
    pub files: Vec<CopiedFile>,
}

/// The last event of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub workspace: WorkspaceId,
    /// Its sequence.
    pub sequence: u64,
    /// Its time, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// A file of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFile {
    /// Where it is in the copy, with `/` between names.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    pub(super) const FORMAT: u32 = FORMAT;

    /// Its text.
    pub(super) fn text(&self) -> Result<Vec<u8>, BackupError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|_| BackupError::Cut)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Reads what a copy says of itself.
pub(super) fn read(dir: &Path) -> Result<Manifest, BackupError> {
    let file = dir.join(MANIFEST_FILE);
    let opened = match fs::File::open(&file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BackupError::NoManifest(dir.to_owned()));
        }
        Err(error) => return Err(OpenError::io("opening", &file)(error).into()),
    };
    let mut text = Vec::new();
    let mut bounded: Take<_> = opened.take(LEN_MAX);
    bounded.read_to_end(&mut text).map_err(OpenError::io("reading", &file))?;
    let damaged = || BackupError::Damaged(file.clone());
    // The form first: another one may have other fields.
    let said: serde_json::Value = serde_json::from_slice(&text).map_err(|_| damaged())?;
    match said.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => return Err(BackupError::OtherFormat { found: format, known: FORMAT }),
        None => return Err(damaged()),
    }
    let manifest: Manifest = serde_json::from_value(said).map_err(|_| damaged())?;
    let mut paths = HashSet::new();
    let are_sound = manifest.files.iter().all(|file| is_sound(&file.path) && paths.insert(&*file.path));
    if are_sound { Ok(manifest) } else { Err(damaged()) }
}

/// Whether a path stays within the copy.
fn is_sound(path: &str) -> bool {
    let mut names = Path::new(path).components().peekable();
    names.peek().is_some() && names.all(|name| matches!(name, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_copy_is_not_sound() {
        for path in ["", "/etc/passwd", "../x", "journal/../../x", "./x"] {
            assert!(!is_sound(path), "{path}");
        }
        assert!(is_sound("tollgate.db") && is_sound("journal/0-1.seg"));
    }
}
