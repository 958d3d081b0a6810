//! A stream's output held step by step: how much of it is held, and when to ask for more.
//!
//! In the mode `hard` a stream holds one step beside its prompt and asks for the next one when half of a step is left,
//! so that what is passed on is held before. It never asks for more than the caller lets the model write.
//!
//! Knows nothing of: limits, events, sockets.

use limits::STEP;

/// Bytes that are looked at before the next step may be due: they cannot hold more than half a step, neither counted by
/// their bytes nor by their events.
pub(crate) const LOOK_LEN: usize = 384;

/// The output of one stream.
#[derive(Debug)]
pub(crate) struct Steps {
    /// The most that the model may write.
    most: u64,
    held: u64,
}

impl Steps {
    /// Of a stream that holds so much output at its beginning. `declared`: what the caller lets the model write.
    pub(crate) fn new(held: u64, declared: Option<u64>) -> Self {
        Self { most: declared.unwrap_or(u64::MAX), held }
    }

    /// Tokens to ask for, where so many have been written; none while enough is held.
    pub(crate) fn due(&self, written: u64) -> Option<u64> {
        let rest = self.most.saturating_sub(self.held);
        let left = self.held.saturating_sub(written);
        // One event may hold more than a step.
        let wanted = written.saturating_sub(self.held).saturating_add(STEP).min(rest);
        (left <= STEP / 2 && wanted > 0).then_some(wanted)
    }

    /// So much more is held.
    pub(crate) fn granted(&mut self, tokens: u64) {
        self.held = self.held.saturating_add(tokens);
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
    fn a_stream_that_got_less_than_a_step_asks_at_once() {
        assert_eq!(Steps::new(64, None).due(0), Some(STEP));
    }
}
