//! What a call asks for, by the way it is admitted.

use domain::Admission;

use crate::ask::Need;

/// Tokens of one step of a stream in the mode `hard`: what it holds beside its prompt, and asks for again and again.
pub const STEP: u64 = 256;

/// The least bound that an undeclared answer gets in the mode `hard` where its model has none: long enough for most.
const HARD_OUTPUT: u64 = 4_096;

/// What is known of a call before it is made.
#[derive(Debug, Clone, Copy)]
pub struct Outset {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// The caller's bound for its whole output, if it declares one.
    pub declared: Option<u64>,
    /// Answers that the call asks for, at least 1.
    pub answers: u64,
    /// What one such answer usually stays within; `None` where too few are known.
    pub usual: Option<u64>,
    /// The most that the model can write into one answer, if that is known.
    pub output_max: Option<u64>,
}

/// How a call is admitted: what its output is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What is declared or guessed.
    Estimate,
    /// What is usual, though more be declared.
    Learned,
    /// No more than what fits, and the model is told so.
    Bounded {
        /// The least output that is worth a call.
        least: u64,
    },
    /// One step of it at a time.
    Stepwise {
        /// The least output that is worth a call.
        least: u64,
    },
    /// Nothing.
    Observed,
}

/// When the output of a call can be seen by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// While it is written, so that it can be held step by step.
    AsWritten,
    /// Only when all of it is there, or not all of it.
    AtTheEnd,
}

/// What a call may use at most, as far as can be told before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Prompt tokens.
    pub prompt: u64,
    /// Completion tokens: declared, or guessed.
    pub output: u64,
    /// What admission asks the limits for.
    pub need: Need,
}

impl Rule {
    /// The rule of a call admitted this way. `least`: the smallest output that is worth a call in the mode `hard`.
    #[must_use]
    pub fn new(admission: Admission, shows: Shows, least: u64) -> Self {
        match (admission, shows) {
            (Admission::Estimate, _) => Self::Estimate,
            (Admission::Learned, _) => Self::Learned,
            (Admission::Hard, Shows::AtTheEnd) => Self::Bounded { least },
            (Admission::Hard, Shows::AsWritten) => Self::Stepwise { least },
            (Admission::Observed, _) => Self::Observed,
        }
    }
}

impl Outset {
    /// What the call is taken for under a rule.
    #[must_use]
    pub fn estimate(&self, rule: Rule) -> Estimate {
        let Self { prompt, declared, .. } = *self;
        let guess = self.guess();
        let likely = declared.unwrap_or(guess);
        let (output, need) = match rule {
            Rule::Observed => (likely, Need::Observed),
            Rule::Estimate => (likely, by(prompt, likely, declared)),
            Rule::Learned => {
                let output = likely.min(guess);
                (output, by(prompt, output, declared))
            }
            Rule::Bounded { least } => {
                let output = declared.unwrap_or_else(|| self.roomy());
                // No answer can be told a bound below one token.
                (output, Need::Fitting { prompt, output, least: least.max(self.answers).min(output) })
            }
            Rule::Stepwise { least } => {
                let output = declared.map_or(STEP, |declared| declared.min(STEP));
                // What holds no token may pass none on.
                (likely, Need::Fitting { prompt, output, least: least.max(1).min(output) })
            }
        };
        Estimate { prompt, output, need }
    }

    /// Output where none is declared.
    fn guess(&self) -> u64 {
        let usual = self.usual.unwrap_or(tokens::OUTPUT_GUESS);
        self.output_max.map_or(usual, |most| usual.min(most)).saturating_mul(self.answers)
    }

    /// A bound for an answer whose caller named none: it is sent to the model, so it must not cut what would have come
    /// to its end. Twice what is usual, so that a bound that was met too often grows.
    fn roomy(&self) -> u64 {
        let most = self.output_max.unwrap_or(HARD_OUTPUT).saturating_mul(self.answers);
        if self.output_max.is_some() { most } else { self.guess().saturating_mul(2).max(most) }
    }
}

/// The need of an output that is what the caller declared, or else a guess.
fn by(prompt: u64, output: u64, declared: Option<u64>) -> Need {
    if declared == Some(output) {
        Need::Declared { prompt, output }
    } else {
        Need::Guessed { prompt, output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u64 = 64;

    fn outset(declared: Option<u64>, usual: Option<u64>, output_max: Option<u64>) -> Outset {
        Outset { prompt: 10, declared, answers: 1, usual, output_max }
    }

    #[test]
    fn what_is_declared_is_held_and_what_is_not_is_guessed_and_clamped() {
        for (declared, usual, output_max, output) in [
            (Some(9), Some(600), Some(4), 9),
            (None, None, None, tokens::OUTPUT_GUESS),
            (None, Some(600), None, 600),
            (None, Some(600), Some(100), 100),
            (None, None, Some(100), 100),
        ] {
            let estimate = outset(declared, usual, output_max).estimate(Rule::Estimate);
            let need = match declared {
                Some(_) => Need::Declared { prompt: 10, output },
                None => Need::Guessed { prompt: 10, output },
            };
            assert_eq!(estimate, Estimate { prompt: 10, output, need });
        }
    }

    #[test]
    fn learned_holds_the_smaller_of_what_is_declared_and_usual() {
        let learned = |declared, usual| outset(declared, usual, None).estimate(Rule::Learned).need;
        assert_eq!(learned(Some(32_000), Some(600)), Need::Guessed { prompt: 10, output: 600 });
        assert_eq!(learned(Some(300), Some(600)), Need::Declared { prompt: 10, output: 300 });
        assert_eq!(learned(None, Some(600)), Need::Guessed { prompt: 10, output: 600 });
        assert_eq!(learned(Some(32_000), None), Need::Guessed { prompt: 10, output: tokens::OUTPUT_GUESS });
    }

    #[test]
    fn hard_asks_for_the_bound_that_the_model_will_be_told() {
        for (declared, usual, output_max, output, least) in [
            (Some(1_000), None, None, 1_000, LEAST),
            (Some(5), None, None, 5, 5),
            (Some(0), None, None, 0, 0),
            (None, None, Some(8_000), 8_000, LEAST),
            (None, None, None, HARD_OUTPUT, LEAST),
            (None, Some(3_000), None, 6_000, LEAST),
        ] {
            let estimate = outset(declared, usual, output_max).estimate(Rule::Bounded { least: LEAST });
            assert_eq!(estimate.need, Need::Fitting { prompt: 10, output, least });
            assert_eq!(estimate.output, output);
        }
    }

    #[test]
    fn a_stream_in_hard_asks_for_one_step_or_for_what_it_declares_if_that_is_less() {
        for (declared, output, least) in [(None, STEP, LEAST), (Some(900), STEP, LEAST), (Some(9), 9, 9)] {
            let estimate = outset(declared, None, None).estimate(Rule::Stepwise { least: LEAST });
            assert_eq!(estimate.need, Need::Fitting { prompt: 10, output, least });
        }
    }

    #[test]
    fn a_stream_in_hard_has_room_for_one_token_however_little_is_worth_a_call() {
        let estimate = outset(None, None, None).estimate(Rule::Stepwise { least: 0 });
        assert_eq!(estimate.need, Need::Fitting { prompt: 10, output: STEP, least: 1 });
    }

    #[test]
    fn what_is_not_declared_is_guessed_for_each_answer() {
        let three = |usual, output_max| Outset { answers: 3, ..outset(None, usual, output_max) };
        assert_eq!(three(Some(100), None).estimate(Rule::Estimate).output, 300);
        assert_eq!(three(Some(100), Some(50)).estimate(Rule::Learned).output, 150);
        assert_eq!(three(None, Some(50)).estimate(Rule::Bounded { least: LEAST }).output, 150);
        assert_eq!(three(None, None).estimate(Rule::Bounded { least: LEAST }).output, 3 * HARD_OUTPUT);
    }

    #[test]
    fn many_answers_in_hard_have_room_for_a_token_each() {
        for (answers, declared, least, needed) in
            [(128, 12_800, LEAST, 128), (3, 300, 0, 3), (128, 128, LEAST, 128), (1, 0, 0, 0)]
        {
            let many = Outset { answers, ..outset(Some(declared), None, None) };
            let need = many.estimate(Rule::Bounded { least }).need;
            assert_eq!(need, Need::Fitting { prompt: 10, output: declared, least: needed });
        }
    }

    #[test]
    fn observed_holds_nothing() {
        assert_eq!(outset(Some(9), None, None).estimate(Rule::Observed).need, Need::Observed);
    }
}
