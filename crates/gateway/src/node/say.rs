//! What the gateway says itself, where neither the data plane nor management is asked: short answers in JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use proxy::Body;

/// An error in the form of the OpenAI routes. Its texts are ours, and hold nothing that JSON would have to escape.
pub(super) fn error(code: &'static str, message: &'static str) -> String {
    format!(
        r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":"{code}"}}}}"#
    )
}

/// An answer with this JSON as its body.
pub(super) fn answer(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(json.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
