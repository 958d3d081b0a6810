//! One call, top to bottom. Begin here.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Admission, Now, RequestId, Slug, Snapshot, Unpriced};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::{Body as _, Incoming};
use limits::{Outset, Rule, Shows};
use tokens::Tokenizer;
use wire::{Call, Dialect, Operation};

use crate::admit::{Admitted, Outlook, admit};
use crate::authenticate::{Caller, authenticate};
use crate::barred::Barred;
use crate::body::Body;
use crate::error::Error;
use crate::facts::Facts;
use crate::forward::{Outbound, forward};
use crate::intake;
use crate::models;
use crate::paths::{Lane, PathCaller, compile};
use crate::prompt::PromptCount;
use crate::rate_headers::RateHeaders;
use crate::record;
use crate::refusal::Refused;
use crate::route::{Route, choose_route};
use crate::settings::CallLog;
use crate::user::user_of;
use crate::worker::Worker;

/// Headers of ours on an answer: the id twice, eight about limits. Room for all at once, since growing moves those there are.
const OUR_HEADERS: usize = 10;

/// How often a call looks at the configuration again when it changes under its hands. Each look, but for one after a
/// long prompt was counted, needs another edit to come in between, so only an endless stream of edits reaches this.
const LOOKS_MAX: usize = 64;

/// The paths of the data plane.
enum Path<'a> {
    Call(Operation),
    Models,
    Model(&'a str),
}

/// What is known of a call as it goes: for its log line if it is not served, and for the headers of any answer.
struct Trace {
    /// Made when the call arrives; once it is admitted, its time is that of admission.
    id: RequestId,
    began: Now,
    key: Option<Arc<str>>,
    slug: Option<Slug>,
    /// Whether the request has a body that was not read: what is left of it must not be taken for a request.
    unread: bool,
    /// The limits that the caller is shown, once they were asked: on whatever answer the call gets from then on.
    rates: Option<RateHeaders>,
}

/// The configuration a call is judged by, and its caller in it.
struct View {
    snapshot: Arc<Snapshot>,
    caller: Caller,
}

/// Whether a compiled path may be the remembered one.
#[derive(Clone, Copy)]
enum Memory {
    Trusted,
    Stale,
}

impl Worker {
    /// Answers one request of the data plane.
    pub async fn serve(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let began = self.shared.clock.now();
        let id = self.fresh_id(began);
        let dialect = dialect(request.uri().path());
        let unread = !request.body().is_end_stream();
        let mut trace = Trace { id, began, key: None, slug: None, unread, rates: None };
        let answer = self.answer(&mut trace, request).await;
        let mut response = answer.unwrap_or_else(|error| {
            self.log(&trace, &error);
            self.count(&trace, &error);
            error.render(dialect, &trace.id.to_string())
        });
        response.headers_mut().reserve(OUR_HEADERS);
        if trace.unread {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(rates) = &trace.rates {
            rates.put(dialect, response.headers_mut());
        }
        let mut room = [0; RequestId::TEXT_LEN];
        // The text is a UUID, so it is always a header.
        if let Ok(value) = HeaderValue::from_str(trace.id.text(&mut room)) {
            if dialect == Dialect::Anthropic {
                response.headers_mut().insert("request-id", value.clone());
            }
            response.headers_mut().insert("x-baseten-request-id", value.clone());
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }

    async fn answer(
        self: &Arc<Self>,
        trace: &mut Trace,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Error> {
        if self.shared.is_draining() {
            return Err(Error::Draining);
        }
        let (head, body) = request.into_parts();
        let path = path(&head.method, head.uri.path())?;
        let view = self.view(&head.headers)?;
        trace.key = Some(Arc::clone(&view.caller.key.prefix));
        match path {
            Path::Models => Ok(models::list(&view.snapshot, &view.caller)),
            Path::Model(slug) => models::get(&view.snapshot, &view.caller, slug),
            Path::Call(operation) => {
                let body = intake::read(&self.shared, &head.headers, body).await?;
                trace.unread = false;
                self.call(trace, view, &head.headers, (operation, &body.bytes)).await
            }
        }
    }

    fn view(&self, headers: &HeaderMap) -> Result<View, Error> {
        let shared = &self.shared;
        let snapshot = shared.store.snapshot();
        let caller = authenticate(headers, shared.settings.bearer, shared.store.vault(), &snapshot)?;
        Ok(View { snapshot, caller })
    }

    async fn call(
        self: &Arc<Self>,
        trace: &mut Trace,
        view: View,
        headers: &HeaderMap,
        (operation, body): (Operation, &Bytes),
    ) -> Result<Response<Body>, Error> {
        let call = wire::read_call(operation, body).map_err(Error::Malformed)?;
        let (admitted, route) = self.admitted(trace, view, headers, &call).await?;
        let outbound = Outbound::new(&call, body, headers, (&route, admitted.allowance()));
        drop(call);
        self.shared.numbers.forwarded(self.shared.clock.now().mono_ns.saturating_sub(trace.began.mono_ns));
        forward(self, admitted, outbound).await
    }

    /// From the configuration as it stands to an admission at exactly that configuration.
    async fn admitted(
        self: &Arc<Self>,
        trace: &mut Trace,
        mut view: View,
        headers: &HeaderMap,
        call: &Call<'_>,
    ) -> Result<(Box<Admitted>, Route), Error> {
        let (mut prompt, mut memory) = (PromptCount::default(), Memory::Trusted);
        let settings = &self.shared.settings;
        for _ in 0..LOOKS_MAX {
            // A body may take long to arrive, a prompt to be counted; what was edited meanwhile counts.
            if !Arc::ptr_eq(&view.snapshot, &self.shared.store.snapshot()) {
                view = self.view(headers)?;
            }
            let View { snapshot, caller } = &view;
            let id = trace.id;
            let note = |error: &Error| record::turned_away(&self.shared, id, caller, call.model(), error);
            let route =
                choose_route(self, snapshot, caller, (call.operation(), call.model())).inspect_err(note)?;
            trace.slug = Some(route.slug.clone());
            let user = user_of(settings, caller, headers, call);
            if user.is_none() && settings.user_required {
                return Err(Barred::NoUser.into()).inspect_err(note);
            }
            let lane = self.lane(&view, &route, user.as_ref(), memory);
            self.check_price(call, &route, &lane).inspect_err(note)?;
            let tokenizer = if lane.weighs { route.destination.tokenizer } else { Tokenizer::Bytes };
            let Some(prompt) = prompt.tokens(tokenizer, call) else {
                prompt.count_aside(tokenizer, call, &self.shared.counts).await;
                continue;
            };
            let rule = self.rule(call, &route, &lane).inspect_err(note)?;
            let outset = outset(call, prompt, &route, &lane);
            let facts = Facts::new(trace.id, (caller, user), (&route, &lane), (call, outset));
            #[cfg(feature = "otel")]
            let facts = facts.traced(headers);
            match admit(self, &lane, facts, rule).await? {
                Outlook::Admitted(admitted, standings) => {
                    let at = admitted.facts().admitted_at;
                    trace.id = admitted.facts().request_id;
                    trace.rates = Some(RateHeaders::new(&lane.rates, standings, at));
                    return Ok((admitted, route));
                }
                Outlook::Refused(refusal, at) => {
                    let refused = Refused::new(&lane.path, &refusal, &route.slug, settings.budget_status);
                    trace.rates = Some(RateHeaders::new(&lane.rates, refusal.standings, at));
                    return Err(Error::Refused(Box::new(refused)));
                }
                Outlook::Stale => memory = Memory::Stale,
            }
        }
        Err(Error::Overloaded)
    }

    /// The compiled path of this caller and route: the remembered one at first, a fresh one after the engine called
    /// it stale (counters may have been given back without an edit).
    fn lane(&self, view: &View, route: &Route, user: Option<&Arc<str>>, memory: Memory) -> Arc<Lane> {
        let View { snapshot, caller } = view;
        let path_caller = PathCaller::of(snapshot, caller, user);
        let epoch = storage::path_epoch(snapshot, caller.group.root, caller.group.workspace);
        let remembered = match memory {
            Memory::Trusted => self.paths.get(&path_caller, route, epoch),
            Memory::Stale => None,
        };
        remembered.unwrap_or_else(|| {
            let shared = &self.shared;
            let lane = compile(shared, snapshot, (caller, user), route, shared.clock.now());
            let lane = Arc::new(lane);
            self.paths.put(path_caller, Arc::clone(&lane));
            lane
        })
    }

    /// What has no price cannot be held to a budget. Counting tokens costs nothing anywhere.
    fn check_price(&self, call: &Call<'_>, route: &Route, lane: &Lane) -> Result<(), Error> {
        let costs = call.operation().is_priced();
        let is_unpriced = lane.limits_usd && costs && route.destination.price.is_none();
        match self.shared.settings.unpriced {
            Unpriced::Refused if is_unpriced => Err(Barred::Unpriced { slug: route.slug.to_string() }.into()),
            Unpriced::Refused | Unpriced::Allowed => Ok(()),
        }
    }

    /// How the call is admitted. Where no limit is on tokens or dollars, there is nothing to hold them to.
    fn rule(&self, call: &Call<'_>, route: &Route, lane: &Lane) -> Result<Rule, Error> {
        if !lane.weighs {
            return Ok(Rule::Estimate);
        }
        if route.admission == Admission::Hard && call.prompt_is_elsewhere() {
            return Err(Barred::Uncountable.into());
        }
        let is_seen = call.stream() && !route.destination.hides_output();
        let shows = if is_seen { Shows::AsWritten } else { Shows::AtTheEnd };
        let least = self.shared.settings.hard_min_output.max(call.output_min().unwrap_or(0));
        Ok(Rule::new(route.admission, shows, least))
    }

    /// What was admitted is counted where it ends.
    fn count(&self, trace: &Trace, error: &Error) {
        match (error, &trace.rates) {
            (Error::Refused(refused), _) => self.shared.numbers.refused(refused.measure()),
            (_, None) => self.shared.numbers.turned_away(error),
            (_, Some(_)) => {}
        }
    }

    fn log(&self, trace: &Trace, error: &Error) {
        if self.shared.settings.calls == CallLog::Off {
            return;
        }
        let face = error.face();
        let request_id = trace.id.to_string();
        let (status, code) = (face.status.as_u16(), face.code);
        let (key, slug) = (trace.key.as_deref(), trace.slug.as_ref().map(Slug::as_str));
        let ms = self.shared.clock.now().mono_ns.saturating_sub(trace.began.mono_ns) / 1_000_000;
        match error.cause() {
            Some(cause) => tracing::warn!(request_id, status, code, slug, key, ms, cause, "call failed"),
            None => tracing::info!(request_id, status, code, slug, key, ms, "call not served"),
        }
    }
}

/// What is known of a call before it is made.
fn outset(call: &Call<'_>, prompt: u64, route: &Route, lane: &Lane) -> Outset {
    Outset {
        prompt,
        declared: call.declared_output(),
        answers: call.answers(),
        usual: lane.usual.p95(),
        output_max: route.destination.endpoint.target.max_output_tokens,
    }
}

/// Every path there is. What can cost something is an operation, and there is one way for all of them.
fn path<'a>(method: &Method, path: &'a str) -> Result<Path<'a>, Error> {
    let (path, allowed) = match (Operation::at(path), path.strip_prefix("/v1/models/")) {
        (Some(operation), _) => (Path::Call(operation), "POST"),
        (None, Some(slug)) if !slug.is_empty() => (Path::Model(slug), "GET"),
        (None, _) if path == "/v1/models" => (Path::Models, "GET"),
        (None, _) => return Err(Error::UnknownRoute),
    };
    if method.as_str() == allowed { Ok(path) } else { Err(Error::WrongMethod { allowed }) }
}

/// The dialect that a path's callers speak, whether or not there is such a path.
fn dialect(path: &str) -> Dialect {
    if path.starts_with(Operation::Messages.path()) { Dialect::Anthropic } else { Dialect::OpenAi }
}
