//! What a former process left of the journal, as a start finds it.
//!
//! Guarantees: files are told apart by what stands in them, not by their names or times. One that cannot be read is put
//! aside, never deleted.
//! Begins at [`Files::find`].

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::keeper::Leftover;
use super::segment::{EXTENSION, HEADER_LEN, Head, Header, VERSION};
use crate::error::OpenError;

/// The journal in the data directory.
const FOLDER: &str = "journal";
/// What is put aside.
const BAD_EXTENSION: &str = "bad";
/// Bytes that are read at once.
const PART_LEN: usize = 64 * 1_024;

/// The folder of the journal, and what stays in it.
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
    pub(crate) leftovers: Vec<Leftover>,
    /// The highest number of a segment.
    pub(crate) last_number: u64,
}

/// A segment that can be read.
pub(crate) struct Found {
    path: PathBuf,
    len: u64,
    header: Header,
}

impl Files {
    /// The segments that are there, each lane's in the order in which they were written. Makes the folder.
    pub(crate) fn find(dir: &Path) -> Result<(Self, Vec<Found>), OpenError> {
        let folder = dir.join(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(OpenError::io("making", &folder))?;
        let mut found = Vec::new();
        for file in fs::read_dir(&folder).map_err(OpenError::io("reading", &folder))? {
            let path = file.map_err(OpenError::io("reading", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                found.extend(look(path)?);
            }
        }
        found.sort_by_key(|segment| (segment.header.lane, segment.header.number));
        let last_number = found.iter().map(|segment| segment.header.number).max().unwrap_or(0);
        Ok((Self { folder, leftovers: Vec::new(), last_number }, found))
    }

    /// Keeps a segment for as long as its charges may count.
    pub(crate) fn keep(&mut self, segment: Found) {
        self.leftovers.push(Leftover { path: segment.path, len: segment.len });
    }
}

impl Found {
    pub(crate) fn lane(&self) -> u32 {
        self.header.lane
    }

    /// What reading its frames needs: which start of the machine, and the salt.
    pub(crate) fn key(&self) -> (super::BootId, u64) {
        (self.header.boot, self.header.salt)
    }

    /// Its frames.
    pub(crate) fn read(&self) -> Result<Vec<u8>, OpenError> {
        frames(&self.path).map_err(OpenError::io("reading", &self.path))
    }

    pub(crate) fn warn_torn(&self) {
        tracing::warn!(
            file = %self.path.display(),
            "the journal ends within a record, as after a loss of power; what stands before it is taken up"
        );
    }

    /// Everything in it is in the ledger, and no window counts it.
    pub(crate) fn delete(self) -> Result<(), OpenError> {
        fs::remove_file(&self.path).map_err(OpenError::io("deleting", &self.path))
    }
}

/// What stands behind the header. Most of a segment was never written and is zero, of which only the beginning is kept: no
/// record ends in as many zeroes, and what a start allocates stays with the process.
fn frames(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(u64::try_from(HEADER_LEN).unwrap_or(u64::MAX)))?;
    let (mut bytes, mut blank) = (Vec::new(), 0_usize);
    let mut part = Vec::with_capacity(PART_LEN);
    loop {
        part.clear();
        file.by_ref().take(u64::try_from(PART_LEN).unwrap_or(u64::MAX)).read_to_end(&mut part)?;
        if part.is_empty() {
            bytes.resize(bytes.len().saturating_add(blank.min(PART_LEN)), 0);
            return Ok(bytes);
        }
        if part.iter().all(|byte| *byte == 0) {
            blank = blank.saturating_add(part.len());
        } else {
            bytes.resize(bytes.len().saturating_add(blank), 0);
            bytes.extend_from_slice(&part);
            blank = 0;
        }
    }
}

/// What a file is; none if there is nothing in it to read.
fn look(path: PathBuf) -> Result<Option<Found>, OpenError> {
    let (head, len) = head(&path).map_err(OpenError::io("reading", &path))?;
    match Head::read(&head) {
        Head::Known(header) => Ok(Some(Found { path, len, header })),
        Head::OfVersion(found) => Err(OpenError::JournalTooNew { path, found, known: VERSION }),
        Head::Blank => {
            fs::remove_file(&path).map_err(OpenError::io("deleting", &path))?;
            Ok(None)
        }
        Head::Damaged => {
            let aside = path.with_extension(BAD_EXTENSION);
            fs::rename(&path, &aside).map_err(OpenError::io("putting aside", &path))?;
            tracing::error!(file = %aside.display(), "a segment of the journal is damaged and was put aside");
            Ok(None)
        }
    }
}

fn head(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(HEADER_LEN);
    file.by_ref().take(u64::try_from(HEADER_LEN).unwrap_or(u64::MAX)).read_to_end(&mut head)?;
    Ok((head, file.metadata()?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_with_every_gap_in_it_and_a_little_of_what_is_blank_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.seg");
        let written = [vec![7; HEADER_LEN], vec![1; 3], vec![0; 5 * PART_LEN], vec![2; 9]].concat();
        for (behind, kept) in [(0, 0), (PART_LEN / 2, PART_LEN / 2), (20 * PART_LEN, 2 * PART_LEN)] {
            fs::write(&path, [written.clone(), vec![0; behind]].concat()).unwrap();
            let read = frames(&path).unwrap();
            let (said, blank) = read.split_at(written.len() - HEADER_LEN);
            assert!(*said == written[HEADER_LEN..], "{behind}");
            assert!(blank.len() >= behind.min(PART_LEN) && blank.len() <= kept, "{behind}: {}", blank.len());
            assert!(blank.iter().all(|byte| *byte == 0));
        }
        fs::write(&path, &written[..HEADER_LEN]).unwrap();
        assert!(frames(&path).unwrap().is_empty());
    }
}
