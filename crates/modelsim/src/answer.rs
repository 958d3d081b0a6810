//! One request, answered as the script says.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::ask::Ask;
use crate::completion::{Completion, Text};
use crate::direct::{Director, Role};
use crate::gzip::gzip;
use crate::intake::Received;
use crate::reply::{Reply, Reset, Step};
use crate::route::Route;
use crate::script::{Act, Encoding, End, Script};
use crate::stream::{silent, steps};
use crate::tally::{Tally, Ticket};
use crate::{fault, render};

/// Longer answers are cut to this, since a whole one is prepared in memory.
const COMPLETION_TOKENS_MAX: u64 = 1 << 24;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
const HTML: &str = "text/html";
const BROKEN: &str = r#"{"id":"chatcmpl-sim","choices":[{"#;
const GARBAGE: [&str; 3] = ["data: {\"id\":\"chatcmpl\n\n", "neither this\n\n", "data: [[[\n\n"];
/// The name in the list of models where the script has none.
const MODEL: &str = "simulated";

/// A script with what was prepared for it.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) script: Script,
    text: Text,
}

impl Play {
    pub(crate) fn of(mut script: Script) -> Play {
        script.completion_tokens = script.completion_tokens.min(COMPLETION_TOKENS_MAX);
        Play { text: Text::of(&script), script }
    }
}

/// [`Reset`] ends the connection without an answer.
pub(crate) async fn answer(
    play: &Play,
    director: Option<&dyn Director>,
    tally: &Arc<Tally>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Reset> {
    let (method, path) = (request.method(), request.uri().path());
    if method == Method::GET && path.ends_with("/stats") {
        return Ok(stats(tally));
    }
    if play.script.act == Act::Refuse {
        return Err(Reset);
    }
    if method == Method::GET && path.ends_with("/models") {
        return Ok(models(&play.script));
    }
    let Some(route) = Route::of(path).filter(|_| method == Method::POST) else {
        return Ok(refused(None, StatusCode::NOT_FOUND, "no such route", None));
    };
    let (head, body) = request.into_parts();
    let role = director.and_then(|director| director.cast(&head));
    let Ok(received) = Received::read(body).await else {
        return Ok(refused(Some(route), StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", None));
    };
    let Some(Role { script, receipt }) = role else {
        return Ok(respond(play, tally.start(None), tally, route, (head, received)).await);
    };
    if script.act == Act::Refuse {
        return Err(Reset);
    }
    let own = Play::of(script);
    Ok(respond(&own, tally.start(Some(receipt)), tally, route, (head, received)).await)
}

async fn respond(
    play: &Play,
    ticket: Ticket,
    tally: &Tally,
    route: Route,
    (head, received): (Parts, Received),
) -> Response<Reply> {
    let json = received.json();
    tally.remember(head, received, play.script.remember);
    if !play.script.first_byte.is_zero() {
        tokio::time::sleep(play.script.first_byte).await;
    }
    let mut response = act(play, route, &json, ticket).await;
    if !play.script.headers.is_empty() {
        response.headers_mut().extend(play.script.headers.clone());
    }
    response
}

fn stats(tally: &Tally) -> Response<Reply> {
    let served = serde_json::to_string(&tally.served()).expect("plain numbers serialize");
    plain(StatusCode::OK, served, None)
}

fn models(script: &Script) -> Response<Reply> {
    let id = script.model.as_deref().unwrap_or(MODEL);
    let model = json!({"id": id, "object": "model", "created": 0, "owned_by": "modelsim"});
    plain(StatusCode::OK, json!({"object": "list", "data": [model]}).to_string(), None)
}

async fn act(play: &Play, route: Route, json: &Bytes, ticket: Ticket) -> Response<Reply> {
    match &play.script.act {
        Act::Answer | Act::Refuse => match Ask::read(route, json) {
            Some(ask) => complete(play, &ask, ticket),
            None => {
                refused(Some(route), StatusCode::BAD_REQUEST, "not a request of this route", Some(ticket))
            }
        },
        Act::Garble if Ask::read(route, json).is_some_and(|ask| ask.streams()) => garbage(ticket),
        Act::Garble => plain(StatusCode::OK, BROKEN.into(), Some(ticket)),
        Act::Fail { status, body } => plain(status_of(*status), body.clone(), Some(ticket)),
        Act::Error { status, message } => refused(Some(route), status_of(*status), message, Some(ticket)),
        Act::Redirect { to } => redirect(to, ticket),
        // The ticket is held: only the client can end this.
        Act::Hang => std::future::pending().await,
    }
}

fn complete(play: &Play, ask: &Ask<'_>, ticket: Ticket) -> Response<Reply> {
    let script = &play.script;
    let completion = Completion::of(script, &play.text, ask);
    if ask.route.costs() {
        ticket.read(script.prompt_tokens);
    }
    let mut response = match render::events(ask, &completion) {
        Some(events) => {
            let steps = steps(events, ask.route, script);
            let mut response =
                head(StatusCode::OK, EVENTS, Reply::stream(steps, script.between_chunks, ticket));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        None => {
            let bytes = render::whole(ask, &completion);
            head(StatusCode::OK, JSON, whole(bytes, completion.tokens, script, ticket))
        }
    };
    if script.encoding == Encoding::Gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn whole(bytes: Bytes, tokens: u64, script: &Script, ticket: Ticket) -> Reply {
    let bytes = match script.encoding {
        Encoding::Identity => bytes,
        Encoding::Gzip => gzip(&bytes).into(),
    };
    match script.end {
        End::Complete | End::WithoutDone | End::ErrorAfter(_) => Reply::whole(bytes, tokens, Some(ticket)),
        End::CutAfter(_) => Reply::half(&bytes, Step::Cut, ticket),
        End::StallAfter(_) => Reply::half(&bytes, Step::Stall, ticket),
    }
}

fn garbage(ticket: Ticket) -> Response<Reply> {
    let events = GARBAGE.into_iter().map(|event| silent(Bytes::from_static(event.as_bytes())));
    head(StatusCode::OK, EVENTS, Reply::stream(events, std::time::Duration::ZERO, ticket))
}

fn redirect(to: &str, ticket: Ticket) -> Response<Reply> {
    let mut response = plain(StatusCode::TEMPORARY_REDIRECT, String::new(), Some(ticket));
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn refused(
    route: Option<Route>,
    status: StatusCode,
    message: &str,
    ticket: Option<Ticket>,
) -> Response<Reply> {
    plain(status, fault::body(route, status, message), ticket)
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn plain(status: StatusCode, body: String, ticket: Option<Ticket>) -> Response<Reply> {
    let json = body.starts_with(['{', '[']);
    head(status, if json { JSON } else { HTML }, Reply::whole(body.into(), 0, ticket))
}

fn head(status: StatusCode, content_type: &'static str, reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
