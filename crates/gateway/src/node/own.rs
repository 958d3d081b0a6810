//! The gateway's own routes, open to everyone: health, and the document that describes all routes.
//!
//! Begins at [`Own::at`].

use http::{HeaderValue, Method, Response, StatusCode, header};
use proxy::{Body, Shared};

use super::say;
use crate::openapi;

/// A route that belongs to neither house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// The process serves.
    Live,
    /// Callers may be sent here.
    Ready,
    /// The document.
    OpenApi,
}

impl Own {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Live, Self::Ready, Self::OpenApi];

    /// Where it is.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Live => "/healthz/live",
            Self::Ready => "/healthz/ready",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// The route at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.path() == path)
    }

    /// Answers one request.
    pub(super) fn answer(self, method: &Method, shared: &Shared) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return no_such_method();
        }
        match self {
            Self::Live => say::answer(StatusCode::OK, r#"{"status":"live"}"#),
            Self::Ready if shared.is_leaving() => {
                say::answer(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
            }
            Self::Ready => say::answer(StatusCode::OK, r#"{"status":"ready"}"#),
            Self::OpenApi => say::answer(StatusCode::OK, openapi::rendered()),
        }
    }
}

/// Nobody serves this path.
pub(super) fn nobody() -> Response<Body> {
    say::answer(StatusCode::NOT_FOUND, say::error("unknown_route", "No such path here."))
}

fn no_such_method() -> Response<Body> {
    let body = say::error("unknown_route", "This path takes GET alone.");
    let mut response = say::answer(StatusCode::METHOD_NOT_ALLOWED, body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}
