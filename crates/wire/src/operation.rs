//! What callers can ask for, and in whose dialect.
//!
//! Guarantees: every operation has one path and one dialect.
//! Knows nothing of: bodies, methods, which targets serve what.
//! Begins at [`Operation`].

/// What a route of the data plane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// OpenAI's chat.
    ChatCompletions,
    /// OpenAI's older completions of plain texts.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's chat.
    Messages,
    /// How many tokens a call of [`Operation::Messages`] would be; generates nothing.
    CountTokens,
}

/// Whose words requests, answers and errors are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `{"error": {…}}`, `Authorization: Bearer`.
    OpenAi,
    /// `{"type": "error", "error": {…}}`, `x-api-key`.
    Anthropic,
}

impl Operation {
    /// Every operation there is.
    pub const ALL: [Self; 6] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
    ];

    /// The path it is reached at.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }

    /// Whether its tokens cost anything.
    #[must_use]
    pub fn is_priced(self) -> bool {
        self != Self::CountTokens
    }

    /// The operation at exactly this path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }

    /// Whether the model writes something, which is then charged. Embeddings and counts are no writing.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Responses | Self::Messages => true,
            Self::Embeddings | Self::CountTokens => false,
        }
    }

    /// Its dialect.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Responses => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Operation};

    #[test]
    fn every_path_leads_to_its_operation_and_no_other_does() {
        for operation in Operation::ALL {
            assert_eq!(Operation::at(operation.path()), Some(operation));
            assert_eq!(Operation::at(&format!("{}/", operation.path())), None);
        }
        for path in ["", "/v1", "/v1/chat", "/v1/Messages", "v1/messages", "/v1/messages/batches"] {
            assert_eq!(Operation::at(path), None, "{path}");
        }
    }

    #[test]
    fn only_what_lies_under_messages_is_anthropics() {
        for operation in Operation::ALL {
            let anthropic = operation.path().starts_with("/v1/messages");
            assert_eq!(operation.dialect() == Dialect::Anthropic, anthropic, "{operation:?}");
        }
    }
}
