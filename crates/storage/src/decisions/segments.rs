//! The files of refusals: a few segments, appended to in turn, the oldest of which is deleted for a new one.
//!
//! Guarantees: all of them together are never longer than the bound; only their owner may read them; a line that was torn
//! by a crash, or a segment full of anything else, costs no more than itself.
//! Begins at [`Segments::append`]; reading, at [`find`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use domain::{RequestId, WorkspaceId};

use super::line;
use super::recorded::Recorded;

/// Segments there may be: the oldest refusals go an eighth of the room at a time.
const SEGMENTS_MAX: u64 = 8;
const EXTENSION: &str = "jsonl";
/// Digits of a segment's name, so that names sort as numbers do.
const DIGITS: usize = 8;
const READ_AHEAD: usize = 256 * 1024;

/// The segments, for the one thread that writes them.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    bytes_max: u64,
    /// The one that is appended to, once there was something to write.
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    number: u64,
    file: File,
    len: u64,
    /// It ends within a line.
    is_torn: bool,
}

/// A segment as it lies there.
#[derive(Debug, Clone)]
struct Found {
    number: u64,
    path: PathBuf,
    len: u64,
}

impl Segments {
    /// Takes up what is there, and deletes what is beyond the bound.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        Self::delete_oldest(&found(folder)?, bytes_max)?;
        Ok(Self { folder: folder.to_owned(), bytes_max, last: None })
    }

    /// Appends a line, which ends with a line break. After an error the next one begins on a line of its own.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if len_of(line) > self.segment_max() {
            return Err(io::Error::other("a record is longer than the files for it may be"));
        }
        let mut last = match self.last.take() {
            Some(last) => last,
            None => self.resume()?,
        };
        let added = len_of(line) + u64::from(last.is_torn);
        if last.len + added > self.segment_max() {
            last = self.begin(last.number.saturating_add(1))?;
        }
        if last.is_torn {
            last.file.write_all(b"\n")?;
            last.is_torn = false;
            last.len += 1;
        }
        last.file.write_all(line)?;
        last.len += len_of(line);
        self.last = Some(last);
        Ok(())
    }

    fn segment_max(&self) -> u64 {
        self.bytes_max / SEGMENTS_MAX
    }

    /// The newest segment, to go on with: many short lives of the process fill one segment, not many.
    fn resume(&self) -> io::Result<Last> {
        let mut all = found(&self.folder)?;
        let Some(newest) = all.pop() else { return self.begin(1) };
        Self::delete_oldest(&all, self.bytes_max - self.segment_max())?;
        let mut file = OpenOptions::new().read(true).append(true).open(&newest.path)?;
        let len = file.metadata()?.len();
        let is_torn = len > 0 && ends_within_a_line(&mut file)?;
        Ok(Last { number: newest.number, file, len, is_torn })
    }

    /// A new segment, with room for it to grow.
    fn begin(&self, number: u64) -> io::Result<Last> {
        let all = found(&self.folder)?;
        let too_many = all.len().saturating_sub(usize::try_from(SEGMENTS_MAX - 1).unwrap_or(usize::MAX));
        let (oldest, others) = all.split_at(too_many);
        Self::delete_oldest(oldest, 0)?;
        Self::delete_oldest(others, self.bytes_max - self.segment_max())?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.folder.join(format!("{number:0DIGITS$}.{EXTENSION}"));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Last { number, file, len: 0, is_torn: false })
    }

    /// Deletes the oldest of these until the rest is no longer than `bytes_max`.
    fn delete_oldest(segments: &[Found], bytes_max: u64) -> io::Result<()> {
        let mut bytes: u64 = segments.iter().map(|segment| segment.len).sum();
        for segment in segments {
            if bytes <= bytes_max {
                break;
            }
            fs::remove_file(&segment.path)?;
            bytes -= segment.len;
        }
        Ok(())
    }
}

/// The refusal of a call of this workspace, newest segment first. What cannot be read is passed over.
pub(super) fn find(folder: &Path, id: RequestId, workspace: WorkspaceId) -> Option<Recorded> {
    let segments = found(folder).unwrap_or_else(|error| {
        tracing::warn!(%error, "the recorded refusals cannot be listed");
        Vec::new()
    });
    segments.iter().rev().find_map(|segment| match find_in(&segment.path, id, workspace) {
        Ok(found) => found,
        // Deleted for a new one meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, segment = segment.number, "recorded refusals cannot be read");
            None
        }
    })
}

fn find_in(path: &Path, id: RequestId, workspace: WorkspaceId) -> io::Result<Option<Recorded>> {
    let mut reader = BufReader::with_capacity(READ_AHEAD, File::open(path)?);
    let (beginning, mut line) = (line::beginning(id), Vec::new());
    loop {
        line.clear();
        // What is longer than a line of ours comes in pieces, and none of them is one.
        reader.by_ref().take(line::LEN_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let is_it = |recorded: &Recorded| recorded.facts.workspace == workspace;
        if line.starts_with(&beginning)
            && let Some(recorded) = line::read(&line).filter(is_it)
        {
            return Ok(Some(recorded));
        }
    }
}

/// The segments of a folder, oldest first. Anything else in it is left alone.
fn found(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(number) = number_of(&path) else { continue };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => segments.push(Found { number, len: metadata.len(), path }),
            Ok(_) => {}
            // Deleted for a new one meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let is_ours = name.len() >= DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_ours)
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    let mut end = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut end)?;
    Ok(end != *b"\n")
}

fn len_of(line: &[u8]) -> u64 {
    u64::try_from(line.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
