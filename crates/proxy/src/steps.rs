//! A stream's output held step by step: how much of it is held, and when to ask for more.
//!
//! In the mode `hard` a stream holds one step beside its prompt and asks for the next one when half of a step is left,
//! so that what is passed on is held before. Where that is refused, it goes on with what it holds, and asks once more
//! when nothing is left: a window may have moved on by then. It never asks for more than the caller lets the model
//! write.
//!
//! Knows nothing of: limits, events, sockets.

use limits::STEP;

/// Bytes that are looked at before the next step may be due: they cannot hold more than half a step, neither counted by
/// their bytes nor by their events.
const LOOK_LEN: usize = 384;
/// Bytes of text that are counted as one token.
const TOKEN_LEN: u64 = 3;

/// The output of one stream.
#[derive(Debug)]
pub(crate) struct Steps {
    /// The most that the model may write.
    most: u64,
    held: u64,
    ask: Ask,
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
    /// Of a stream that holds so much output at its beginning. `declared`: what the caller lets the model write.
    pub(crate) fn new(held: u64, declared: Option<u64>) -> Self {
        Self { most: declared.unwrap_or(u64::MAX), held, ask: Ask::Ahead }
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
    pub(crate) fn due(&self, written: u64) -> Option<u64> {
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

    #[test]
    fn the_next_step_is_asked_for_when_half_of_one_is_left() {
        let mut steps = Steps::new(STEP, None);
        assert_eq!(steps.due(0), None);
        assert_eq!(steps.due(STEP / 2 - 1), None);
        assert_eq!(steps.due(STEP / 2), Some(STEP));
        steps.granted(STEP);
        assert_eq!(steps.due(STEP / 2), None);
        assert_eq!(steps.due(STEP + STEP / 2), Some(STEP));
    }

    #[test]
    fn what_the_caller_lets_the_model_write_is_never_passed() {
        let mut steps = Steps::new(STEP, Some(STEP + 10));
        assert_eq!(steps.due(STEP), Some(10));
        steps.granted(10);
        assert_eq!(steps.due(STEP), None);
        assert_eq!(steps.due(10 * STEP), None, "counted high on the way: the model keeps its bound");
    }

    #[test]
    fn an_event_of_many_steps_asks_for_all_of_them() {
        assert_eq!(Steps::new(STEP, None).due(5 * STEP), Some(5 * STEP));
    }

    #[test]
    fn what_was_refused_is_asked_for_once_more_when_nothing_is_left() {
        let mut steps = Steps::new(100, None);
        assert_eq!(steps.due(0), Some(STEP));
        assert_eq!(steps.refused(0), Refused::GoOn);
        assert_eq!((steps.due(1), steps.due(99)), (None, None));
        assert_eq!(steps.due(100), Some(STEP));
        assert_eq!(steps.refused(100), Refused::Over);
        steps.granted(STEP);
        assert_eq!(steps.due(100), None);
        assert_eq!(steps.due(100 + STEP / 2), Some(STEP), "ahead again");
    }

    #[test]
    fn looks_are_short_where_little_is_left_and_nothing_more_is_to_be_had() {
        let mut steps = Steps::new(100, None);
        assert_eq!(steps.look(0), LOOK_LEN);
        assert_eq!(steps.refused(10), Refused::GoOn);
        assert_eq!((steps.look(10), steps.look(99), steps.look(100)), (270, 3, 3));
    }
}
