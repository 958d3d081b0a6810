//! Files from one directory to another, each read once and known by its digest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::Connection;

use super::{
    BackupOrder, CopiedFile, JOURNAL, MANIFEST_FILE, MASTER_KEY, Manifest, SEGMENT, check_free, part_of,
};
use crate::embedded;
use crate::error::{BackupError, OpenError};

/// Bytes that are held in memory while copying.
const BUFFER: usize = 256 * 1_024;
/// Most files of the journal; there are a few for each worker.
const SEGMENTS_MAX: usize = 100_000;

/// A directory that is being made. It goes with this, unless it was finished.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    to: PathBuf,
    is_whole: bool,
}

impl Part {
    /// Begins to make `to`.
    fn begin(to: &Path) -> Result<Self, BackupError> {
        check_free(to)?;
        let path = part_of(to)?;
        if path.try_exists().map_err(OpenError::io("looking for", &path))? {
            return Err(BackupError::Unfinished(path));
        }
        if let Some(above) = to.parent().filter(|above| !above.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(above)
                .map_err(OpenError::io("making", above))?;
        }
        make_dir(&path)?;
        Ok(Self { path, to: to.to_owned(), is_whole: false })
    }

    /// Gives it its name.
    fn finish(mut self) -> Result<(), BackupError> {
        sync_dir(&self.path)?;
        // An empty directory of that name is replaced.
        fs::rename(&self.path, &self.to).map_err(OpenError::io("renaming to", &self.to))?;
        self.is_whole = true;
        match self.to.parent() {
            Some(above) if !above.as_os_str().is_empty() => sync_dir(above),
            Some(_) | None => sync_dir(Path::new(".")),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "what there is of a copy cannot be removed");
        }
    }
}

/// Copies a data directory, of which `reader` is open.
pub(super) fn copy(
    (dir, reader): (&Path, &Connection),
    order: &BackupOrder,
) -> Result<Manifest, BackupError> {
    let part = Part::begin(&order.to)?;
    let store = part.path.join(embedded::FILE);
    embedded::copy_store(reader, &store)?;
    let mut files = vec![described(&store, embedded::FILE)?];
    files.extend(copy_journal(dir, &part.path)?);
    let has_master_key = order.with_master_key;
    if has_master_key {
        let key = dir.join(MASTER_KEY);
        if !key.try_exists().map_err(OpenError::io("looking for", &key))? {
            return Err(BackupError::NoMasterKey(key));
        }
        files.push(copy_file((&key, MASTER_KEY), &part.path)?);
    }
    let told = embedded::told_by_copy(&store)?;
    let manifest = Manifest {
        format: Manifest::FORMAT,
        program: order.program.clone(),
        schema: told.schema,
        at_ms: order.now_ms,
        recorded_ms: told.recorded_ms,
        reached: told.reached,
        has_master_key,
        files,
    };
    let file = part.path.join(MANIFEST_FILE);
    write_new(&file, &manifest.text()?).map_err(OpenError::io("writing", &file))?;
    part.finish()?;
    Ok(manifest)
}

/// Copies back what a manifest names, as it says that it is.
pub(super) fn put_back(from: &Path, to: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let part = Part::begin(to)?;
    for file in &manifest.files {
        if let Some((above, _)) = file.path.rsplit_once('/') {
            let above = part.path.join(above);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&above);
            made.map_err(OpenError::io("making", &above))?;
        }
        let source = from.join(&file.path);
        let copied = copy_file((&source, &file.path), &part.path)?;
        if copied != *file {
            return Err(BackupError::Damaged(source));
        }
    }
    if !manifest.files.iter().any(|file| file.path == embedded::FILE) {
        return Err(BackupError::Damaged(from.join(MANIFEST_FILE)));
    }
    part.finish()
}

/// Copies the files of the journal as far as they are written. Every one that was there when the store was copied still
/// is.
fn copy_journal(dir: &Path, to: &Path) -> Result<Vec<CopiedFile>, BackupError> {
    let journal = dir.join(JOURNAL);
    let mut names = Vec::new();
    let entries = match fs::read_dir(&journal) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OpenError::io("looking into", &journal)(error).into()),
    };
    for entry in entries.take(SEGMENTS_MAX) {
        let path = entry.map_err(OpenError::io("looking into", &journal))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == SEGMENT);
        names.extend(
            path.file_name().and_then(|name| name.to_str()).filter(|_| is_segment).map(str::to_owned),
        );
    }
    names.sort_unstable();
    make_dir(&to.join(JOURNAL))?;
    let copied = names.iter().map(|name| {
        let path = format!("{JOURNAL}/{name}");
        copy_file((&journal.join(name), &path), to)
    });
    let copied = copied.collect::<Result<_, _>>()?;
    sync_dir(&to.join(JOURNAL))?;
    Ok(copied)
}

fn copy_file((source, path): (&Path, &str), to: &Path) -> Result<CopiedFile, BackupError> {
    let target = to.join(path);
    let mut reader = File::open(source).map_err(OpenError::io("opening", source))?;
    let copy = |reader: &mut File| {
        let mut writer = new_file(&target)?;
        let copied = digest(reader, |bytes| writer.write_all(bytes))?;
        writer.sync_all()?;
        Ok(copied)
    };
    let (bytes, sha256) = copy(&mut reader).map_err(OpenError::io("copying", source))?;
    Ok(CopiedFile { path: path.to_owned(), bytes, sha256 })
}

fn described(file: &Path, path: &str) -> Result<CopiedFile, BackupError> {
    let read = File::open(file).and_then(|mut reader| digest(&mut reader, |_| Ok(())));
    let (bytes, sha256) = read.map_err(OpenError::io("reading", file))?;
    Ok(CopiedFile { path: path.to_owned(), bytes, sha256 })
}

/// Reads to the end. How many bytes there are, and their digest.
fn digest(reader: &mut File, mut pass_on: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut context, mut bytes) = (Context::new(&SHA256), 0_u64);
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = reader.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        context.update(piece);
        pass_on(piece)?;
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    let digits = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, digits))
}

fn write_new(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = new_file(file)?;
    file.write_all(text)?;
    file.sync_all()
}

/// A file that is not there yet, for its owner only.
fn new_file(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

fn make_dir(dir: &Path) -> Result<(), BackupError> {
    Ok(DirBuilder::new().mode(0o700).create(dir).map_err(OpenError::io("making", dir))?)
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(synced.map_err(OpenError::io("writing", dir))?)
}
