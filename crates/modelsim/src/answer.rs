//! One request, answered as the script says.

use std::iter::once;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::ask::Ask;
use crate::gzip::gzip;
use crate::render::{Completion, Events, Text};
use crate::reply::{Reply, Reset, Step};
use crate::script::{Act, Encoding, End, Script};
use crate::tally::{Tally, Ticket};

/// The largest request body that is read.
const BODY_LEN_MAX: usize = 64 << 20;
/// Longer answers are cut to this, since a whole one is prepared in memory.
const COMPLETION_TOKENS_MAX: u64 = 1 << 24;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
const HTML: &str = "text/html";
const NOT_A_CHAT: &str =
    r#"{"error":{"message":"not a chat request","type":"invalid_request_error","param":null,"code":null}}"#;
const NOT_FOUND: &str =
    r#"{"error":{"message":"no such route","type":"invalid_request_error","param":null,"code":"not_found"}}"#;
const TOO_LARGE: &str = r#"{"error":{"message":"the body is too large","type":"invalid_request_error","param":null,"code":null}}"#;
const STREAM_ERROR: &str = "data: {\"error\":{\"message\":\"the model failed\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
const BROKEN: &str = r#"{"id":"chatcmpl-sim","choices":[{"#;
const GARBAGE: [&str; 3] = ["data: {\"id\":\"chatcmpl\n\n", "neither this\n\n", "data: [[[\n\n"];

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
    tally: &std::sync::Arc<Tally>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Reset> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, path) if path.ends_with("/stats") => return Ok(stats(tally)),
        (&Method::POST, path) if path.ends_with("/chat/completions") => (),
        _ => return Ok(plain(StatusCode::NOT_FOUND, NOT_FOUND.into(), None)),
    }
    if play.script.act == Act::Refuse {
        return Err(Reset);
    }
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_LEN_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE.into(), None)),
    };
    let ticket = tally.start();
    tally.remember(head, body.clone(), play.script.remember);
    if !play.script.first_byte.is_zero() {
        tokio::time::sleep(play.script.first_byte).await;
    }
    let mut response = act(play, &body, ticket).await;
    if !play.script.headers.is_empty() {
        response.headers_mut().extend(play.script.headers.clone());
    }
    Ok(response)
}

fn stats(tally: &Tally) -> Response<Reply> {
    let served = serde_json::to_string(&tally.served()).expect("plain numbers serialize");
    plain(StatusCode::OK, served, None)
}

async fn act(play: &Play, body: &Bytes, ticket: Ticket) -> Response<Reply> {
    match &play.script.act {
        Act::Answer | Act::Refuse => match Ask::read(body) {
            Some(ask) => complete(play, &ask, ticket),
            None => plain(StatusCode::BAD_REQUEST, NOT_A_CHAT.into(), Some(ticket)),
        },
        Act::Garble if Ask::read(body).is_some_and(|ask| ask.streams()) => garbage(ticket),
        Act::Garble => plain(StatusCode::OK, BROKEN.into(), Some(ticket)),
        Act::Fail { status, body } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            plain(status, body.clone(), Some(ticket))
        }
        Act::Redirect { to } => redirect(to, ticket),
        // The ticket is held: only the client can end this.
        Act::Hang => std::future::pending().await,
    }
}

fn complete(play: &Play, ask: &Ask<'_>, ticket: Ticket) -> Response<Reply> {
    let script = &play.script;
    let completion = Completion::of(script, &play.text, ask);
    ticket.read(script.prompt_tokens);
    let mut response = if ask.streams() {
        let steps = steps(completion.events(), script);
        let reply = match script.encoding {
            Encoding::Identity => Reply::stream(steps, script.between_chunks, ticket),
            Encoding::Gzip => Reply::stream(steps.map(pack), script.between_chunks, ticket),
        };
        let mut response = head(StatusCode::OK, EVENTS, reply);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    } else {
        head(StatusCode::OK, JSON, whole(&completion, script, ticket))
    };
    if script.encoding == Encoding::Gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn whole(completion: &Completion<'_>, script: &Script, ticket: Ticket) -> Reply {
    let bytes = match script.encoding {
        Encoding::Identity => completion.whole(),
        Encoding::Gzip => gzip(&completion.whole()).into(),
    };
    match script.end {
        End::Complete | End::WithoutDone | End::ErrorAfter(_) => {
            Reply::whole(bytes, completion.tokens, Some(ticket))
        }
        End::CutAfter(_) => Reply::half(&bytes, Step::Cut, ticket),
        End::StallAfter(_) => Reply::half(&bytes, Step::Stall, ticket),
    }
}

/// The events in their order, up to the end that the script wants.
fn steps(events: Events, script: &Script) -> Box<dyn Iterator<Item = Step> + Send> {
    let Events { opening, word, words, mut closing } = events;
    let (events_max, last) = match script.end {
        End::Complete => (usize::MAX, None),
        End::WithoutDone => {
            closing.pop();
            (usize::MAX, None)
        }
        End::CutAfter(events) => (events, Some(Step::Cut)),
        End::StallAfter(events) => (events, Some(Step::Stall)),
        End::ErrorAfter(events) => {
            (events, Some(Step::Send { bytes: Bytes::from_static(STREAM_ERROR.as_bytes()), tokens: 0 }))
        }
    };
    let words = std::iter::repeat_n(word, usize::try_from(words).unwrap_or(usize::MAX));
    let events = once(silent(opening))
        .chain(words.map(|bytes| Step::Send { bytes, tokens: 1 }))
        .chain(closing.into_iter().map(silent))
        .take(events_max);
    if script.comments {
        let comment = Step::Comment(Bytes::from_static(b": keep-alive\n\n"));
        return Box::new(events.flat_map(move |event| [comment.clone(), event]).chain(last));
    }
    Box::new(events.chain(last))
}

/// An event that carries no token.
fn silent(bytes: Bytes) -> Step {
    Step::Send { bytes, tokens: 0 }
}

fn pack(step: Step) -> Step {
    match step {
        Step::Send { bytes, tokens } => Step::Send { bytes: gzip(&bytes).into(), tokens },
        Step::Comment(bytes) => Step::Comment(gzip(&bytes).into()),
        Step::Cut | Step::Stall => step,
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
