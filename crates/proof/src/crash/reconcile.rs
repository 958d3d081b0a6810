//! The ledger, line by line, against what callers saw and what the model server counted.
//!
//! A pure judgement: it is given plain values, and knows nothing of gateways. Each call is found by the number that it
//! carried in its `metadata`. Begins at [`reconcile`].

use std::collections::HashMap;
use std::fmt;

use super::verdict::{Promise, Verdict};
use crate::load::shown;

/// The id of a call, written as in headers and logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u128);

/// What is known of one call from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it carried.
    pub number: u64,
    /// The id that its caller was told, if an answer came.
    pub id: Option<CallId>,
    /// How it came out for its caller.
    pub seen: Seen,
    /// What the model server counted, if the call came there.
    pub served: Option<Served>,
    /// The output that it declared.
    pub declared: Option<u64>,
    /// Whether records of it may have been torn off on purpose.
    pub torn: bool,
}

/// How a call came out for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The whole answer came.
    Whole,
    /// A whole answer that says what went wrong at the model server.
    Failed,
    /// A limit refused it, with this status.
    Refused(u16),
    /// The gateway had no room or no time for it.
    Turned,
    /// A part came, or nothing: the gateway was killed, the answer broke off, the caller left.
    Part,
}

/// What the model server counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// Of the call.
    pub id: CallId,
    /// What the call carried.
    pub number: Option<u64>,
    /// Tokens.
    pub input: u64,
    /// Tokens.
    pub output: u64,
    /// How it ended, in the ledger's word.
    pub outcome: String,
    /// Where its tokens are from.
    pub source: Source,
}

/// Where the tokens of a line are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The model server told them.
    Told,
    /// The gateway counted what came by.
    Counted,
    /// What was held, since the gateway ended first.
    Held,
}

/// Judges all lines and all calls.
pub fn reconcile(facts: &[Fact], lines: &[Booked], verdict: &mut Verdict) {
    let by_number: HashMap<u64, &Fact> = facts.iter().map(|fact| (fact.number, fact)).collect();
    let mut booked: HashMap<u64, &Booked> = HashMap::with_capacity(lines.len());
    for line in lines {
        let Some(fact) = line.number.and_then(|number| by_number.get(&number)) else {
            verdict.broken(Promise::Own, format!("{:?}", line.id), format!("nobody sent {line:?}"));
            continue;
        };
        if let Some(first) = booked.insert(fact.number, line) {
            let text = format!("twice in the ledger: {first:?} and {line:?}; {fact:?}");
            verdict.broken(Promise::Own, about(fact), text);
        }
    }
    verdict.stands_at(Promise::Own, count(lines.len()));
    for fact in facts {
        judge(fact, booked.get(&fact.number).copied(), verdict);
    }
    tally(facts, &booked, verdict);
}

fn judge(fact: &Fact, line: Option<&Booked>, verdict: &mut Verdict) {
    let mut broken = |promise, what: &str| {
        let line = line.map_or("no line".to_owned(), |line| format!("{line:?}"));
        verdict.broken(promise, about(fact), format!("{what}: {fact:?}; {line}"));
    };
    let Some(line) = line else {
        match (fact.seen, fact.served) {
            _ if fact.torn => {}
            (Seen::Whole, _) => broken(Promise::Acknowledged, "lost, though its caller saw its end"),
            (_, Some(_)) => broken(Promise::Served, "lost, though the server saw it"),
            (Seen::Failed, None) => broken(Promise::Served, "answered, and neither served nor in the ledger"),
            (Seen::Refused(_) | Seen::Turned | Seen::Part, None) => {}
        }
        if let (Seen::Refused(_), Some(_)) = (fact.seen, fact.served) {
            broken(Promise::Refused, "refused and served");
        }
        return;
    };
    if fact.id.is_some_and(|id| id != line.id) {
        broken(Promise::Own, "its caller was told another id");
    }
    if let Seen::Refused(_) = fact.seen {
        broken(Promise::Refused, "refused, and in the ledger");
    }
    let same = fact.served.is_some_and(|served| (served.input, served.output) == (line.input, line.output));
    match (fact.seen, line.source) {
        (Seen::Whole, Source::Held | Source::Counted) if fact.torn => {}
        (Seen::Whole, Source::Held) => {
            broken(Promise::Acknowledged, "recovered, though its caller saw its end");
        }
        (Seen::Whole, _) if !same => broken(Promise::Acknowledged, "other tokens than the server counted"),
        (_, Source::Told) if !same && !line.is_unreached() => {
            broken(Promise::Served, "other tokens than the server told");
        }
        (_, Source::Held) if falls_short(fact, line) => {
            broken(Promise::Recovered, "recovered at less than it can have used");
        }
        _ => {}
    }
}

impl Booked {
    /// Whether no byte of an answer came to the gateway: what the server read by then nobody can know.
    fn is_unreached(&self) -> bool {
        self.outcome == "not_reached" && (self.input, self.output) == (0, 0)
    }
}

/// Whether less was held than the server counted, where the call had said how much it might be.
fn falls_short(fact: &Fact, line: &Booked) -> bool {
    let Some(Served { input, output }) = fact.served else { return false };
    line.input < input || (fact.declared.is_some() && line.output < output)
}

fn tally(facts: &[Fact], booked: &HashMap<u64, &Booked>, verdict: &mut Verdict) {
    let of = |kind: fn(&Fact) -> bool| count(facts.iter().filter(|fact| kind(fact)).count());
    verdict.stands_at(Promise::Acknowledged, of(|fact| fact.seen == Seen::Whole));
    verdict.stands_at(Promise::Served, of(|fact| fact.served.is_some()));
    verdict.stands_at(Promise::Refused, of(|fact| matches!(fact.seen, Seen::Refused(_))));
    let recovered = booked.values().filter(|line| line.source == Source::Held).count();
    verdict.stands_at(Promise::Recovered, count(recovered));
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0))
    }
}

fn about(fact: &Fact) -> String {
    format!("call {}", fact.number)
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
