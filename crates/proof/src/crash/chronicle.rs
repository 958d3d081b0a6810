//! Billing events as a customer of them reads them: in order, once, and the same ever after.
//!
//! The chronicle is what was read so far. Whatever is read again, after however many restarts, must be what it says.
//! Begins at [`Chronicle::read`].

use std::collections::HashMap;

use serde_json::Value;

use super::reconcile::CallId;
use super::verdict::{Promise, Verdict};

/// One event, as far as bills go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place, from 1.
    pub sequence: u64,
    /// Its name.
    pub key: String,
    /// The call.
    pub call: CallId,
    /// Tokens.
    pub input: u64,
    /// Tokens.
    pub output: u64,
}

/// Every event that was read, by its place.
#[derive(Debug, Default)]
pub struct Chronicle {
    events: Vec<Event>,
    by_call: HashMap<CallId, u64>,
}

impl Event {
    /// An item of `GET /v1/gateway/events`.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn of(item: &Value) -> Result<Self, String> {
        let number = |value: &Value| value.as_u64();
        let read = || {
            Some(Self {
                sequence: number(&item["sequence"])?,
                key: item["idempotencyKey"].as_str()?.to_owned(),
                call: id(item["requestId"].as_str()?)?,
                input: number(&item["tokens"]["inputTokens"])?,
                output: number(&item["tokens"]["outputTokens"])?,
            })
        };
        read().ok_or_else(|| format!("this is no event: {item}"))
    }
}

impl Chronicle {
    /// The place of the last event that was read; 0: none.
    #[must_use]
    pub fn last(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    /// Takes what was read behind a place.
    pub fn read(&mut self, after: u64, events: &[Event], verdict: &mut Verdict) {
        for (event, expected) in events.iter().zip(after.saturating_add(1)..) {
            if event.sequence != expected {
                let text = format!("{} follows where {expected} was expected: {event:?}", event.sequence);
                verdict.broken(Promise::Events, format!("place {expected}"), text);
                return;
            }
            self.take(event, verdict);
        }
    }

    fn take(&mut self, event: &Event, verdict: &mut Verdict) {
        let at = usize::try_from(event.sequence.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(known) = self.events.get(at) {
            if known != event {
                let text = format!("it was {known:?} and is {event:?}");
                verdict.broken(Promise::Events, format!("event {}", event.sequence), text);
            }
            return;
        }
        if let Some(before) = self.by_call.insert(event.call, event.sequence) {
            let text = format!("one call is the events {before} and {}: {event:?}", event.sequence);
            verdict.broken(Promise::Events, format!("call {:?}", event.call), text);
        }
        self.events.push(event.clone());
        verdict.stands_at(Promise::Events, self.last());
    }

    /// Events that were read must still be there.
    pub fn reaches(&self, last: u64, verdict: &mut Verdict) {
        if last < self.last() {
            let text = format!("{} events were read, and now there are {last}", self.last());
            verdict.broken(Promise::Events, format!("end {last}"), text);
        }
    }

    /// Holds them against the billed lines of the ledger: id, and tokens in and out.
    pub fn bills(&self, billed: &HashMap<CallId, (u64, u64)>, verdict: &mut Verdict) {
        for event in &self.events {
            let line = billed.get(&event.call);
            if line != Some(&(event.input, event.output)) {
                let text = format!("the line of {event:?} has {line:?}");
                verdict.broken(Promise::Billed, format!("event {}", event.sequence), text);
            }
        }
        for (call, tokens) in billed.iter().filter(|(call, _)| !self.by_call.contains_key(call)) {
            let text = format!("{call:?} with {tokens:?} tokens is billed and no event");
            verdict.broken(Promise::Billed, format!("line {call:?}"), text);
        }
        verdict.stands_at(Promise::Billed, u64::try_from(billed.len()).unwrap_or(u64::MAX));
    }
}

/// A request id as it stands in headers and events.
#[must_use]
pub fn id(text: &str) -> Option<CallId> {
    u128::from_str_radix(&text.replace('-', ""), 16).ok().map(CallId)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::{CallId, Chronicle, Event};
    use crate::crash::verdict::{Promise, Verdict};

    fn event(sequence: u64) -> Event {
        let key = format!("key-{sequence}");
        Event { sequence, key, call: CallId(u128::from(sequence)), input: 1, output: 2 }
    }

    /// What is found in these pages, each with the place it was read behind.
    fn found(pages: &[(u64, Vec<Event>)]) -> u64 {
        let (mut chronicle, mut verdict) = (Chronicle::default(), Verdict::default());
        for (after, events) in pages {
            chronicle.read(*after, events, &mut verdict);
        }
        verdict.breaks(Promise::Events)
    }

    #[test]
    fn pages_that_are_read_again_and_go_on_hold() {
        let all = |to| (1..=to).map(event).collect::<Vec<_>>();
        assert_eq!(found(&[(0, all(3)), (0, all(5)), (3, all(5).split_off(3))]), 0);
    }

    #[test]
    fn a_gap_is_found_at_the_beginning_and_in_the_middle() {
        assert_eq!(found(&[(0, vec![event(2)])]), 1);
        assert_eq!(found(&[(0, vec![event(1), event(3)])]), 1);
        assert_eq!(found(&[(0, vec![event(1)]), (1, vec![event(3)])]), 1);
    }

    #[test]
    fn a_call_that_is_two_events_is_found() {
        assert_eq!(found(&[(0, vec![event(1), Event { call: CallId(1), ..event(2) }])]), 1);
        assert_eq!(found(&[(0, vec![event(1), event(1)])]), 1, "one place twice is a gap");
    }

    #[test]
    fn an_event_that_reads_otherwise_than_before_is_found() {
        let others = [
            Event { input: 2, ..event(1) },
            Event { key: "x".to_owned(), ..event(1) },
            Event { call: CallId(9), ..event(1) },
        ];
        for other in others {
            assert_eq!(found(&[(0, vec![event(1)]), (0, vec![other])]), 1);
        }
    }

    #[test]
    fn events_that_are_gone_are_found() {
        let (mut chronicle, mut verdict) = (Chronicle::default(), Verdict::default());
        chronicle.read(0, &[event(1), event(2)], &mut verdict);
        chronicle.reaches(2, &mut verdict);
        assert_eq!(verdict.breaks(Promise::Events), 0);
        chronicle.reaches(1, &mut verdict);
        assert_eq!(verdict.breaks(Promise::Events), 1);
    }

    #[test]
    fn a_billed_line_without_event_and_an_event_with_other_tokens_are_found() {
        let (mut chronicle, mut verdict) = (Chronicle::default(), Verdict::default());
        chronicle.read(0, &[event(1)], &mut verdict);
        chronicle.bills(&HashMap::from([(CallId(1), (1, 2))]), &mut verdict);
        assert_eq!(verdict.breaks(Promise::Billed), 0);
        chronicle.bills(&HashMap::from([(CallId(1), (1, 3)), (CallId(2), (1, 2))]), &mut verdict);
        assert_eq!(verdict.breaks(Promise::Billed), 2);
    }

    #[test]
    fn an_event_is_read_as_it_is_published() {
        let item = json!({
            "sequence": 7, "idempotencyKey": "01ARYZ6S41", "requestId": "00000000-0000-0000-0000-0000000000ff",
            "tokens": { "inputTokens": 3, "outputTokens": 4, "cachedInputTokens": 0 },
        });
        let read =
            Event { sequence: 7, key: "01ARYZ6S41".to_owned(), call: CallId(255), input: 3, output: 4 };
        assert_eq!(Event::of(&item), Ok(read));
        assert!(Event::of(&json!({ "sequence": 7 })).is_err());
    }
}
