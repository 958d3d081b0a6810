//! Cursors that say where a list goes on, and to which question they belong.
//!
//! Guarantees: one that we did not write, or that belongs to another question, is refused and not misread.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use storage::Vault;

use crate::error::Error;
use crate::page::BAD_CURSOR;

/// Bytes of the mark that tells our cursors from others.
const MARK: usize = 8;

/// The cursor of this question that stands for this place.
pub(crate) fn written(vault: &Vault, question: &[&[u8]], place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&mark(vault, question, place), place].concat())
}

/// The place that a cursor stands for.
///
/// # Errors
/// One that was not given out for this question.
pub(crate) fn read(vault: &Vault, question: &[&[u8]], cursor: &str) -> Result<Vec<u8>, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor.trim_end_matches('=')).unwrap_or_default();
    let whole: Option<(&[u8; MARK], &[u8])> = bytes.split_first_chunk();
    match whole {
        Some((given, place)) if *given == mark(vault, question, place) => Ok(place.to_vec()),
        Some(_) | None => Err(Error::invalid(BAD_CURSOR)),
    }
}

/// Nobody but us can say it. Words of the question cannot run into each other: each comes with its length.
fn mark(vault: &Vault, question: &[&[u8]], place: &[u8]) -> [u8; MARK] {
    let mut said = b"cursor\0".to_vec();
    for word in question.iter().chain([&place]) {
        said.extend(word.len().to_be_bytes());
        said.extend(*word);
    }
    let mut mark = [0; MARK];
    mark.copy_from_slice(&vault.hash(&said).0[..MARK]);
    mark
}
