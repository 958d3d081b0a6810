//! Vocabularies: loaded at the first need, once in a process, and counting with them.
//!
//! Each takes 25 to 50 MiB of memory once it is loaded, and nothing before; it is never given back.
//!
//! Guarantees: loading holds nobody up; the cost of counting grows with the length of the text and no faster.
//! Begins at [`Shelf::look`] and [`Vocabulary::count`].

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tiktoken_rs::CoreBPE;

use crate::whole;

/// Text is counted in pieces of at most so many bytes. A merge over one long run of letters costs more for each byte
/// the longer the run is: 0.2 µs in 400 KB, 0.07 µs in 2 KiB.
pub const PIECE_MAX: usize = 2 * 1024;

/// How a vocabulary is made of the table in the program. It fails only if that table is broken.
type Make = fn() -> Option<CoreBPE>;

/// Counts text in the tokens of one family of models.
pub(crate) struct Vocabulary(CoreBPE);

/// Where a vocabulary stands once it is loaded.
pub(crate) struct Shelf {
    loaded: OnceLock<Option<Vocabulary>>,
    /// Whether a thread is loading it, or has.
    begun: AtomicBool,
    make: Make,
}

pub(crate) static O200K: Shelf = Shelf::new(|| tiktoken_rs::o200k_base().ok());
pub(crate) static CL100K: Shelf = Shelf::new(|| tiktoken_rs::cl100k_base().ok());

impl Shelf {
    const fn new(make: Make) -> Self {
        Self { loaded: OnceLock::new(), begun: AtomicBool::new(false), make }
    }

    /// The vocabulary, if it is there. The first one to ask has it loaded.
    pub(crate) fn look(&'static self) -> Option<&'static Vocabulary> {
        if let Some(loaded) = self.loaded.get() {
            return loaded.as_ref();
        }
        if !self.begun.swap(true, Ordering::Relaxed) {
            let loader = thread::Builder::new().name("vocabulary".to_owned()).spawn(|| self.load());
            // Without a thread today, whoever asks next tries again.
            self.begun.store(loader.is_ok(), Ordering::Relaxed);
        }
        None
    }

    /// Loads it, or waits for the one who does.
    pub(crate) fn load(&self) {
        self.loaded.get_or_init(|| (self.make)().map(Vocabulary));
    }
}

impl Vocabulary {
    /// Tokens of a text. Words that a model treats as signs (`<|endoftext|>`) count as text, as they do in a prompt.
    pub(crate) fn count(&self, text: &str) -> u64 {
        // Every byte is a token. Said here because a million such texts are no more than a megabyte.
        if text.len() == 1 {
            return 1;
        }
        let (mut tokens, mut rest) = (0, text);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_len(rest));
            tokens += self.0.count_ordinary(piece);
            rest = later;
        }
        whole(tokens)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("loaded", &self.loaded.get().is_some()).finish_non_exhaustive()
    }
}

/// How many bytes of a text to count next: all, or as many words as fit. A token never goes on from a word into a
/// space, so a cut there changes no count. Within one longer word a cut costs a token or two.
fn piece_len(text: &str) -> usize {
    if text.len() <= PIECE_MAX {
        return text.len();
    }
    let most = text.floor_char_boundary(PIECE_MAX);
    let after_word = |at: &usize| text[..*at].ends_with(|before: char| !before.is_whitespace());
    let spaces = text[..most].rmatch_indices(' ').map(|(at, _)| at);
    spaces.into_iter().find(after_word).unwrap_or(most)
}

#[cfg(test)]
mod tests;
