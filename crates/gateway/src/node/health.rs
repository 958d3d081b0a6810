//! `/healthz/live` and `/healthz/ready`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use proxy::{Body, Shared};

/// Answers a health question. Ready means: callers may be sent here.
pub(super) fn answer(path: &str, shared: &Shared) -> Response<Body> {
    match path {
        "/healthz/live" => say(StatusCode::OK, r#"{"status":"live"}"#),
        "/healthz/ready" if shared.is_leaving() => {
            say(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
        }
        "/healthz/ready" => say(StatusCode::OK, r#"{"status":"ready"}"#),
        _ => nobody(),
    }
}

/// Nobody serves this path.
pub(super) fn nobody() -> Response<Body> {
    say(
        StatusCode::NOT_FOUND,
        r#"{"error":{"message":"No such path here.","type":"invalid_request_error","param":null,"code":"unknown_route"}}"#,
    )
}

fn say(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
