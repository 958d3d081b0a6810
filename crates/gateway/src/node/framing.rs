//! Requests whose length two readers might see differently, beyond what the HTTP library refuses.
//!
//! The library takes any list of transfer codings that ends with `chunked`. Nobody who means well sends another than
//! `chunked` alone, and what stands in front of us may have read it otherwise; so we don't guess where the body ends.

use http::{HeaderValue, Request, Response, StatusCode, header};
use proxy::Body;

use super::say;

const REFUSAL: &str = "The transfer-encoding is not understood; send `chunked` alone, or a content-length.";

/// Whether the end of this request's body is a matter of opinion.
pub(super) fn is_doubtful<B>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(only), None) => !only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

/// The answer to it, after which the connection ends.
pub(super) fn refusal() -> Response<Body> {
    let mut response = say::answer(StatusCode::BAD_REQUEST, say::error("invalid_request", REFUSAL));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_alone_is_beyond_doubt() {
        for (codings, doubtful) in [
            (&[][..], false),
            (&["chunked"], false),
            (&["Chunked"], false),
            (&["chunked", "chunked"], true),
            (&["gzip, chunked"], true),
            (&["identity", "chunked"], true),
            (&["xchunked"], true),
        ] {
            let request = codings.iter().fold(Request::builder(), |request, coding| {
                request.header(header::TRANSFER_ENCODING, *coding)
            });
            assert_eq!(is_doubtful(&request.body(()).unwrap()), doubtful, "{codings:?}");
        }
    }
}
