//! Admission, and the proof of it.
//!
//! An [`Admitted`] can only come from [`admit`], and only an `Admitted` can be forwarded. It is in the journal, and holds
//! the reservation and the room for its end, so that ending it neither waits nor fails, even in `Drop`.

use std::sync::{Arc, PoisonError};

use domain::{Entry, Now, Outcome, Usage, UsageSource, Usd};
use http::StatusCode;
use limits::{
    Admission, Ask, Decision, Estimate, Refusal, Reservation, Rule, Settled, Size, Standings, TopUp, Verdict,
};
use storage::{Full, Pending, Synced};

use crate::error::Error;
use crate::facts::Facts;
use crate::paths::Lane;
use crate::record;
use crate::settings::{CallLog, OnClientGone};
use crate::worker::{Shared, Worker};

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

/// How much the model may write, by what was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// As much as the caller asks for.
    Unbounded,
    /// So many tokens over all answers, and the model is told so.
    Bounded(u64),
    /// What is held, more of which is asked for as it is written.
    Stepwise,
}

/// A call that was admitted and has not ended. Dropping it ends it as [`Admitted::if_dropped`] last said.
#[derive(Debug)]
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    facts: Facts,
    held: Option<(Reservation, Pending)>,
    if_dropped: Ending,
    allowance: Allowance,
    first_byte_ms: Option<u64>,
    /// How often it was sent upstream.
    attempts: u8,
}

/// Asks every limit on the lane's path. A call that is admitted is in the journal when this answers.
pub(crate) async fn admit(worker: &Worker, lane: &Lane, facts: Facts, rule: Rule) -> Result<Outlook, Error> {
    let outlook = ask(worker, lane, facts, rule)?;
    let Outlook::Admitted(admitted, standings) = outlook else { return Ok(outlook) };
    let admitted = admitted.written().await?;
    Ok(Outlook::Admitted(admitted, standings))
}

fn ask(worker: &Worker, lane: &Lane, mut facts: Facts, rule: Rule) -> Result<Outlook, Error> {
    let Worker { shared, recorder, seen, .. } = worker;
    let permit = recorder.permit().ok_or(Error::LedgerFull)?;
    let now = shared.clock.now();
    let Estimate { prompt, output, need } = facts.outset.estimate(rule);
    let seen = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
    let ask = Ask { need, tariff: facts.tariff() };
    match shared.engine.reserve(&lane.path, ask, now, Some(seen)) {
        Decision::Stale => Ok(Outlook::Stale),
        Decision::Refused(refusal) => {
            record::refused(shared, lane, &facts, &refusal);
            Ok(Outlook::Refused(refusal, now))
        }
        Decision::Admitted(Admission { reservation, standings }) => {
            let held = reservation.held();
            let (output, allowance) = allowed(rule, output, held.tokens.saturating_sub(prompt));
            let at = reservation.admitted_at();
            // The clock's own reading: the tree's may be a little later, which no caller could make sense of.
            facts.request_id = facts.request_id.at(now.wall_ms);
            (facts.admitted_at, facts.output, facts.held) = (at, output, held.tokens);
            let pending = match recorder.admit(permit, &facts.to_journal()) {
                Ok(pending) => pending,
                Err(Full) => {
                    shared.engine.cancel(reservation, now);
                    return Err(Error::LedgerFull);
                }
            };
            shared.call_begins();
            let admitted = Admitted {
                shared: Arc::clone(shared),
                facts,
                held: Some((reservation, pending)),
                attempts: 0,
                if_dropped: Ending::unused(Outcome::ClientGone, None),
                allowance,
                first_byte_ms: None,
            };
            record::admitted(shared, lane, admitted.facts(), held, seen);
            Ok(Outlook::Admitted(Box::new(admitted), standings))
        }
    }
}

/// The output that a call is taken for, and how much of it the model may write, where so much is held.
fn allowed(rule: Rule, output: u64, held: u64) -> (u64, Allowance) {
    match rule {
        Rule::Bounded { .. } => (held, Allowance::Bounded(held)),
        Rule::Stepwise { .. } => (held, Allowance::Stepwise),
        Rule::Estimate | Rule::Learned | Rule::Observed => (output, Allowance::Unbounded),
    }
}

impl Admitted {
    /// Ends the call: charges what it used and writes its line. The last byte of its answer waits for what is returned.
    pub(crate) fn settle(mut self, ending: Ending) -> Synced {
        // If a fault comes in between, dropping it ends it the same way.
        self.if_dropped = ending;
        self.end(ending)
    }

    /// Waits until the journal has the call. Where the disk refuses that, the call was never made.
    async fn written(mut self: Box<Self>) -> Result<Box<Self>, Error> {
        let Some(written) = self.held.as_ref().map(|(_, pending)| pending.written()) else { return Ok(self) };
        if written.await == Err(Full)
            && let Some((reservation, pending)) = self.held.take()
        {
            let now = self.shared.clock.now();
            self.shared.engine.cancel(reservation, now);
            pending.cancel(now);
            self.shared.call_ends();
            return Err(Error::LedgerFull);
        }
        Ok(self)
    }

    /// How often the call was sent upstream, to be counted on.
    pub(crate) fn attempts(&mut self) -> &mut u8 {
        &mut self.attempts
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
        self.shared.numbers.answered(self.facts.operation, since);
        self.first_byte_ms = Some(since / 1_000_000);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How much the model may write.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Asks for more output of a stream that is admitted step by step. Held until the call ends, if it is granted.
    pub(crate) fn top_up(&mut self, tokens: u64) -> TopUp {
        let now = self.shared.clock.now();
        let Some((reservation, pending)) = &mut self.held else { return TopUp::Granted };
        let answer = self.shared.engine.top_up(reservation, tokens, now);
        if answer == TopUp::Granted {
            let output = reservation.held().tokens.saturating_sub(self.facts.outset.prompt);
            if pending.hold(output, now).is_err() {
                // Granted and not written down, it would be forgotten if the process ended; so it is not used, and goes
                // back when the call ends.
                let verdict = Verdict::Wait { nanos: 0, hold_may_end: true };
                return TopUp::Refused { limit: 0, verdict };
            }
        }
        answer
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether a stream is read on for its usage after its caller left: where the operator wants it, and where the
    /// model server keeps a part of the prompt or of the answer, so that only its report says what that was.
    pub(crate) fn streams_on(&self) -> bool {
        self.facts.prompt_elsewhere
            || self.facts.output_hidden
            || self.shared.settings.on_client_gone == OnClientGone::Drain
    }

    /// Usage as far as we can tell ourselves: the prompt, and `output` tokens seen.
    pub(crate) fn counted(&self, output: u64) -> Usage {
        let input = self.facts.outset.prompt;
        Usage { input, output, cached: 0, cache_written: 0, source: UsageSource::Estimated }
    }

    /// Usage if nobody ever tells: everything that the call could have used. Leaving early is no discount.
    pub(crate) fn in_full(&self) -> Usage {
        self.counted(self.facts.output)
    }

    fn end(&mut self, ending: Ending) -> Synced {
        // Read first: whatever goes wrong with it leaves the call to be ended once more.
        let now = self.shared.clock.now();
        let Some((reservation, pending)) = self.held.take() else { return Synced::already() };
        let cost = self.facts.cost(&ending.usage);
        let used = Size { tokens: ending.usage.total(), usd: cost.unwrap_or_default() };
        let settled = self.shared.engine.settle(reservation, used, now);
        self.learn(&ending);
        self.log(&ending, settled.at);
        let took_ns = settled.at.mono_ns.saturating_sub(self.facts.admitted_at.mono_ns);
        self.shared.numbers.ended(self.facts.operation, ending.outcome, &ending.usage, took_ns);
        #[cfg(feature = "otel")]
        crate::spans::ended(&self.shared, &self.facts, &ending, settled.at);
        let synced = pending.settle(self.entry(ending, cost, settled));
        self.shared.call_ends();
        synced
    }

    /// An answer that came to its end tells what the next one may be like.
    fn learn(&self, ending: &Ending) {
        let Facts { operation, outset, usual, .. } = &self.facts;
        let is_whole = ending.outcome == Outcome::Completed && matches!(ending.status, Some(200..=299));
        if is_whole && operation.writes() {
            usual.note(ending.usage.output.div_ceil(outset.answers.max(1)));
        }
    }

    fn entry(&mut self, ending: Ending, cost: Option<Usd>, Settled { at, late }: Settled) -> Entry {
        let facts = &mut self.facts;
        Entry {
            request_id: facts.request_id,
            admitted: facts.admitted_at,
            settled: at,
            terms: Arc::clone(&facts.terms),
            key_prefix: Arc::clone(&facts.caller.key.prefix),
            route: facts.operation.path().into(),
            attempts: self.attempts,
            usage: ending.usage,
            late,
            outcome: ending.outcome,
            upstream_status: ending.status,
            first_byte_ms: self.first_byte_ms,
            metadata: facts.metadata.take(),
            user: facts.user.take(),
            cost,
        }
    }

    fn log(&self, ending: &Ending, now: Now) {
        let wanted = match self.shared.settings.calls {
            CallLog::Off => false,
            CallLog::Errors => {
                !matches!(ending.outcome, Outcome::Completed | Outcome::NotReached | Outcome::LimitCut)
            }
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
        // Nobody is there to wait for it.
        drop(self.end(ending));
    }
}
