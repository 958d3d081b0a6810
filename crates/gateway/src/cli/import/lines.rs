//! The lines of a file, checked and in batches, as one transaction takes them.
//!
//! Guarantees: no more than two batches are in memory for each that is written; a line is at most [`LINE_MAX`] bytes,
//! and a batch ends once it has [`BATCH_BYTES`]. No fault repeats a key.
//! Begins at [`Lines::batches`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use admin::{Settings, read_addition};
use domain::edit::addition::Addition;
use storage::{ADDITIONS_MAX, Vault};

use super::Fault;

/// Longest line, in bytes.
const LINE_MAX: usize = 1 << 20;
/// Lines of a batch together, in bytes; the last may go beyond it.
const BATCH_BYTES: usize = 16 << 20;

/// Lines that go into the store together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) additions: Vec<Addition>,
    /// The number of each one's line, from 1.
    pub(super) lines: Vec<u64>,
    /// What is wrong with the line behind them. There is no batch after it.
    pub(super) fault: Option<Fault>,
}

/// A file that is being read.
pub(super) struct Lines {
    file: Box<dyn BufRead + Send>,
    /// The one that was read last, from 1.
    number: u64,
    line: Vec<u8>,
}

/// What people call a file.
pub(super) fn name(file: &Path) -> String {
    if is_standard_input(file) { "standard input".to_owned() } else { file.display().to_string() }
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

impl Lines {
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file: Box<dyn BufRead + Send> = match is_standard_input(file) {
            true => Box::new(BufReader::new(io::stdin())),
            false => Box::new(BufReader::new(File::open(file)?)),
        };
        Ok(Self { file, number: 0, line: Vec::new() })
    }

    /// Hands on batch after batch, until nobody takes them or one ends with a fault.
    pub(super) fn batches(mut self, settings: &Settings, vault: &Vault, mut take: impl FnMut(Batch) -> bool) {
        loop {
            let batch = self.batch(settings, vault);
            let is_last = batch.fault.is_some() || batch.additions.is_empty();
            if !take(batch) || is_last {
                return;
            }
        }
    }

    /// The next lines, as far as they are sound. Empty at the end of the file.
    fn batch(&mut self, settings: &Settings, vault: &Vault) -> Batch {
        let (mut batch, mut bytes) = (Batch::default(), 0_usize);
        while batch.additions.len() < ADDITIONS_MAX && bytes < BATCH_BYTES {
            let read = match self.next_line() {
                Ok(None) => break,
                Ok(Some(line)) => {
                    bytes = bytes.saturating_add(line.len());
                    read_addition(line, settings, vault).map_err(|error| error.message().into_owned())
                }
                Err(why) => Err(why),
            };
            match read {
                Ok(addition) => {
                    batch.additions.push(addition);
                    batch.lines.push(self.number);
                }
                Err(message) => {
                    batch.fault = Some(Fault { line: self.number, message });
                    break;
                }
            }
        }
        batch
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> Result<Option<&[u8]>, String> {
        let most = u64::try_from(LINE_MAX).unwrap_or(u64::MAX).saturating_add(1);
        loop {
            self.line.clear();
            self.number = self.number.saturating_add(1);
            let read = self.file.by_ref().take(most).read_until(b'\n', &mut self.line);
            match read {
                Err(error) => return Err(format!("It cannot be read: {error}.")),
                Ok(0) => return Ok(None),
                Ok(read) if read > LINE_MAX => {
                    return Err(format!("It is longer than {LINE_MAX} bytes; make it shorter."));
                }
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => return Ok(Some(&self.line)),
            }
        }
    }
}
