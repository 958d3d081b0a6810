//! Puts together what goes on of one piece of a stream, copying as little as it can.

use std::ops::Range;

use bytes::Bytes;

use super::Fate;

/// What goes on of one piece. A run of units that go on as they are stays a part of the piece, uncopied, until
/// something else comes before or after it.
pub(super) struct Out<'p> {
    piece: &'p Bytes,
    /// The run that is not copied yet; it comes after `copied`.
    kept: Range<usize>,
    copied: Vec<u8>,
}

impl<'p> Out<'p> {
    pub(super) fn new(piece: &'p Bytes) -> Self {
        Self { piece, kept: 0..0, copied: Vec::new() }
    }

    /// Adds a unit that stands in the piece.
    pub(super) fn put(&mut self, unit: Range<usize>, fate: &Fate, slug: &str) {
        match fate {
            Fate::Withhold => {}
            Fate::Forward if self.kept.end == unit.start => self.kept.end = unit.end,
            Fate::Forward => {
                self.copy_kept();
                self.kept = unit;
            }
            Fate::Rename(_) => {
                let piece = self.piece;
                self.put_copy(&piece[unit], fate, slug);
            }
        }
    }

    /// Adds a unit that does not.
    pub(super) fn put_copy(&mut self, unit: &[u8], fate: &Fate, slug: &str) {
        if self.copied.capacity() == 0 && !matches!(fate, Fate::Withhold) {
            // Nearly always what comes first is all there is: then it has its room at once.
            self.copied.reserve_exact(self.kept.len() + unit.len() + slug.len());
        }
        self.copy_kept();
        match fate {
            Fate::Withhold => {}
            Fate::Forward => self.copied.extend_from_slice(unit),
            Fate::Rename(model) => {
                self.copied.extend_from_slice(&unit[..model.start]);
                self.copied.extend_from_slice(slug.as_bytes());
                self.copied.extend_from_slice(&unit[model.end..]);
            }
        }
    }

    fn copy_kept(&mut self) {
        self.copied.extend_from_slice(&self.piece[self.kept.clone()]);
        self.kept = self.kept.end..self.kept.end;
    }

    /// Adds bytes that stand in no unit.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.copy_kept();
        self.copied.extend_from_slice(bytes);
    }

    pub(super) fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.piece.slice(self.kept);
        }
        self.copy_kept();
        self.copied.into()
    }
}
