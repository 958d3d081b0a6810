//! Errors in the dialect of their route: as a whole answer, and in the middle of a stream.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::render;
use crate::route::Route;

const FAILED: &str = "the model failed";

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicCause<'a>,
}

#[derive(Serialize)]
struct AnthropicCause<'a> {
    r#type: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiCause<'a>,
}

#[derive(Serialize)]
struct OpenAiCause<'a> {
    message: &'a str,
    r#type: &'static str,
    param: (),
    code: Option<&'static str>,
}

/// The body of an error answer; a route that is not known speaks OpenAI's dialect.
pub(crate) fn body(route: Option<Route>, status: StatusCode, message: &str) -> String {
    if route.is_some_and(Route::is_anthropic) {
        let error = AnthropicCause { r#type: anthropic_type(status), message };
        return render::json(&AnthropicError { r#type: "error", error });
    }
    let (r#type, code) = openai_type(status);
    render::json(&OpenAiError { error: OpenAiCause { message, r#type, param: (), code } })
}

/// The last event of a stream that fails; so many came before it.
pub(crate) fn event(route: Route, before: usize) -> Bytes {
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    match route {
        Route::Messages => format!("event: error\ndata: {}\n\n", body(Some(route), failed, FAILED)).into(),
        Route::Responses => {
            let error =
                json!({"code": "server_error", "message": FAILED, "param": null, "sequence_number": before});
            render::named("error", &error).into()
        }
        Route::Chat | Route::Completions | Route::Embeddings | Route::CountTokens => {
            format!("data: {}\n\n", body(Some(route), failed, FAILED)).into()
        }
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// The type, and the code where there is one.
fn openai_type(status: StatusCode) -> (&'static str, Option<&'static str>) {
    match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    }
}
