//! Admission, and the proof of it.
//!
//! An [`Admitted`] can only come from [`admit`], and only an `Admitted` can be forwarded. It holds the reservation
//! and the room for its ledger entry, so that ending it neither waits nor fails, even in `Drop`.

use std::sync::Arc;

use domain::{Entry, GroupId, Now, Outcome, RequestId, Slug, Usage, UsageSource};
use http::StatusCode;
use limits::{Decision, Estimate, Refusal, Reservation, Standings};
use storage::Permit;
use wire::Operation;

use crate::authenticate::Caller;
use crate::error::Error;
use crate::paths::Lane;
use crate::route::Route;
use crate::settings::{CallLog, OnClientGone};
use crate::worker::Shared;

/// What admission came to.
pub(crate) enum Outlook {
    /// Charged everywhere, and the caller's own limits as they stand now.
    Admitted(Box<Admitted>, Standings),
    /// Charged nowhere, and when that was decided.
    Refused(Refusal, Now),
    /// The configuration has moved on: look again.
    Stale,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) usage: Usage,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
}

impl Ending {
    /// Nothing was generated: the request stays counted, its tokens go back.
    pub(crate) fn unused(outcome: Outcome, status: Option<u16>) -> Self {
        Self { usage: Usage::NONE, outcome, status }
    }
}

/// A call that was admitted and has not ended. Dropping it ends it as [`Admitted::if_dropped`] last said.
#[derive(Debug)]
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    facts: Facts,
    held: Option<(Reservation, Permit)>,
    if_dropped: Ending,
    first_byte_ms: Option<u64>,
}

/// What the ledger will want to know of a call, known at admission.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) request_id: RequestId,
    pub(crate) operation: Operation,
    pub(crate) caller: Caller,
    pub(crate) slug: Slug,
    pub(crate) provider: &'static str,
    pub(crate) upstream_model: Arc<str>,
    pub(crate) groups: Arc<[GroupId]>,
    pub(crate) metadata: Option<Box<str>>,
    pub(crate) estimate: Estimate,
    /// Whether the prompt has parts that nobody but the model server can count.
    pub(crate) prompt_elsewhere: bool,
    pub(crate) admitted_at: Now,
}

impl Facts {
    pub(crate) fn new(
        request_id: RequestId,
        caller: &Caller,
        route: &Route,
        lane: &Lane,
        estimate: Estimate,
    ) -> Self {
        let model = route.destination.model.clone();
        Self {
            request_id,
            operation: route.operation,
            caller: caller.clone(),
            slug: route.slug.clone(),
            provider: route.destination.endpoint.target.provider.name(),
            upstream_model: model.unwrap_or_else(|| route.slug.as_str().into()),
            groups: Arc::clone(&lane.groups),
            metadata: None,
            estimate,
            prompt_elsewhere: false,
            admitted_at: Now::default(),
        }
    }
}

/// Asks every limit on the lane's path. Async from the first day: with many nodes a counter may have to be refilled.
pub(crate) async fn admit(shared: &Arc<Shared>, lane: &Lane, mut facts: Facts) -> Result<Outlook, Error> {
    let permit = shared.store.permit().ok_or(Error::LedgerFull)?;
    let now = shared.clock.now();
    facts.admitted_at = now;
    match shared.engine.reserve(&lane.path, facts.estimate.need, now) {
        Decision::Stale => Ok(Outlook::Stale),
        Decision::Refused(refusal) => Ok(Outlook::Refused(refusal, now)),
        Decision::Admitted(admission) => {
            shared.call_begins();
            let admitted = Admitted {
                shared: Arc::clone(shared),
                facts,
                held: Some((admission.reservation, permit)),
                if_dropped: Ending::unused(Outcome::ClientGone, None),
                first_byte_ms: None,
            };
            Ok(Outlook::Admitted(Box::new(admitted), admission.standings))
        }
    }
}

impl Admitted {
    /// Ends the call: charges what it used and writes its line.
    pub(crate) fn settle(mut self, ending: Ending) {
        // If a fault comes in between, dropping it ends it the same way.
        self.if_dropped = ending;
        self.end(ending);
    }

    /// What to do if the call is dropped from here on: its caller left, or the gateway stops.
    pub(crate) fn if_dropped(&mut self, ending: Ending) {
        self.if_dropped = ending;
    }

    /// The head of the answer came: it is known what the model server said, whatever becomes of the rest.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.if_dropped.status = Some(status.as_u16());
    }

    /// The first byte of the answer came.
    pub(crate) fn mark_first_byte(&mut self) {
        let since = self.shared.clock.now().mono_ns.saturating_sub(self.facts.admitted_at.mono_ns);
        self.first_byte_ms = Some(since / 1_000_000);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether a stream is read on for its usage after its caller left: where the operator wants it, and where the
    /// model server keeps a part of the prompt, so that only its report says what that was.
    pub(crate) fn streams_on(&self) -> bool {
        self.facts.prompt_elsewhere || self.shared.settings.on_client_gone == OnClientGone::Drain
    }

    /// Usage as far as we can tell ourselves: the prompt, and `output` tokens seen.
    pub(crate) fn counted(&self, output: u64) -> Usage {
        let input = self.facts.estimate.prompt;
        Usage { input, output, cached: 0, source: UsageSource::Estimated }
    }

    /// Usage if nobody ever tells: everything that the call could have used. Leaving early is no discount.
    pub(crate) fn in_full(&self) -> Usage {
        self.counted(self.facts.estimate.output)
    }

    fn end(&mut self, ending: Ending) {
        // Read first: whatever goes wrong with it leaves the call to be ended once more.
        let now = self.shared.clock.now();
        let Some((reservation, permit)) = self.held.take() else { return };
        self.shared.engine.settle(reservation, ending.usage.total(), now);
        self.log(&ending, now);
        permit.record(self.entry(ending, now));
        self.shared.call_ends();
    }

    fn entry(&mut self, ending: Ending, now: Now) -> Entry {
        let facts = &mut self.facts;
        let group = &facts.caller.group;
        Entry {
            request_id: facts.request_id,
            admitted_ms: facts.admitted_at.wall_ms,
            settled_ms: now.wall_ms,
            workspace: group.workspace,
            groups: Arc::clone(&facts.groups),
            external_entity_id: Arc::clone(&group.metadata.external_entity_id),
            key_prefix: Arc::clone(&facts.caller.key.prefix),
            slug: facts.slug.clone(),
            provider: facts.provider,
            upstream_model: Arc::clone(&facts.upstream_model),
            route: facts.operation.path(),
            usage: ending.usage,
            outcome: ending.outcome,
            upstream_status: ending.status,
            first_byte_ms: self.first_byte_ms,
            metadata: facts.metadata.take(),
        }
    }

    fn log(&self, ending: &Ending, now: Now) {
        let wanted = match self.shared.settings.calls {
            CallLog::Off => false,
            CallLog::Errors => !matches!(ending.outcome, Outcome::Completed | Outcome::NotReached),
            CallLog::All => true,
        };
        if wanted {
            tracing::info!(
                request_id = %self.facts.request_id,
                status = ending.status,
                outcome = ending.outcome.name(),
                slug = %self.facts.slug,
                key = &*self.facts.caller.key.prefix,
                input_tokens = ending.usage.input,
                output_tokens = ending.usage.output,
                usage = ending.usage.source.name(),
                ms = now.mono_ns.saturating_sub(self.facts.admitted_at.mono_ns) / 1_000_000,
                "call"
            );
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut ending = self.if_dropped;
        if self.shared.is_draining() {
            ending.outcome = Outcome::Shutdown;
        }
        self.end(ending);
    }
}
