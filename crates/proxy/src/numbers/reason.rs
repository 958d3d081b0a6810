//! Why requests come to no limit: a closed list, so that what strangers send makes no number of its own.

use wire::Malformed;

use crate::barred::Barred;
use crate::error::{BodyFault, Error, UpstreamFailure};

/// Why a request came to no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No such path, or no such method there.
    UnknownRoute,
    /// The key is missing, unknown or revoked.
    InvalidKey,
    /// Its workspace is not onboarded.
    NotOnboarded,
    /// The body is no JSON that can be trusted.
    InvalidJson,
    /// It names no model.
    MissingModel,
    /// It, or a parameter in it, cannot be read.
    InvalidRequest,
    /// It is too long.
    TooLarge,
    /// It came too slowly.
    TooSlow,
    /// The group does not list the model.
    ModelNotAllowed,
    /// No endpoint serves the model.
    ModelNotFound,
    /// Its provider does not speak the dialect.
    Unsupported,
    /// Hard admission, and a prompt that is elsewhere.
    Uncountable,
    /// No end user is named where one has to be.
    MissingUser,
    /// A budget applies, and there is no price.
    Unpriced,
    /// The ledger has no room, or cannot be written.
    LedgerFull,
    /// Too much at once.
    Overloaded,
    /// The gateway is stopping.
    Draining,
    /// The target's URL is not one that can be called.
    UnusableTarget,
    /// The target's secret is missing or unusable.
    UnusableCredentials,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::UnknownRoute,
        Self::InvalidKey,
        Self::NotOnboarded,
        Self::InvalidJson,
        Self::MissingModel,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::TooSlow,
        Self::ModelNotAllowed,
        Self::ModelNotFound,
        Self::Unsupported,
        Self::Uncountable,
        Self::MissingUser,
        Self::Unpriced,
        Self::LedgerFull,
        Self::Overloaded,
        Self::Draining,
        Self::UnusableTarget,
        Self::UnusableCredentials,
    ];

    /// The `code` that callers read.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownRoute => "unknown_route",
            Self::InvalidKey => "invalid_api_key",
            Self::NotOnboarded => "workspace_not_onboarded",
            Self::InvalidJson => "invalid_json",
            Self::MissingModel => "missing_model",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "request_too_large",
            Self::TooSlow => "request_timeout",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::Unsupported => "unsupported_for_target",
            Self::Uncountable => "uncountable_prompt",
            Self::MissingUser => "missing_user",
            Self::Unpriced => "model_unpriced",
            Self::LedgerFull => "store_unavailable",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::UnusableTarget => "upstream_unavailable",
            Self::UnusableCredentials => "upstream_refused_credentials",
        }
    }

    /// Of a call that was not admitted; none where a limit refused it.
    pub(super) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::UnknownRoute | Error::WrongMethod { .. } => Self::UnknownRoute,
            Error::InvalidKey => Self::InvalidKey,
            Error::NotOnboarded => Self::NotOnboarded,
            Error::Malformed(Malformed::InvalidJson(_)) => Self::InvalidJson,
            Error::Malformed(Malformed::MissingModel) => Self::MissingModel,
            Error::Malformed(Malformed::InvalidRequest { .. })
            | Error::Body(BodyFault::Compressed | BodyFault::Broken) => Self::InvalidRequest,
            Error::Body(BodyFault::TooLarge { .. }) => Self::TooLarge,
            Error::Body(BodyFault::Slow) => Self::TooSlow,
            Error::Barred(barred) => Self::barred(barred),
            Error::Refused(_) => return None,
            Error::LedgerFull => Self::LedgerFull,
            Error::Overloaded => Self::Overloaded,
            Error::Draining => Self::Draining,
            Error::Upstream(UpstreamFailure::Credentials(_)) => Self::UnusableCredentials,
            // Before admission nothing is dialled: what can be wrong is the target's address.
            Error::Upstream(_) => Self::UnusableTarget,
        })
    }

    fn barred(barred: &Barred) -> Self {
        match barred {
            Barred::NotAllowed { .. } => Self::ModelNotAllowed,
            Barred::NoEndpoint { .. } => Self::ModelNotFound,
            Barred::Unsupported { .. } => Self::Unsupported,
            Barred::Uncountable => Self::Uncountable,
            Barred::NoUser => Self::MissingUser,
            Barred::Unpriced { .. } => Self::Unpriced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug() -> String {
        "acme/m1".to_owned()
    }

    #[test]
    fn every_reason_has_the_code_that_its_callers_read() {
        let malformed = Malformed::InvalidRequest { param: "n", message: String::new() };
        let errors = [
            Error::UnknownRoute,
            Error::InvalidKey,
            Error::NotOnboarded,
            Error::Malformed(Malformed::InvalidJson(String::new())),
            Error::Malformed(Malformed::MissingModel),
            Error::Malformed(malformed),
            Error::Body(BodyFault::TooLarge { bytes_max: 1 }),
            Error::Body(BodyFault::Slow),
            Barred::NotAllowed { slug: slug() }.into(),
            Barred::NoEndpoint { slug: slug() }.into(),
            Barred::Unsupported { provider: "VERTEX" }.into(),
            Barred::Uncountable.into(),
            Barred::NoUser.into(),
            Barred::Unpriced { slug: slug() }.into(),
            Error::LedgerFull,
            Error::Overloaded,
            Error::Draining,
            UpstreamFailure::Garbage("").into(),
            UpstreamFailure::Credentials("").into(),
        ];
        for (error, reason) in errors.iter().zip(Reason::ALL) {
            assert_eq!(Reason::of(error), Some(reason));
            assert_eq!(error.face().code, reason.code());
        }
        assert_eq!(errors.len(), Reason::ALL.len());
    }

    #[test]
    fn two_ways_to_be_wrong_that_read_the_same_count_the_same() {
        let wrong = Error::WrongMethod { allowed: "GET" };
        assert_eq!(Reason::of(&wrong).map(Reason::code), Some(wrong.face().code));
        for fault in [BodyFault::Compressed, BodyFault::Broken] {
            let error = Error::Body(fault);
            assert_eq!(Reason::of(&error).map(Reason::code), Some(error.face().code));
        }
    }
}
