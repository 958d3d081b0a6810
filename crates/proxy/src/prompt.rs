//! Counts a call's prompt, without holding up the thread that serves it.
//!
//! Short prompts are counted where they are. Long ones are counted on a thread beside, a few at once over all calls;
//! and by their bytes where all of those are taken, where a vocabulary is still being loaded, and where the text stands
//! in too much JSON. By bytes a count errs high on nearly all text: it may refuse what would fit, seldom the reverse.
//!
//! Knows nothing of: how text becomes tokens (`tokens`), where text stands in a body (`wire`).
//! Begins at [`PromptCount::tokens`].

use std::sync::Arc;

use tokens::Tokenizer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::Call;

/// Bytes of text that are counted where a call is served: half a millisecond for prose, two for the worst text there
/// is (`docs/performance.md`).
const INLINE_MAX: usize = 16 * 1024;

/// What a call's prompt was counted to be. Counted once, however often its call looks at the configuration.
#[derive(Debug, Default)]
pub(crate) struct PromptCount(Option<(Tokenizer, u64)>);

impl PromptCount {
    /// The prompt's tokens; `None` if it is so long that it has to be counted aside first.
    pub(crate) fn tokens(&mut self, tokenizer: Tokenizer, call: &Call<'_>) -> Option<u64> {
        match self.0 {
            Some((counted_by, tokens)) if counted_by == tokenizer => Some(tokens),
            _ if !tokenizer.ready() || tokenizer == Tokenizer::Bytes => Some(call.prompt_tokens()),
            _ if call.prompt_bytes() > INLINE_MAX => None,
            _ => Some(self.note(tokenizer, taken_out(tokenizer, call))),
        }
    }

    /// Counts a long prompt on a thread beside if one of the places is free, so that [`Self::tokens`] knows it.
    pub(crate) async fn count_aside(
        &mut self,
        tokenizer: Tokenizer,
        call: &Call<'_>,
        places: &Arc<Semaphore>,
    ) {
        let place = Arc::clone(places).try_acquire_owned().ok();
        let counted = match place.and_then(|place| Some((place, call.prompt()?))) {
            Some((place, prompt)) => beside(place, prompt, tokenizer).await,
            None => None,
        };
        self.note(tokenizer, counted.unwrap_or_else(|| call.prompt_tokens()));
    }

    fn note(&mut self, tokenizer: Tokenizer, tokens: u64) -> u64 {
        self.0 = Some((tokenizer, tokens));
        tokens
    }
}

/// Keeps its place as long as the thread runs, whether or not anybody still waits for it.
async fn beside(place: OwnedSemaphorePermit, prompt: tokens::Prompt, tokenizer: Tokenizer) -> Option<u64> {
    let counting = tokio::task::spawn_blocking(move || {
        let _place = place;
        prompt.tokens(tokenizer)
    });
    counting.await.ok()
}

fn taken_out(tokenizer: Tokenizer, call: &Call<'_>) -> u64 {
    call.prompt().map_or_else(|| call.prompt_tokens(), |prompt| prompt.tokens(tokenizer))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokens::Tokenizer;
    use tokio::sync::Semaphore;
    use wire::{Operation, read_call};

    use super::{INLINE_MAX, PromptCount};

    /// A body with so many words, one token and five bytes each.
    fn body(words: usize) -> String {
        Tokenizer::O200k.load();
        format!(r#"{{"model":"m","input":"{}"}}"#, " word".repeat(words))
    }

    #[tokio::test]
    async fn a_prompt_up_to_the_bound_is_counted_at_once_and_a_longer_one_aside() {
        let places = Arc::new(Semaphore::new(1));
        let (short, long) = (INLINE_MAX / 5, INLINE_MAX / 5 + 1);
        for (words, aside) in [(short, false), (long, true)] {
            let body = body(words);
            let call = read_call(Operation::Embeddings, body.as_bytes()).unwrap();
            let mut count = PromptCount::default();
            assert_eq!(count.tokens(Tokenizer::O200k, &call).is_none(), aside);
            if aside {
                count.count_aside(Tokenizer::O200k, &call, &places).await;
            }
            assert_eq!(count.tokens(Tokenizer::O200k, &call), Some(u64::try_from(words).unwrap()));
            assert_eq!(places.available_permits(), 1);
        }
    }

    #[tokio::test]
    async fn a_long_prompt_without_a_place_is_counted_by_its_bytes() {
        let body = body(INLINE_MAX);
        let call = read_call(Operation::Embeddings, body.as_bytes()).unwrap();
        let mut count = PromptCount::default();
        count.count_aside(Tokenizer::O200k, &call, &Arc::new(Semaphore::new(0))).await;
        assert_eq!(count.tokens(Tokenizer::O200k, &call), Some(call.prompt_tokens()));
    }

    #[test]
    fn a_count_is_kept_until_another_tokenizer_is_asked_for() {
        let body = body(100);
        let call = read_call(Operation::Embeddings, body.as_bytes()).unwrap();
        let mut count = PromptCount::default();
        assert_eq!(count.tokens(Tokenizer::O200k, &call), Some(100));
        assert_eq!(count.tokens(Tokenizer::Bytes, &call), Some(call.prompt_tokens()));
        assert_eq!(count.0, Some((Tokenizer::O200k, 100)));
    }
}
