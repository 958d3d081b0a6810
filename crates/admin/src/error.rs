//! Everything a management request can fail with, and how it reads on the wire.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use domain::Rejection;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use storage::EditError;
use utoipa::ToSchema;

use crate::rate::TooOften;

/// Longest message, in bytes: messages repeat what was sent, which may be long.
const MESSAGE_LEN_MAX: usize = 500;

/// For an object that is there, and belongs to somebody else.
pub(crate) const ELSEWHERE: &str = "This belongs to another workspace; use a key of that workspace.";

/// Why a management request was not carried out. Nothing was changed, except after [`Error::Unavailable`], when the
/// storage could not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request breaks a rule; the sentence says which.
    Invalid(Cow<'static, str>),
    /// No management key, or not one of ours.
    Unauthorized,
    /// No customer's key, or not one of ours, where a customer asks.
    UnknownCustomer,
    /// A customer's key where only a management key will do.
    CustomersKey,
    /// The credential is one of ours and may not do this; the sentence says why.
    Forbidden(&'static str),
    /// No such path or object; the sentence says which.
    NotFound(&'static str),
    /// Another object is what this one would be; the sentence says which.
    Conflict(Cow<'static, str>),
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body is longer than this many bytes.
    PayloadTooLarge(usize),
    /// The body is compressed or otherwise encoded.
    UnsupportedMediaType,
    /// The body came slower than anybody types.
    RequestTimeout,
    /// One request too many of this key on this route; the next may come after so many whole seconds.
    RateLimited {
        /// At least 1.
        retry_after_s: u64,
    },
    /// The storage does not answer.
    Unavailable,
}

/// Why a request was not carried out.
// The body of every error but one.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody<'a> {
    /// For programs.
    code: &'static str,
    /// For people: what happened, and what to do.
    message: &'a str,
}

/// Too many requests.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimited)]
pub(crate) struct RateLimitedBody<'a> {
    error: &'a str,
    /// Whole seconds after which the next request may come.
    #[schema(minimum = 1)]
    retry_after: u64,
}

impl Error {
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(message.into())
    }

    /// The one place where an error gets its status and its code.
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
            Self::Unauthorized | Self::UnknownCustomer => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::CustomersKey | Self::Forbidden(_) => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        }
    }

    /// What is sent.
    pub(crate) fn body(&self) -> Value {
        let message = self.message();
        let body = if let Self::RateLimited { retry_after_s } = *self {
            serde_json::to_value(RateLimitedBody { error: &message, retry_after: retry_after_s })
        } else {
            serde_json::to_value(ErrorBody { code: self.status_and_code().1, message: &message })
        };
        body.expect("strings and numbers always serialize")
    }

    /// For people: what happened, and what to do.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Invalid(message) | Self::Conflict(message) => shortened(message),
            Self::Unauthorized => {
                "The management key is missing or not valid; send `Authorization: Api-Key KEY`.".into()
            }
            Self::UnknownCustomer => {
                "The customer's key is missing or not valid; send `Authorization: Bearer KEY`.".into()
            }
            Self::CustomersKey => "This is a customer's key; use a management key here.".into(),
            Self::Forbidden(message) | Self::NotFound(message) => (*message).into(),
            Self::MethodNotAllowed => {
                "This path does not take this method; the `allow` header lists those it takes.".into()
            }
            Self::PayloadTooLarge(max) => {
                format!("The body is longer than {max} bytes; send a shorter one.").into()
            }
            Self::UnsupportedMediaType => {
                "The body is encoded; send it as plain JSON, without content-encoding.".into()
            }
            Self::RequestTimeout => "The body came too slowly; send it again, faster.".into(),
            Self::RateLimited { .. } => "Rate limit exceeded. Please try again later.".into(),
            Self::Unavailable => {
                "The storage does not answer; ask again, and look at the gateway's log if it stays so.".into()
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_code();
        let body = self.body().to_string();
        let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2: a 401 names a scheme that would do.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::RateLimited { retry_after_s } = self {
            response.headers_mut().insert(RETRY_AFTER, retry_after_s.into());
        }
        // For `manners`, which may have to say it in another way.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<TooOften> for Error {
    fn from(TooOften { retry_after_s }: TooOften) -> Self {
        Self::RateLimited { retry_after_s }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Invalid(message) => Self::Invalid(message),
            Rejection::NotFound(message) => Self::NotFound(message),
            Rejection::Conflict(message) => Self::Conflict(message),
        }
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Rejected(rejection) => rejection.into(),
            EditError::Unavailable => Self::Unavailable,
        }
    }
}

fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE_LEN_MAX {
        return message.into();
    }
    let end = (0..=MESSAGE_LEN_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &message[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_bound_and_stays_text() {
        let long = Error::invalid("é".repeat(MESSAGE_LEN_MAX));
        assert!(long.message().len() <= MESSAGE_LEN_MAX + '…'.len_utf8());
        assert_eq!(Error::invalid("short").message(), "short");
    }

    #[test]
    fn every_error_answers_in_json() {
        for (error, status) in [
            (Error::invalid("x"), 400),
            (Error::Unauthorized, 401),
            (Error::UnknownCustomer, 401),
            (Error::CustomersKey, 403),
            (Error::Forbidden("x"), 403),
            (Error::NotFound("x"), 404),
            (Error::MethodNotAllowed, 405),
            (Error::Conflict("x".into()), 409),
            (Error::RequestTimeout, 408),
            (Error::RateLimited { retry_after_s: 1 }, 429),
            (Error::PayloadTooLarge(1), 413),
            (Error::UnsupportedMediaType, 415),
            (Error::Unavailable, 503),
        ] {
            let response = error.into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        }
    }
}
