//! Frames: each record with its length before it, and a checksum that is salted by its segment.
//!
//! ```text
//! length of the payload: u32 · checksum of salt, length and payload (CRC-32): u32 · payload
//! ```
//!
//! A length of zero, which a segment is full of when it is made, ends the frames. So does a checksum that is not right: a
//! record that was torn, or bytes of another segment, which has another salt.
//!
//! Guarantees: reading whatever bytes never panics; a frame whose bytes were changed is no frame.
//! Knows nothing of: what a payload says.

use crc32fast::Hasher;

/// What a frame has before its payload.
pub(super) const FRAME_LEN: usize = 8;

/// Appends a frame whose payload `write` appends.
pub(super) fn put(out: &mut Vec<u8>, salt: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; FRAME_LEN]);
    write(out);
    let Ok(len) = u32::try_from(out.len() - at - FRAME_LEN) else {
        // Nothing that long fits a segment; who appends it finds that out.
        return;
    };
    let sum = checksum(salt, len, &out[at + FRAME_LEN..]);
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    out[at + 4..at + FRAME_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// The payloads of a segment, from the first byte after its header to the first that is none.
#[derive(Debug, Clone)]
pub(super) struct Frames<'a> {
    rest: &'a [u8],
    salt: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(bytes: &'a [u8], salt: u64) -> Self {
        Self { rest: bytes, salt }
    }

    /// Whether something stands behind the last frame: a record that was torn, or damage.
    pub(super) fn is_torn(&self) -> bool {
        self.rest.iter().any(|byte| *byte != 0)
    }

    fn split(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (head, rest) = self.rest.split_first_chunk::<FRAME_LEN>()?;
        let [a, b, c, d, e, f, g, h] = *head;
        let len = u32::from_le_bytes([a, b, c, d]);
        let (payload, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        let is_right = len > 0 && checksum(self.salt, len, payload) == u32::from_le_bytes([e, f, g, h]);
        is_right.then_some((payload, rest))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (payload, rest) = self.split()?;
        self.rest = rest;
        Some(payload)
    }
}

fn checksum(salt: u64, len: u32, payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_at_zeroes_at_the_first_wrong_byte_and_at_those_of_another_segment() {
        let mut bytes = Vec::new();
        put(&mut bytes, 7, |out| out.extend_from_slice(b"one"));
        put(&mut bytes, 7, |out| out.extend_from_slice(b"two"));
        let both = bytes.len();
        bytes.extend_from_slice(&[0; 16]);
        let mut frames = Frames::new(&bytes, 7);
        assert_eq!(frames.by_ref().collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(!frames.is_torn());
        assert_eq!(Frames::new(&bytes, 8).count(), 0, "another salt");
        for at in both / 2..both {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            let mut frames = Frames::new(&broken, 7);
            assert_eq!(frames.by_ref().collect::<Vec<_>>(), [b"one"], "byte {at}");
            assert!(frames.is_torn());
        }
    }
}
