//! What we answer when we do not pass an answer on.
//!
//! Each error has two texts: the sentence the client reads, and the cause the operator reads in one log line.
//! Begins at [`Error::face`], the one place where an error becomes a status and a code.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use outbound::DialError;
use outbound::http1::Fault;
use storage::TurnedAway;
use wire::{Dialect, ErrorBody, Malformed, Operation};

use crate::barred::Barred;
use crate::body::Body;
use crate::refusal::Refused;
use crate::upstream::SendError;

/// Why a call got no answer from a model.
#[derive(Debug)]
pub(crate) enum Error {
    UnknownRoute,
    WrongMethod { allowed: &'static str },
    InvalidKey,
    NotOnboarded,
    Malformed(Malformed),
    Body(BodyFault),
    Barred(Barred),
    Refused(Box<Refused>),
    LedgerFull,
    Overloaded,
    Draining,
    Upstream(UpstreamFailure),
}

/// Why a request body was not taken. The rest of it stays unread, so its connection ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodyFault {
    Compressed,
    TooLarge { bytes_max: usize },
    Broken,
    Slow,
}

/// Why an upstream gave no answer that we can pass on. The detail is for the log.
#[derive(Debug)]
pub(crate) enum UpstreamFailure {
    /// No connection.
    Dial(DialError),
    /// The connection broke before the end of an answer.
    Broken(String),
    /// It answered something that is no answer: a redirect, a compressed body, garbage, or one whose end is in doubt.
    Garbage(&'static str),
    /// It does not take our credential, or we have none.
    Credentials(&'static str),
    /// It took too long; the stage is named.
    Timeout(&'static str),
}

/// How an error looks to the client.
pub(crate) struct Face {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) code: &'static str,
    pub(crate) param: Option<&'static str>,
    pub(crate) message: String,
}

impl Error {
    /// Status, type, code and sentence: the only place that decides them.
    pub(crate) fn face(&self) -> Face {
        match self {
            Self::UnknownRoute => bad(
                StatusCode::NOT_FOUND,
                "unknown_route",
                "No such path here; /openapi.json lists those that this gateway serves.",
            ),
            Self::WrongMethod { .. } => bad(
                StatusCode::METHOD_NOT_ALLOWED,
                "unknown_route",
                "This path does not take this method; use POST for completions and GET for models.",
            ),
            Self::Malformed(malformed) => malformed_face(malformed),
            Self::Body(fault) => fault.face(),
            Self::InvalidKey => face(
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                "invalid_api_key",
                "The API key is missing, unknown or revoked; send `Authorization: Bearer <key>`.",
            ),
            Self::NotOnboarded => face(
                StatusCode::FORBIDDEN,
                "permission_error",
                "workspace_not_onboarded",
                "The workspace of this key is not onboarded; ask the operator of this gateway.",
            ),
            Self::Barred(barred) => barred.face(),
            Self::Refused(refused) => refused.face(),
            Self::LedgerFull => unable(
                "store_unavailable",
                "The gateway cannot record calls at the moment and so admits none; try again shortly.",
            ),
            Self::Overloaded => unable(
                "overloaded",
                "The gateway has as much on its hands as it may take; try again in a second.",
            ),
            Self::Draining => {
                unable("draining", "The gateway is shutting down; send the call again, on a new connection.")
            }
            Self::Upstream(failure) => failure.face(),
        }
    }

    /// The answer, in the dialect of its route.
    pub(crate) fn render(&self, dialect: Dialect, request_id: &str) -> Response<Body> {
        let face = self.face();
        let body = self.body(dialect, &face, request_id);
        let mut response = Response::new(Body::from(Bytes::from(body.to_json(dialect))));
        *response.status_mut() = face.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Refused(refused) => refused.put_headers(headers),
            Self::WrongMethod { allowed } => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Overloaded | Self::LedgerFull => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // Whether the connection goes on is not ours to say: see `serve`, and the listener when it drains.
            Self::Draining
            | Self::UnknownRoute
            | Self::InvalidKey
            | Self::NotOnboarded
            | Self::Body(_)
            | Self::Malformed(_)
            | Self::Barred(_)
            | Self::Upstream(_) => {}
        }
        response
    }

    /// The same inside a stream, which has begun with 200 and cannot say it otherwise.
    pub(crate) fn as_event(&self, operation: Operation, request_id: &str) -> Bytes {
        self.body(operation.dialect(), &self.face(), request_id).to_stream_event(operation)
    }

    fn body<'a>(&'a self, dialect: Dialect, face: &'a Face, request_id: &'a str) -> ErrorBody<'a> {
        ErrorBody {
            message: &face.message,
            kind: match dialect {
                Dialect::OpenAi => face.kind,
                Dialect::Anthropic => anthropic_kind(face.status),
            },
            param: face.param,
            code: face.code,
            request_id,
            limit: self.refused().map(Refused::note),
            word: self.refused().map(Refused::word),
        }
    }

    /// What the operator reads; nothing of the request's content.
    pub(crate) fn cause(&self) -> Option<String> {
        if let Self::Upstream(failure) = self { Some(failure.cause()) } else { None }
    }

    /// Whether it was decided about a known caller and its model alone.
    pub(crate) fn turned_away(&self) -> Option<TurnedAway> {
        if let Self::Barred(barred) = self { barred.turned_away() } else { None }
    }

    fn refused(&self) -> Option<&Refused> {
        if let Self::Refused(refused) = self { Some(refused) } else { None }
    }
}

pub(crate) fn face(
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: impl Into<String>,
) -> Face {
    Face { status, kind, code, param: None, message: message.into() }
}

pub(crate) fn bad(status: StatusCode, code: &'static str, message: impl Into<String>) -> Face {
    face(status, "invalid_request_error", code, message)
}

/// The gateway itself cannot, for now.
fn unable(code: &'static str, message: &str) -> Face {
    face(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message)
}

/// Anthropic's word for a status; its SDKs choose the exception by the status, and people read the word.
fn anthropic_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 | 405 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        502 => "api_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        _ => "invalid_request_error",
    }
}

fn malformed_face(malformed: &Malformed) -> Face {
    let (code, param) = match malformed {
        Malformed::InvalidJson(_) => ("invalid_json", None),
        Malformed::MissingModel => ("missing_model", Some("model")),
        Malformed::InvalidRequest { param, .. } => ("invalid_request", Some(*param)),
    };
    let message = malformed.to_string();
    Face { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", code, param, message }
}

impl BodyFault {
    fn face(self) -> Face {
        match self {
            Self::Compressed => bad(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request",
                "Compressed request bodies are not accepted; send the body without a content-encoding.",
            ),
            Self::TooLarge { bytes_max } => bad(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                format!("The request body is larger than {bytes_max} bytes; send a smaller one."),
            ),
            Self::Slow => bad(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request body came too slowly; send it again, faster.",
            ),
            Self::Broken => bad(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "The request body broke off before its end; send it again.",
            ),
        }
    }
}

impl UpstreamFailure {
    fn face(&self) -> Face {
        let (status, code, message) = match self {
            Self::Dial(DialError::Timeout) | Self::Timeout(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The model server took too long; try again, or ask for a shorter answer.",
            ),
            Self::Dial(_) | Self::Broken(_) | Self::Garbage(_) => (
                StatusCode::BAD_GATEWAY,
                "upstream_unavailable",
                "The model server could not be reached or gave no usable answer; try again.",
            ),
            Self::Credentials(_) => (
                StatusCode::BAD_GATEWAY,
                "upstream_refused_credentials",
                "The model server did not accept the gateway's credential; ask the operator of this gateway.",
            ),
        };
        face(status, "api_error", code, message)
    }

    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Dial(error) => error.to_string(),
            Self::Broken(cause) => format!("the connection broke: {cause}"),
            Self::Garbage(what) => format!("no usable answer: {what}"),
            Self::Credentials(what) => format!("credential: {what}"),
            Self::Timeout(stage) => format!("timeout: {stage}"),
        }
    }
}

impl From<BodyFault> for Error {
    fn from(fault: BodyFault) -> Self {
        Self::Body(fault)
    }
}

impl From<SendError> for UpstreamFailure {
    fn from(failure: SendError) -> Self {
        match failure {
            SendError::Dial(error) => Self::Dial(error),
            SendError::Broken(fault) => fault.into(),
            SendError::Late => Self::Timeout("no answer within upstream.first_byte_timeout"),
        }
    }
}

impl From<Fault> for UpstreamFailure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Garbage(what) => Self::Garbage(what),
            Fault::Write(_) | Fault::Read(_) | Fault::Closed | Fault::Cut => Self::Broken(fault.to_string()),
        }
    }
}

impl From<UpstreamFailure> for Error {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Upstream(failure)
    }
}
