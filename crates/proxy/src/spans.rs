//! A span for each admitted call that is traced: what it was and what came of it, for whoever sends it on.
//!
//! Guarantees: handing a span over neither waits nor fails; what finds no room is dropped and counted. A span holds no
//! prompt, no answer, no secret.
//! Knows nothing of: where spans go, and in which form. Begins at [`ended`].

mod parent;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use domain::{Now, Outcome, RequestId, Slug, Usage};
use http::HeaderMap;
use tokio::sync::mpsc::{self, Receiver, Sender};
use wire::Operation;

pub(crate) use self::parent::Parent;
use crate::admit::Ending;
use crate::facts::Facts;
use crate::worker::Shared;

/// Spans that may wait to be sent on; at some 300 bytes each 1.2 MB.
const SPANS_PENDING_MAX: usize = 4_096;

/// Where spans are handed over. A clone is another handle.
#[derive(Debug, Clone)]
pub struct Spans {
    sender: Sender<Span>,
    /// Of the calls whose callers do not trace them, one in so many is; 0: none.
    one_in: u32,
    lost: Arc<AtomicU64>,
}

/// One call.
#[derive(Debug)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// Its own id.
    pub span_id: [u8; 8],
    /// The caller's span, if the caller traces.
    pub parent_id: Option<[u8; 8]>,
    /// When the call was admitted, in nanoseconds since 1970 UTC.
    pub began_ns: u64,
    /// When it ended, in nanoseconds since 1970 UTC.
    pub ended_ns: u64,
    /// As its answer had it in `x-request-id`.
    pub request_id: RequestId,
    /// What was asked for.
    pub operation: Operation,
    /// The published name of the target's provider.
    pub provider: Cow<'static, str>,
    /// The model that the caller named.
    pub slug: Slug,
    /// The model that the model server was asked for.
    pub model: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The model server's status, if it answered.
    pub status: Option<u16>,
    /// What it used.
    pub usage: Usage,
}

impl Spans {
    /// Handles to hand spans over, and the place where they arrive.
    #[must_use]
    pub fn channel(one_in: u32) -> (Self, Receiver<Span>) {
        let (sender, receiver) = mpsc::channel(SPANS_PENDING_MAX);
        (Self { sender, one_in, lost: Arc::default() }, receiver)
    }

    /// Notes spans that were handed over and got no further.
    pub fn note_lost(&self, spans: usize) {
        self.lost.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Relaxed);
    }

    /// Spans that were dropped since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// A caller decides about its own traces; of the others we take some.
    fn takes(&self, parent: Option<Parent>) -> bool {
        match parent {
            Some(parent) => parent.sampled,
            None => u64::from_ne_bytes(storage::random_bytes()).checked_rem(self.one_in.into()) == Some(0),
        }
    }

    fn hand_over(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.note_lost(1);
        }
    }
}

impl Facts {
    /// With the caller's span, if the request tells one.
    pub(crate) fn traced(mut self, headers: &HeaderMap) -> Self {
        let mut told = headers.get_all("traceparent").iter();
        if let (Some(told), None) = (told.next(), told.next()) {
            self.parent = Parent::read(told.as_bytes());
        }
        self
    }
}

/// An admitted call ended.
pub(crate) fn ended(shared: &Shared, facts: &Facts, ending: &Ending, now: Now) {
    let Some(spans) = &shared.spans.get() else { return };
    let parent = facts.parent;
    if !spans.takes(parent) {
        return;
    }
    let began_ns = facts.admitted_at.wall_ms.saturating_mul(1_000_000);
    let took_ns = now.mono_ns.saturating_sub(facts.admitted_at.mono_ns);
    spans.hand_over(Span {
        trace_id: parent.map_or_else(storage::random_bytes, |parent| parent.trace_id),
        span_id: storage::random_bytes(),
        parent_id: parent.map(|parent| parent.span_id),
        began_ns,
        ended_ns: began_ns.saturating_add(took_ns),
        request_id: facts.request_id,
        operation: facts.operation,
        provider: facts.terms.provider.clone(),
        slug: facts.slug.clone(),
        model: Arc::clone(&facts.terms.upstream_model),
        outcome: ending.outcome,
        status: ending.status,
        usage: ending.usage,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Parent = Parent { trace_id: [1; 16], span_id: [2; 8], sampled: true };
    const UNWANTED: Parent = Parent { sampled: false, ..WANTED };

    #[test]
    fn a_caller_decides_about_its_own_traces_and_we_about_the_others() {
        for (one_in, of_nobody) in [(0, false), (1, true)] {
            let (spans, _arriving) = Spans::channel(one_in);
            assert!(spans.takes(Some(WANTED)) && !spans.takes(Some(UNWANTED)));
            assert!((0..100).all(|_| spans.takes(None) == of_nobody));
        }
        let (spans, _arriving) = Spans::channel(2);
        let taken = (0..1_000).filter(|_| spans.takes(None)).count();
        assert!((300..700).contains(&taken), "{taken}");
    }

    #[test]
    fn a_span_that_finds_no_room_is_dropped_and_counted() {
        let (spans, arriving) = Spans::channel(1);
        let span = || Span {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent_id: None,
            began_ns: 0,
            ended_ns: 1,
            request_id: RequestId::new(0, [0; 10]),
            operation: Operation::Messages,
            provider: "ANTHROPIC".into(),
            slug: "acme/m1".parse().unwrap(),
            model: "m1".into(),
            outcome: Outcome::Completed,
            status: Some(200),
            usage: Usage::NONE,
        };
        (0..SPANS_PENDING_MAX + 3).for_each(|_| spans.hand_over(span()));
        assert_eq!((arriving.len(), spans.lost()), (SPANS_PENDING_MAX, 3));
        drop(arriving);
        spans.hand_over(span());
        assert_eq!(spans.lost(), 4);
    }
}
