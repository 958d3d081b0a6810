//! Counts a call's prompt, without holding up the thread that serves it.
//!
//! Short prompts are counted where they are. Long ones are counted on a thread beside, a few at once over all calls;
//! and by their bytes where all of those are taken, where a vocabulary is still being loaded, and where the text stands
//! in too much JSON. By bytes a count errs high on nearly all text, so what is not counted well is not let past a limit.
//!
//! Knows nothing of: how text becomes tokens (`tokens`), where text stands in a body (`wire`).
//! Begins at [`PromptCount::tokens`].

use std::sync::Arc;

use tokens::Tokenizer;
use wire::Call;

use crate::worker::Shared;

/// Bytes of text that are counted where a call is served: half a millisecond for prose, under two for the worst text
/// there is. A thread beside costs a tenth of that to ask.
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

    /// Counts a long prompt on a thread beside, so that [`Self::tokens`] knows it from then on.
    pub(crate) async fn count_aside(&mut self, tokenizer: Tokenizer, call: &Call<'_>, shared: &Arc<Shared>) {
        let place = Arc::clone(&shared.counts).try_acquire_owned().ok();
        let prompt = place.and_then(|place| Some((place, call.prompt()?)));
        let counted = match prompt {
            None => None,
            Some((place, prompt)) => {
                let counting = tokio::task::spawn_blocking(move || {
                    let tokens = prompt.tokens(tokenizer);
                    drop(place);
                    tokens
                });
                counting.await.ok()
            }
        };
        self.note(tokenizer, counted.unwrap_or_else(|| call.prompt_tokens()));
    }

    fn note(&mut self, tokenizer: Tokenizer, tokens: u64) -> u64 {
        self.0 = Some((tokenizer, tokens));
        tokens
    }
}

fn taken_out(tokenizer: Tokenizer, call: &Call<'_>) -> u64 {
    call.prompt().map_or_else(|| call.prompt_tokens(), |prompt| prompt.tokens(tokenizer))
}
