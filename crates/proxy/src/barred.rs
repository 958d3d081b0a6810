//! Calls of a known caller that come to no limit: what they ask for is not to be had, or cannot be counted.

use http::StatusCode;
use storage::TurnedAway;

use crate::error::{Error, Face, bad, face};

/// Why a call came to no limit. Nothing is charged.
#[derive(Debug, Clone)]
pub(crate) enum Barred {
    /// The group does not list the model.
    NotAllowed { slug: String },
    /// No endpoint serves it.
    NoEndpoint { slug: String },
    /// The target's provider does not speak the dialect of the route.
    Unsupported { provider: &'static str },
    /// `hard` admission, and nobody but the model server can count the prompt.
    Uncountable,
    /// Calls have to say for which end user they are made, and it does not.
    NoUser,
    /// A limit in USD applies, and the route has no price.
    Unpriced { slug: String },
}

impl Barred {
    pub(crate) fn face(&self) -> Face {
        match self {
            Self::NotAllowed { slug } => face(
                StatusCode::FORBIDDEN,
                "permission_error",
                "model_not_allowed",
                format!("This key may not call the model `{slug}`; GET /v1/models lists those it may."),
            ),
            Self::NoEndpoint { slug } => bad(
                StatusCode::NOT_FOUND,
                "model_not_found",
                format!(
                    "The model `{slug}` has no endpoint at the moment; ask the operator of this gateway."
                ),
            ),
            Self::Unsupported { provider } => bad(
                StatusCode::BAD_REQUEST,
                "unsupported_for_target",
                format!(
                    "This model is served by {provider}, which does not serve this path; use another model or another path."
                ),
            ),
            Self::Uncountable => bad(
                StatusCode::BAD_REQUEST,
                "uncountable_prompt",
                "This model is limited to the token, and a part of this prompt is not in the request; \
                 send the whole conversation with each call, and files as data instead of references.",
            ),
            Self::NoUser => bad(
                StatusCode::BAD_REQUEST,
                "missing_user",
                "Calls to this gateway have to say for which end user they are made; send 1 to 256 bytes of `x-user-id`, \
                 `user`, or `metadata.user_id`.",
            ),
            Self::Unpriced { slug } => face(
                StatusCode::FORBIDDEN,
                "permission_error",
                "model_unpriced",
                format!(
                    "A budget applies to this call and the model `{slug}` has no price to hold it to; ask the operator \
                     of this gateway."
                ),
            ),
        }
    }

    /// How its decision is recorded; what no target can do is none about the caller.
    pub(crate) fn turned_away(&self) -> Option<TurnedAway> {
        match self {
            Self::NotAllowed { .. } => Some(TurnedAway::NotAllowed),
            Self::NoEndpoint { .. } => Some(TurnedAway::NoEndpoint),
            Self::Unsupported { .. } => None,
            Self::Uncountable => Some(TurnedAway::Uncountable),
            Self::NoUser => Some(TurnedAway::NoUser),
            Self::Unpriced { .. } => Some(TurnedAway::Unpriced),
        }
    }
}

impl From<Barred> for Error {
    fn from(barred: Barred) -> Self {
        Self::Barred(barred)
    }
}
