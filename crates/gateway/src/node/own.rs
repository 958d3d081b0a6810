//! The gateway's own routes, open to everyone: health, and the document that describes all routes.
//!
//! Begins at [`Own::at`].

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use proxy::{Body, Shared};

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
            Self::Live => say(StatusCode::OK, r#"{"status":"live"}"#),
            Self::Ready if shared.is_leaving() => {
                say(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
            }
            Self::Ready => say(StatusCode::OK, r#"{"status":"ready"}"#),
            Self::OpenApi => send(StatusCode::OK, openapi::rendered()),
        }
    }
}

/// Nobody serves this path.
pub(super) fn nobody() -> Response<Body> {
    say(
        StatusCode::NOT_FOUND,
        r#"{"error":{"message":"No such path here.","type":"invalid_request_error","param":null,"code":"unknown_route"}}"#,
    )
}

fn no_such_method() -> Response<Body> {
    let mut response = say(
        StatusCode::METHOD_NOT_ALLOWED,
        r#"{"error":{"message":"This path takes GET alone.","type":"invalid_request_error","param":null,"code":"unknown_route"}}"#,
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

fn say(status: StatusCode, body: &'static str) -> Response<Body> {
    send(status, Bytes::from_static(body.as_bytes()))
}

fn send(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
