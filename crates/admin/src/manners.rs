//! How errors read under a root: those of governance have another form than all others, since its clients are others.
//!
//! Handlers answer with an [`Error`] and know nothing of forms. Begins at [`by_root`], through which every answer goes.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Error;

/// Everything below this path has the manners of Bifrost.
pub(crate) const GOVERNANCE: &str = "/api/governance";

/// How errors read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Our own: a code and a message.
    Plain,
    /// Those of Bifrost.
    Governance,
}

/// Why a governance request was not carried out.
#[derive(Serialize, ToSchema)]
#[schema(as = GovernanceError)]
pub(crate) struct GovernanceErrorBody<'a> {
    /// Always `false`: the gateway said so on purpose.
    is_bifrost_error: bool,
    /// That of the answer.
    status_code: u16,
    error: GovernanceMessage<'a>,
}

/// What happened, and what to do.
#[derive(Serialize, ToSchema)]
#[schema(as = GovernanceMessage)]
pub(crate) struct GovernanceMessage<'a> {
    /// For people.
    message: &'a str,
}

impl Manners {
    /// Those of the root that a path is below.
    pub(crate) fn of(path: &str) -> Self {
        match path.strip_prefix(GOVERNANCE) {
            Some(below) if below.is_empty() || below.starts_with('/') => Self::Governance,
            Some(_) | None => Self::Plain,
        }
    }
}

/// Answers a request; an error reads as its root wants it.
pub(crate) async fn by_root(request: Request, next: Next) -> Response {
    let manners = Manners::of(request.uri().path());
    let mut answer = next.run(request).await;
    match (answer.extensions_mut().remove::<Error>(), manners) {
        (Some(error), Manners::Governance) => of_governance(&error, answer),
        (Some(_), Manners::Plain) | (None, _) => answer,
    }
}

/// The status of an error in governance. A customer's key is no credential here, as in Bifrost.
pub(crate) fn status(error: &Error) -> StatusCode {
    if *error == Error::CustomersKey { StatusCode::UNAUTHORIZED } else { error.status_and_code().0 }
}

/// What is sent in governance.
pub(crate) fn body(error: &Error) -> Value {
    let body = GovernanceErrorBody {
        is_bifrost_error: false,
        status_code: status(error).as_u16(),
        error: GovernanceMessage { message: &error.message() },
    };
    serde_json::to_value(body).expect("strings and numbers always serialize")
}

/// The same answer with another body. A customer's key is answered as no key at all is, headers included.
fn of_governance(error: &Error, answer: Response) -> Response {
    let known = if *error == Error::CustomersKey { Error::Unauthorized.into_response() } else { answer };
    let (mut head, _) = known.into_parts();
    head.status = status(error);
    head.headers.remove(CONTENT_LENGTH);
    head.extensions.remove::<Error>();
    Response::from_parts(head, body(error).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn governance_is_its_root_and_what_is_below_it() {
        for ours in ["/api/governance", "/api/governance/", "/api/governance/budgets/x/reset"] {
            assert_eq!(Manners::of(ours), Manners::Governance, "{ours}");
        }
        for other in ["/", "/api", "/api/governances", "/v1/gateway/api/governance"] {
            assert_eq!(Manners::of(other), Manners::Plain, "{other}");
        }
    }

    #[test]
    fn an_error_of_governance_has_the_form_of_bifrost_and_its_headers() {
        let error = Error::RateLimited { retry_after_s: 3 };
        let answer = of_governance(&error, error.clone().into_response());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (429, &"3".parse().unwrap())
        );
        assert_eq!(
            body(&error),
            serde_json::json!({
                "is_bifrost_error": false, "status_code": 429, "error": { "message": error.message() },
            })
        );
    }

    #[test]
    fn a_customers_key_is_no_credential_here() {
        let error = Error::CustomersKey;
        let answer = of_governance(&error, error.clone().into_response());
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        assert_eq!(body(&error)["status_code"], 401);
    }
}
