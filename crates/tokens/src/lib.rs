//! Counts tokens before a call is made: text by the model's own vocabulary where it is known, by its bytes where it
//! is not, everything else by constants.
//!
//! By bytes is an estimate at a stated ratio, chosen high: English has about 4.5 bytes a token, code 3.3, Chinese,
//! Japanese and Korean close to 3. So it errs upwards, by about a half on English prose and hardly at all on Chinese.
//! It errs downwards only on text that a vocabulary hardly knows (random characters, base64, rare scripts: down to
//! one byte a token; in older vocabularies such as `cl100k` Chinese too, down to two and a half). By vocabulary the
//! text is exact, but for cuts in words of more than 2 KiB. What the model server reports replaces either at the end
//! of the call, so an error costs room for the length of a call, never money.
//!
//! Guarantees: never fails on any text; what a count costs is bounded in each byte and altogether; text is never
//! kept, shown or logged.
//! Knows nothing of: providers, JSON, threads of its callers.
//! Begins at [`Tokenizer`] and [`Prompt`].

mod prompt;
mod tokenizer;
mod vocabulary;

pub use prompt::{COUNTED_MAX, Prompt};
pub use tokenizer::Tokenizer;
pub use vocabulary::PIECE_MAX;

/// Bytes of UTF-8 text that are taken for one token.
pub const BYTES_PER_TOKEN: usize = 3;
/// What a chat template writes around each message: its start, its role, its end. Low by one where it has a name.
pub const MESSAGE_OVERHEAD: u64 = 4;
/// What a chat template writes after the last message, so that the model begins its reply. Once a call.
pub const REPLY_PRIMING: u64 = 3;
/// One image. High for low detail (85), about right for a 1024 pixel square in high detail, low for the largest.
pub const IMAGE: u64 = 1_500;
/// One audio clip: between one and three minutes of speech, as providers count it. Low for longer ones.
pub const AUDIO: u64 = 2_000;
/// One file: a few pages of text. Low for books.
pub const FILE: u64 = 5_000;
/// One video: about a minute at a frame every few seconds. Low for films.
pub const VIDEO: u64 = 15_000;
/// The output of a call that declares no bound. Most answers are shorter; long ones are settled as debt.
pub const OUTPUT_GUESS: u64 = 512;

/// Tokens of so many bytes of text, rounded up: any text at all is at least one token.
#[must_use]
pub fn text(bytes: usize) -> u64 {
    whole(bytes.div_ceil(BYTES_PER_TOKEN))
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn no_text_is_no_token() {
        assert_eq!(text(0), 0);
    }

    #[test]
    fn a_part_of_a_token_is_a_token() {
        assert_eq!([text(1), text(3), text(4), text(6)], [1, 1, 2, 2]);
    }

    #[test]
    fn the_longest_text_can_be_counted() {
        assert_eq!(text(usize::MAX), u64::try_from(usize::MAX).unwrap().div_ceil(3));
    }

    #[test]
    fn english_is_counted_high() {
        // 9 words and a stop: 10 tokens in today's vocabularies.
        let tokens = text("The quick brown fox jumps over the lazy dog.".len());
        assert!((10..=15).contains(&tokens), "{tokens}");
    }
}
