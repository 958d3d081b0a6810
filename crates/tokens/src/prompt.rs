//! The prompt of one call, taken out of its request so that it can be counted on any thread.
//!
//! Guarantees: holds at most [`COUNTED_MAX`] bytes of text; shows nothing of it.
//! Begins at [`Prompt::push`] and [`Prompt::tokens`].

use std::fmt;

use crate::tokenizer::Tokenizer;
use crate::whole;

/// Bytes of a prompt's text that are counted by a vocabulary: some 30 ms of work, 0.1 s at worst. Longer prompts are
/// rare, few models take them, and what is left of one is taken to be like its beginning.
pub const COUNTED_MAX: usize = 1024 * 1024;

/// What a prompt counts: its texts, and tokens that are no text.
#[derive(Default)]
pub struct Prompt {
    /// Texts, one after the other.
    texts: String,
    /// Where each of them ends: no token reaches from one text into the next.
    ends: Vec<usize>,
    /// Bytes of text beyond [`COUNTED_MAX`].
    beyond: usize,
    /// Tokens that are no text.
    fixed: u64,
}

impl Prompt {
    /// Adds a text.
    pub fn push(&mut self, text: &str) {
        let fits = text.floor_char_boundary(COUNTED_MAX.saturating_sub(self.texts.len()));
        let (kept, beyond) = text.split_at(fits);
        self.skip(beyond.len());
        if !kept.is_empty() {
            self.texts.push_str(kept);
            self.ends.push(self.texts.len());
        }
    }

    /// Whether a further text counts by its length alone, so that [`Self::skip`] does as well.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.beyond > 0 || self.texts.len() >= COUNTED_MAX
    }

    /// Adds so many bytes of text unseen.
    pub fn skip(&mut self, bytes: usize) {
        self.beyond = self.beyond.saturating_add(bytes);
    }

    /// Adds tokens that are no text: media, and what a chat template writes.
    pub fn add_tokens(&mut self, tokens: u64) {
        self.fixed = self.fixed.saturating_add(tokens);
    }

    /// Bytes of all its text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.texts.len().saturating_add(self.beyond)
    }

    /// What it is worth. Text beyond [`COUNTED_MAX`] is taken to be as dense as what came before it, and never
    /// thinner than by bytes.
    #[must_use]
    pub fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        let text = match tokenizer.vocabulary() {
            None => crate::text(self.bytes()),
            Some(vocabulary) => {
                let counted = self.texts().map(|text| vocabulary.count(text)).sum::<u64>();
                counted.saturating_add(self.tokens_beyond(counted))
            }
        };
        text.saturating_add(self.fixed)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.texts.get(start..*end))
    }

    /// Tokens of the text beyond, where what came before it has so many. Rounded up.
    fn tokens_beyond(&self, counted: u64) -> u64 {
        let as_dense = whole(self.beyond).saturating_mul(counted).div_ceil(whole(self.texts.len()).max(1));
        as_dense.max(crate::text(self.beyond))
    }
}

/// Shows nothing of the text.
impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTED_MAX, Prompt};
    use crate::Tokenizer;

    fn prompt(texts: &[&str]) -> Prompt {
        Tokenizer::O200k.load();
        let mut prompt = Prompt::default();
        texts.iter().for_each(|text| prompt.push(text));
        prompt
    }

    #[test]
    fn texts_are_counted_one_by_one_and_bytes_together() {
        let mut apart = prompt(&["hel", "", "lo"]);
        apart.add_tokens(10);
        assert_eq!((prompt(&["hello"]).tokens(Tokenizer::O200k), apart.tokens(Tokenizer::O200k)), (1, 12));
        assert_eq!((apart.bytes(), apart.tokens(Tokenizer::Bytes)), (5, 12));
    }

    #[test]
    fn what_is_beyond_the_bound_counts_as_dense_as_what_came_before_it() {
        let dense = "\u{10ffff}".repeat(COUNTED_MAX / 4);
        let counted = prompt(&[&dense]).tokens(Tokenizer::O200k);
        assert!(counted > crate::text(2 * COUNTED_MAX), "{counted}");
        let twice = prompt(&[&dense, &dense]);
        assert_eq!((twice.bytes(), twice.tokens(Tokenizer::O200k)), (2 * COUNTED_MAX, 2 * counted));
    }

    #[test]
    fn what_is_beyond_the_bound_is_never_thinner_than_by_bytes() {
        let thin = " ".repeat(COUNTED_MAX);
        let (once, mut twice) = (prompt(&[&thin]), prompt(&[&thin]));
        assert!(once.is_full() && once.tokens(Tokenizer::O200k) < 20_000);
        twice.skip(COUNTED_MAX);
        let more = twice.tokens(Tokenizer::O200k) - once.tokens(Tokenizer::O200k);
        assert_eq!(more, crate::text(COUNTED_MAX));
    }

    #[test]
    fn a_text_is_cut_at_the_bound_between_its_characters() {
        let prompt = prompt(&["a", &"€".repeat(COUNTED_MAX / 3 + 1)]);
        assert!(prompt.is_full());
        assert_eq!(prompt.bytes(), 1 + 3 * (COUNTED_MAX / 3 + 1));
        assert!(prompt.texts.len() > COUNTED_MAX - 3 && prompt.texts.len() <= COUNTED_MAX);
    }

    #[test]
    fn nothing_of_the_text_is_shown() {
        assert!(!format!("{:?}", prompt(&["my secret"])).contains("secret"));
    }
}
