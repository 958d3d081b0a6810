//! The bytes of an answer in the dialect of its route, whole or as the events of a stream.
//!
//! Chat is copied together from prepared parts, since benchmarks go through it; the other dialects are
//! serialized, and only the event of a word, of which there are many, is prepared once per answer.
//! Knows nothing of: sockets, time, and how an answer ends.

mod chat;
mod completions;
mod embeddings;
mod messages;
mod responses;

use bytes::Bytes;
use serde::Serialize;

use crate::ask::Ask;
use crate::completion::{Completion, Usage};
use crate::route::Route;
use crate::stream::Events;

const CREATED: u64 = 1_700_000_000;

/// Usage as chat and completions tell it.
#[derive(Serialize)]
struct OpenAiUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<CachedTokens>,
}

#[derive(Serialize)]
struct CachedTokens {
    cached_tokens: u64,
}

impl From<Usage> for OpenAiUsage {
    fn from(usage: Usage) -> OpenAiUsage {
        let cached_tokens = usage.cache_read;
        OpenAiUsage {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.total(),
            prompt_tokens_details: (cached_tokens > 0).then_some(CachedTokens { cached_tokens }),
        }
    }
}

/// The answer as one JSON object.
pub(crate) fn whole(ask: &Ask<'_>, completion: &Completion<'_>) -> Bytes {
    match ask.route {
        Route::Chat => chat::whole(completion),
        Route::Completions => completions::whole(completion).into(),
        Route::Embeddings => embeddings::whole(ask, completion).into(),
        Route::Responses => responses::whole(ask, completion).into(),
        Route::Messages => messages::whole(completion).into(),
        Route::CountTokens => messages::count(completion).into(),
    }
}

/// The answer as a stream; `None` where the request or its route has none.
pub(crate) fn events(ask: &Ask<'_>, completion: &Completion<'_>) -> Option<Events> {
    match ask.route {
        _ if !ask.streams() => None,
        Route::Chat => Some(chat::events(completion)),
        Route::Completions => Some(completions::events(completion)),
        Route::Responses => Some(responses::events(ask, completion)),
        Route::Messages => Some(messages::events(completion)),
        Route::Embeddings | Route::CountTokens => None,
    }
}

/// An event with a name, which its data repeats as `type`, followed by the object `rest`.
pub(crate) fn named(name: &str, rest: &impl Serialize) -> String {
    let rest = json(rest);
    let comma = if rest == "{}" { "" } else { "," };
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{comma}{}\n\n", &rest[1..])
}

/// # Panics
///
/// Where a value has keys that are no texts; none here has.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists serialize")
}
