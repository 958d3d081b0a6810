//! From what a caller saw of one call, and what the model server counted, to what must have been charged for it.
//!
//! Two bounds. *At least*: what the model server itself counted, where the whole answer came through; where it told
//! wrong numbers, what it told, since nobody else can know better; where the answer broke off, the prompt (or less, if
//! less was told) and the words that came through to the caller, since those had passed the gateway. *At most*: what
//! the call could use.

use std::sync::Arc;

use modelsim::{End, Ending, UsageReport};

use crate::history::Call;
use crate::plan::{Delivery, GUESS};
use crate::stage::Slip;
use crate::windows::Span;

/// Reports above this are not believed.
const BELIEVED_MAX: u64 = 1 << 40;
/// What half of a whole answer may count beyond its words: the JSON around them, taken for text.
const FRAME_MAX: u64 = 2_000;

/// How a call came out for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The caller left before a header came.
    Nothing,
    /// A status, and whether the model server said it.
    Status(u16, Source),
}

/// Who an error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The gateway, or an answer without error.
    Gateway,
    /// The model server.
    Upstream,
}

/// How the answer ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// All of it came.
    Complete,
    /// A limit ended it in good order. It may have been about to end by itself: then all of it was written, and what it
    /// held a little more.
    Cut,
    /// It broke off.
    Broken,
    /// The caller left.
    Left,
}

/// What a caller saw of a call.
#[derive(Debug)]
pub struct Sighting {
    /// Which tree, group and model.
    pub place: (u16, u16, u16),
    /// How it was asked for.
    pub delivery: Delivery,
    /// For whom, if it says.
    pub user: Option<&'static str>,
    /// What the model server tells of its cache.
    pub cache: (u64, u64),
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens of output that it declared.
    pub declared: Option<u64>,
    /// The call at the model server.
    pub slip: Arc<Slip>,
    /// From the answer; 0 if none came.
    pub id: u128,
    /// When the admission began, as the id says.
    pub stamped: Option<Span>,
    /// When it was sent.
    pub sent_us: u64,
    /// When the header of its answer came.
    pub head_us: Option<u64>,
    /// When its answer ended.
    pub ended_us: u64,
    /// What came first.
    pub seen: Seen,
    /// How the rest came.
    pub rest: Rest,
    /// Words that came.
    pub words: u64,
}

/// What becomes of a sighting.
#[derive(Debug)]
pub enum Verdict {
    /// Refused by a limit, with this status.
    Refused(u16),
    /// Refused by a limit, and at the model server all the same.
    RefusedAndServed,
    /// Answered as if by the model server, which has never seen it.
    Unserved(u16),
    /// Admitted, or perhaps.
    Admitted(Call),
    /// An answer that no call of a run should get.
    Unexpected(u16),
}

impl Sighting {
    /// Whether the model server is done with it, so that its count stands.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.slip.arrived_us().is_none() || self.slip.receipt().ending().is_some()
    }

    /// What to make of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let arrived = self.slip.arrived_us().is_some();
        match self.seen {
            // 402: by budgets alone.
            Seen::Status(402 | 429, Source::Gateway) if arrived => Verdict::RefusedAndServed,
            Seen::Status(status @ (402 | 429), Source::Gateway) => Verdict::Refused(status),
            Seen::Status(status @ 400..=499, Source::Gateway) => Verdict::Unexpected(status),
            Seen::Status(status @ 200..=399, _) | Seen::Status(status, Source::Upstream) if !arrived => {
                Verdict::Unserved(status)
            }
            // It may have ended before it was admitted, unless it was seen behind that.
            Seen::Nothing | Seen::Status(503, Source::Gateway) if !arrived => {
                Verdict::Admitted(Call { admitted: false, ..self.call() })
            }
            Seen::Nothing | Seen::Status(..) => Verdict::Admitted(self.call()),
        }
    }

    fn call(&self) -> Call {
        let (tree, group, slug) = self.place;
        let arrived_us = self.slip.arrived_us().unwrap_or(u64::MAX);
        let stamped = self.stamped.unwrap_or(Span { earliest_us: self.sent_us, latest_us: u64::MAX });
        let tokens_min = self.least();
        Call {
            number: self.slip.number(),
            id: self.id,
            tree,
            group,
            slug,
            user: self.user,
            admitted: true,
            streamed: self.delivery == Delivery::Streamed,
            sent_us: self.sent_us,
            // The stamp is read when the admission begins; the charge is made when its lock is had, which is before
            // the call goes to the model server, and before anything is answered.
            span: Span {
                earliest_us: stamped.earliest_us.max(self.sent_us),
                latest_us: arrived_us.min(self.head_us.unwrap_or(u64::MAX)).max(self.sent_us),
            },
            settled_us: if self.rest == Rest::Left { u64::MAX } else { self.ended_us },
            prompt: self.prompt,
            declared: self.declared,
            tokens_min,
            tokens_max: self.most().max(tokens_min),
            cache: self.is_exact().then_some(self.cache),
        }
    }

    fn least(&self) -> u64 {
        let receipt = self.slip.receipt();
        let (read, wrote) = (receipt.prompt_tokens(), receipt.completion_tokens());
        let served = read.saturating_add(wrote);
        let told = self.told();
        let read_on = self.delivery == Delivery::Whole && receipt.ending() == Some(Ending::Finished);
        match (self.seen, self.rest) {
            _ if self.is_exact() => told.unwrap_or(served),
            // Whole answers are read on when their callers have left.
            (Seen::Status(200, _) | Seen::Nothing, Rest::Left) if read_on => told.unwrap_or(served),
            (Seen::Status(200, _), _) if self.delivery == Delivery::Streamed => {
                broken_off(read, wrote.min(self.words), self.report())
            }
            (Seen::Status(..) | Seen::Nothing, _) => 0,
        }
    }

    fn most(&self) -> u64 {
        match (self.seen, self.rest) {
            _ if self.is_exact() => self.least(),
            (Seen::Status(400..=599, Source::Upstream), Rest::Complete) => 0,
            _ => {
                let receipt = self.slip.receipt();
                let served =
                    receipt.prompt_tokens().max(self.prompt).saturating_add(receipt.completion_tokens());
                let held = self.prompt.saturating_add(self.declared.unwrap_or(GUESS));
                served.max(held).max(self.told().unwrap_or(0)).saturating_add(FRAME_MAX)
            }
        }
    }

    /// Whether the whole answer came through, with its usage where it had any.
    fn is_exact(&self) -> bool {
        let to_its_end = self.slip.receipt().ending() == Some(Ending::Finished);
        let in_order = self.delivery == Delivery::Whole || self.slip.script().end == End::Complete;
        matches!(self.seen, Seen::Status(200, _)) && self.rest == Rest::Complete && to_its_end && in_order
    }

    /// All that a wrong report tells, if it is believed.
    fn told(&self) -> Option<u64> {
        self.report().map(|(prompt, completion)| prompt.saturating_add(completion))
    }

    /// The prompt and the completion of a wrong report that is believed.
    fn report(&self) -> Option<(u64, u64)> {
        match self.slip.script().usage {
            UsageReport::Lying { prompt, completion } if prompt.max(completion) <= BELIEVED_MAX => {
                Some((prompt, completion))
            }
            UsageReport::Lying { .. } | UsageReport::Reported | UsageReport::Missing => None,
        }
    }
}

/// What a stream has used at least of which so much came through, where so much was or would have been told at its end.
/// Messages tell their prompt first, truly or not, and that stands though the answer broke off.
fn broken_off(prompt: u64, words: u64, report: Option<(u64, u64)>) -> u64 {
    let (told_prompt, told) = report
        .map_or((u64::MAX, u64::MAX), |(prompt, completion)| (prompt, prompt.saturating_add(completion)));
    prompt.min(told_prompt).saturating_add(words).min(told)
}

#[cfg(test)]
mod tests {
    use super::broken_off;

    #[test]
    fn a_stream_that_broke_off_has_used_its_prompt_and_the_words_that_came_or_what_was_told_if_less() {
        assert_eq!(broken_off(24, 10, None), 34);
        assert_eq!(broken_off(24, 10, Some((12, 200))), 22, "the prompt was told at once, and low");
        assert_eq!(broken_off(24, 10, Some((324, 700))), 34, "perhaps nothing had been told");
        assert_eq!(broken_off(24, 10, Some((12, 5))), 17);
    }
}
