//! A stream's output held step by step: how much of it is held, and when to ask for more.
//!
//! In the mode `hard` a stream holds one step beside its prompt and asks for the next one when half of a step is left,
//! so that what is passed on is held before. Where that is refused, it goes on with what it holds, and asks once more
//! when nothing is left: a window may have moved on by then. It never asks for more than the caller lets the model
//! write, until the model has written more than that.
//!
//! Knows nothing of: limits, events, sockets.

use limits::STEP;

/// Bytes that are looked at before the next step may be due: they cannot hold more than half a step, neither counted by
/// their bytes nor by their events.
const LOOK_LEN: usize = 384;
/// Bytes of text that are counted as one token.
const TOKEN_LEN: u64 = 3;
/// So many tokens an answer may seem to have beyond its bound and still keep it: servers send some events for themselves.
const SLACK: u64 = 8;

/// The output of one stream.
#[derive(Debug)]
pub(crate) struct Steps {
    /// The most that the model may write; no bound where it does not keep it.
    most: u64,
    /// What it may seem to write beyond that.
    slack: u64,
    held: u64,
    ask: Ask,
}

/// What a stream has written so far, in tokens that nobody knows exactly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Rather too few.
    pub(crate) at_least: u64,
    /// Rather too many.
    pub(crate) at_most: u64,
}

/// When more is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// With half a step in hand.
    Ahead,
    /// When nothing is left: that was refused.
    AtTheEnd,
}

/// What a refusal means for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It goes on with what it holds.
    GoOn,
    /// It holds nothing more.
    Over,
}

impl Steps {
    /// Of a stream that holds so much output at its beginning. `declared`: what the caller lets the model write, in all
    /// its `answers` together.
    pub(crate) fn new(held: u64, declared: Option<u64>, answers: u64) -> Self {
        let slack = answers.saturating_mul(SLACK);
        Self { most: declared.unwrap_or(u64::MAX), slack, held, ask: Ask::Ahead }
    }

    /// How many bytes to look at next, where so many tokens have been written: few enough to notice the end of what is
    /// held.
    pub(crate) fn look(&self, written: u64) -> usize {
        let left = match self.ask {
            Ask::Ahead => STEP / 2,
            Ask::AtTheEnd => self.left(written),
        };
        let bytes = left.saturating_mul(TOKEN_LEN).max(TOKEN_LEN);
        usize::try_from(bytes).unwrap_or(LOOK_LEN).min(LOOK_LEN)
    }

    /// Tokens to ask for, where so many have been written; none while enough is held.
    pub(crate) fn due(&mut self, written: Written) -> Option<u64> {
        if written.at_least > self.most.saturating_add(self.slack) {
            // Its server does not know the bound, or has its own mind.
            self.most = u64::MAX;
        }
        let written = written.at_most;
        let rest = self.most.saturating_sub(self.held);
        // One event may hold more than a step.
        let wanted = written.saturating_sub(self.held).saturating_add(STEP).min(rest);
        let is_time = match self.ask {
            Ask::Ahead => self.left(written) <= STEP / 2,
            Ask::AtTheEnd => self.left(written) == 0,
        };
        (is_time && wanted > 0).then_some(wanted)
    }

    /// So much more is held.
    pub(crate) fn granted(&mut self, tokens: u64) {
        self.held = self.held.saturating_add(tokens);
        self.ask = Ask::Ahead;
    }

    /// What was due is not to be had.
    pub(crate) fn refused(&mut self, written: u64) -> Refused {
        self.ask = Ask::AtTheEnd;
        if self.left(written) == 0 { Refused::Over } else { Refused::GoOn }
    }

    fn left(&self, written: u64) -> u64 {
        self.held.saturating_sub(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many at most, and perhaps nothing.
    fn high(at_most: u64) -> Written {
        Written { at_least: 0, at_most }
    }

    #[test]
    fn the_next_step_is_asked_for_when_half_of_one_is_left() {
        let mut steps = Steps::new(STEP, None, 1);
        assert_eq!(steps.due(high(0)), None);
        assert_eq!(steps.due(high(STEP / 2 - 1)), None);
        assert_eq!(steps.due(high(STEP / 2)), Some(STEP));
        steps.granted(STEP);
        assert_eq!(steps.due(high(STEP / 2)), None);
        assert_eq!(steps.due(high(STEP + STEP / 2)), Some(STEP));
    }

    #[test]
    fn what_the_caller_lets_the_model_write_is_never_passed() {
        let mut steps = Steps::new(STEP, Some(STEP + 10), 1);
        assert_eq!(steps.due(high(STEP)), Some(10));
        steps.granted(10);
        assert_eq!(steps.due(high(STEP)), None);
        assert_eq!(steps.due(high(10 * STEP)), None, "counted high on the way: the model keeps its bound");
    }

    #[test]
    fn a_model_that_does_not_keep_its_bound_is_held_step_by_step_all_the_same() {
        let mut steps = Steps::new(5, Some(5), 1);
        assert_eq!(steps.due(Written { at_least: 5 + SLACK, at_most: 30 }), None);
        let over = Written { at_least: 6 + SLACK, at_most: 30 };
        assert_eq!(steps.due(over), Some(25 + STEP));
        assert_eq!(steps.refused(30), Refused::Over);
        assert_eq!(Steps::new(5, Some(5), 2).due(over), None, "two answers begin and end twice");
    }

    #[test]
    fn an_event_of_many_steps_asks_for_all_of_them() {
        assert_eq!(Steps::new(STEP, None, 1).due(high(5 * STEP)), Some(5 * STEP));
    }

    #[test]
    fn what_was_refused_is_asked_for_once_more_when_nothing_is_left() {
        let mut steps = Steps::new(100, None, 1);
        assert_eq!(steps.due(high(0)), Some(STEP));
        assert_eq!(steps.refused(0), Refused::GoOn);
        assert_eq!((steps.due(high(1)), steps.due(high(99))), (None, None));
        assert_eq!(steps.due(high(100)), Some(STEP));
        assert_eq!(steps.refused(100), Refused::Over);
        steps.granted(STEP);
        assert_eq!(steps.due(high(100)), None);
        assert_eq!(steps.due(high(100 + STEP / 2)), Some(STEP), "ahead again");
    }

    #[test]
    fn looks_are_short_where_little_is_left_and_nothing_more_is_to_be_had() {
        let mut steps = Steps::new(100, None, 1);
        assert_eq!(steps.look(0), LOOK_LEN);
        assert_eq!(steps.refused(10), Refused::GoOn);
        assert_eq!((steps.look(10), steps.look(99), steps.look(100)), (270, 3, 3));
    }
}
