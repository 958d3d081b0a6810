//! The counters of a tree, in cache lines side by side, found by index.
//!
//! In chunks, so that growing moves nothing: the chunk is allocated before the lock is taken, and a tree of a million
//! counters never stops for a copy.

use crate::counter::Counter;

/// Counters per chunk: one kilobyte, so that a tree of one group costs no more.
const CHUNK_LEN: usize = 16;

type Chunk = Box<[Counter; CHUNK_LEN]>;

#[derive(Debug, Default)]
pub(crate) struct Slab {
    chunks: Vec<Chunk>,
}

impl Slab {
    /// The chunks that are missing for `len` entries.
    pub(crate) fn chunks_missing(have: u32, len: u32) -> Vec<Chunk> {
        let chunks = |len: u32| index(len).div_ceil(CHUNK_LEN);
        (chunks(have)..chunks(len)).map(|_| Chunk::default()).collect()
    }

    pub(crate) fn grow(&mut self, chunks: Vec<Chunk>) {
        self.chunks.extend(chunks);
    }

    /// The entry at `at`, which was given out by the directory of the same tree.
    #[inline]
    pub(crate) fn at(&mut self, at: u32) -> &mut Counter {
        let at = index(at);
        &mut self.chunks[at / CHUNK_LEN][at % CHUNK_LEN]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Counter> {
        self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut())
    }
}

/// No platform of ours has a `usize` below 32 bits, so the fallback is out of reach.
#[inline]
fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
