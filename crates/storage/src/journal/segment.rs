//! Segments: the files of the journal, each of one length, made ahead of need so that appending to one cannot run out of
//! disk.
//!
//! ```text
//! DATA/journal/LANE-NUMBER.seg
//! magic: 8 bytes · format version: u32 · lane: u32 · number: u64 · salt: u64 · boot id: 16 bytes
//! · checksum of these (CRC-32): u32 · zeroes up to 64 bytes · frames
//! ```
//!
//! The magic, the version and the place of the checksum are the same in every version of the format.
//!
//! Guarantees: only their owner may read them. A segment is never written over by another: it is deleted, and a new one
//! is made, which begins as zeroes.
//! Knows nothing of: records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::codec::Reader;
use crate::random::random_bytes;

/// What a segment has before its frames.
pub(super) const HEADER_LEN: usize = 64;
pub(super) const EXTENSION: &str = "seg";
const MAGIC: &[u8; 8] = b"tollgate";
pub(super) const VERSION: u32 = 1;
/// What the checksum of a header is over.
const SUMMED_LEN: usize = 48;

/// Which start of the machine a monotonic clock belongs to.
pub type BootId = [u8; 16];

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lane: u32,
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) boot: BootId,
}

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Known(Header),
    /// Another version of the program wrote it.
    OfVersion(u32),
    /// It was made, and nothing was ever written to it.
    Blank,
    Damaged,
}

/// A segment that is written to, or was and is kept.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(super) salt: u64,
    path: PathBuf,
    file: File,
}

#[cfg(test)]
thread_local! {
    /// Whether the disk refuses what this thread writes.
    pub(super) static REFUSES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut head = Vec::with_capacity(HEADER_LEN);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&self.lane.to_le_bytes());
        head.extend_from_slice(&self.number.to_le_bytes());
        head.extend_from_slice(&self.salt.to_le_bytes());
        head.extend_from_slice(&self.boot);
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        let mut bytes = [0; HEADER_LEN];
        bytes[..head.len()].copy_from_slice(&head);
        bytes
    }
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(HEADER_LEN)];
        if head.iter().all(|byte| *byte == 0) {
            return Self::Blank;
        }
        Self::parse(head).unwrap_or(Self::Damaged)
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let mut reader = Reader(head);
        let magic = reader.bytes(MAGIC.len())?;
        let version = reader.u32()?;
        let (lane, number, salt, boot) = (reader.u32()?, reader.u64()?, reader.u64()?, reader.array()?);
        let is_right = magic == MAGIC && crc32fast::hash(head.get(..SUMMED_LEN)?) == reader.u32()?;
        match version {
            _ if !is_right => None,
            VERSION => Some(Self::Known(Header { lane, number, salt, boot })),
            other => Some(Self::OfVersion(other)),
        }
    }
}

impl Segment {
    /// Makes a segment of `len` bytes. It is on disk, with its name, when this returns.
    pub(super) fn create(
        folder: &Path,
        (lane, number, boot): (u32, u64, BootId),
        len: u64,
    ) -> io::Result<Self> {
        let path = folder.join(format!("{lane:03}-{number:012}.{EXTENSION}"));
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let header = Header { lane, number, salt: u64::from_le_bytes(random_bytes()), boot };
        let made = prepare(&opened, &header, len).and_then(|()| File::open(folder)?.sync_all());
        if let Err(error) = made {
            // What could not be made must not stay; if even that fails, the next start deletes it.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { salt: header.salt, path, file: opened })
    }

    pub(super) fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(test)]
        if REFUSES.get() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, at)
    }

    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "a segment of the journal cannot be deleted");
        }
    }
}

fn prepare(file: &File, header: &Header, len: u64) -> io::Result<()> {
    allocate(file, len)?;
    file.write_all_at(&header.bytes(), 0)?;
    file.sync_all()
}

/// Takes room on the disk. File systems that cannot do so ahead are written to.
fn allocate(mut file: &File, len: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            let written = io::copy(&mut io::repeat(0).take(len), &mut file)?;
            file.flush()?;
            if written == len { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { lane: 3, number: 70_000, salt: 9, boot: [5; 16] };

    #[test]
    fn a_header_says_whose_it_is_and_one_that_was_changed_says_nothing() {
        let bytes = HEADER.bytes();
        assert_eq!(Head::read(&bytes), Head::Known(HEADER));
        assert_eq!((Head::read(&[0; HEADER_LEN]), Head::read(&[])), (Head::Blank, Head::Blank));
        for at in 0..SUMMED_LEN + 4 {
            let mut broken = bytes;
            broken[at] ^= 0x40;
            assert_eq!(Head::read(&broken), Head::Damaged, "byte {at}");
            assert_eq!(Head::read(&bytes[..at.max(1)]), Head::Damaged, "cut at {at}");
        }
    }

    #[test]
    fn a_header_of_another_version_is_known_as_such() {
        let mut bytes = HEADER.bytes();
        bytes[8] = 2;
        let sum = crc32fast::hash(&bytes[..SUMMED_LEN]);
        bytes[SUMMED_LEN..SUMMED_LEN + 4].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Head::read(&bytes), Head::OfVersion(2));
    }

    #[test]
    fn a_segment_is_made_in_full_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let segment = Segment::create(dir.path(), (1, 2, [5; 16]), 65_536).unwrap();
        let metadata = fs::metadata(&segment.path).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (65_536, 0o600));
        let bytes = fs::read(&segment.path).unwrap();
        let header = Header { lane: 1, number: 2, salt: segment.salt, boot: [5; 16] };
        assert_eq!(Head::read(&bytes), Head::Known(header));
        assert!(bytes[HEADER_LEN..].iter().all(|byte| *byte == 0));
        assert!(Segment::create(dir.path(), (1, 2, [5; 16]), 65_536).is_err(), "never written over");
        segment.remove();
        assert!(!segment.path.exists());
    }
}
