//! The routes that lead to the model, and the dialect each speaks.

/// A route of an OpenAI-compatible or Anthropic server; all are `POST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
}

/// The longer end first where one ends like another.
const ENDS: [(&str, Route); 6] = [
    ("/chat/completions", Route::Chat),
    ("/completions", Route::Completions),
    ("/embeddings", Route::Embeddings),
    ("/responses", Route::Responses),
    ("/messages", Route::Messages),
    ("/messages/count_tokens", Route::CountTokens),
];

impl Route {
    /// The path counts from its end, so that a base URL may have any prefix.
    pub(crate) fn of(path: &str) -> Option<Route> {
        ENDS.iter().find(|(end, _)| path.ends_with(end)).map(|&(_, route)| route)
    }

    /// Whether words are written, and so whether `stream` means anything; elsewhere only the prompt is read.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Route::Chat | Route::Completions | Route::Responses | Route::Messages)
    }

    /// Whether the prompt is read at a price.
    pub(crate) fn costs(self) -> bool {
        self.writes() || self == Route::Embeddings
    }

    pub(crate) fn is_anthropic(self) -> bool {
        matches!(self, Route::Messages | Route::CountTokens)
    }
}
