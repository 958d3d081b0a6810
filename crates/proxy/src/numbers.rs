//! What calls came to, in numbers, since the gateway started.
//!
//! Noting is a handful of relaxed additions, on memory that the noting thread has to itself as long as there are no more
//! of them than [`SHARDS`]: no lock, no allocation, no text. Adding it all up is left to whoever reads.
//!
//! Guarantees: as many numbers as there are operations, outcomes, measures and reasons, whoever calls and for what; no
//! reading of the clock of its own. A reading that goes on beside calls may have a part of one and not the rest of it.
//! Knows nothing of: names and forms of metrics, who called, which model.
//! Begins at [`Numbers`]; what can be read is [`Totals`].

mod histogram;
mod reason;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use domain::{LimitType, Meter, Outcome, Unit, Usage};
use limits::Measure;
use wire::Operation;

pub use self::histogram::Histogram;
use self::histogram::{ADDED, ANSWERS, Buckets};
pub use self::reason::Reason;
use crate::error::Error;

/// Threads that note numbers without meeting; further ones share.
const SHARDS: usize = 16;

/// Everything that a limit can be on.
const MEASURES: [Measure; 10] = [
    Measure::Use(LimitType::Request, Unit::Second),
    Measure::Use(LimitType::Request, Unit::Minute),
    Measure::Use(LimitType::Request, Unit::Day),
    Measure::Use(LimitType::Token, Unit::Second),
    Measure::Use(LimitType::Token, Unit::Minute),
    Measure::Use(LimitType::Token, Unit::Day),
    Measure::Spend(Meter::Requests),
    Measure::Spend(Meter::Tokens),
    Measure::Spend(Meter::Usd),
    Measure::Concurrency,
];

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Where this thread notes.
    static OWN: usize = THREADS.fetch_add(1, Relaxed) % SHARDS;
}

/// The numbers of all workers.
#[derive(Debug, Default)]
pub(crate) struct Numbers([Shard; SHARDS]);

/// One thread's. Two cache lines apart from the next, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    calls: [[AtomicU64; Outcome::ALL.len()]; Operation::ALL.len()],
    first_byte: [Buckets; Operation::ALL.len()],
    duration: [Buckets; Operation::ALL.len()],
    added: Buckets,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    refused: [AtomicU64; MEASURES.len()],
    turned_away: [AtomicU64; Reason::ALL.len()],
}

/// What calls came to since the start. Every operation, outcome, measure and reason is there, if only with 0.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Calls that were admitted and have ended.
    pub calls: Vec<(Operation, Outcome, u64)>,
    /// From admission to the head of the model server's answer.
    pub first_byte: Vec<(Operation, Histogram)>,
    /// From admission to the end of the call.
    pub duration: Vec<(Operation, Histogram)>,
    /// From the head of a request to its way upstream: what the gateway takes, and the caller for its body.
    pub added: Histogram,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// The part of the prompt tokens that model servers had in their caches.
    pub cached_tokens: u64,
    /// Calls that a limit refused, by what binds.
    pub refused: Vec<(Measure, u64)>,
    /// Requests that came to no limit.
    pub turned_away: Vec<(Reason, u64)>,
}

impl Numbers {
    /// A call was put together for its model server, so many nanoseconds after its head came.
    pub(crate) fn forwarded(&self, after_ns: u64) {
        self.own().added.note(&ADDED, after_ns);
    }

    /// The head of an answer came, so many nanoseconds after admission.
    pub(crate) fn answered(&self, operation: Operation, after_ns: u64) {
        self.own().first_byte[operation as usize].note(&ANSWERS, after_ns);
    }

    /// An admitted call ended, so many nanoseconds after admission.
    pub(crate) fn ended(&self, operation: Operation, outcome: Outcome, usage: &Usage, after_ns: u64) {
        let own = self.own();
        own.calls[operation as usize][outcome as usize].fetch_add(1, Relaxed);
        own.duration[operation as usize].note(&ANSWERS, after_ns);
        for (total, tokens) in [
            (&own.input_tokens, usage.input),
            (&own.output_tokens, usage.output),
            (&own.cached_tokens, usage.cached),
        ] {
            if tokens > 0 {
                total.fetch_add(tokens, Relaxed);
            }
        }
    }

    /// A limit refused a call.
    pub(crate) fn refused(&self, measure: Measure) {
        if let Some(at) = MEASURES.iter().position(|known| *known == measure) {
            self.own().refused[at].fetch_add(1, Relaxed);
        }
    }

    /// A request came to no limit.
    pub(crate) fn turned_away(&self, error: &Error) {
        if let Some(reason) = Reason::of(error) {
            self.own().turned_away[reason as usize].fetch_add(1, Relaxed);
        }
    }

    /// All of them added up.
    pub(crate) fn totals(&self) -> Totals {
        let sum = |of: &dyn Fn(&Shard) -> &AtomicU64| {
            self.0.iter().fold(0, |sum: u64, shard| sum.wrapping_add(of(shard).load(Relaxed)))
        };
        let histogram =
            |bounds, of: &dyn Fn(&Shard) -> &Buckets| Histogram::sum(bounds, self.0.iter().map(of));
        let calls = Operation::ALL
            .into_iter()
            .flat_map(|operation| Outcome::ALL.into_iter().map(move |outcome| (operation, outcome)));
        Totals {
            calls: calls
                .map(|(operation, outcome)| {
                    let count = sum(&|shard| &shard.calls[operation as usize][outcome as usize]);
                    (operation, outcome, count)
                })
                .collect(),
            first_byte: Operation::ALL
                .map(|of| (of, histogram(&ANSWERS, &|shard| &shard.first_byte[of as usize])))
                .into(),
            duration: Operation::ALL
                .map(|of| (of, histogram(&ANSWERS, &|shard| &shard.duration[of as usize])))
                .into(),
            added: histogram(&ADDED, &|shard| &shard.added),
            input_tokens: sum(&|shard| &shard.input_tokens),
            output_tokens: sum(&|shard| &shard.output_tokens),
            cached_tokens: sum(&|shard| &shard.cached_tokens),
            refused: MEASURES
                .into_iter()
                .enumerate()
                .map(|(at, measure)| (measure, sum(&|shard| &shard.refused[at])))
                .collect(),
            turned_away: Reason::ALL
                .map(|reason| (reason, sum(&|shard| &shard.turned_away[reason as usize])))
                .into(),
        }
    }

    fn own(&self) -> &Shard {
        &self.0[OWN.with(|own| *own)]
    }
}

#[cfg(test)]
mod tests;
