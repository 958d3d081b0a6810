//! What a call asks for, by the way it is admitted.

use domain::Admission;

use crate::admission::Need;

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

impl Estimate {
    /// The estimate of a call with so many prompt tokens. `declared` bounds its output; without it the output is a
    /// guess, at most `output_max`, the most that the model can write.
    #[must_use]
    pub fn new(admission: Admission, prompt: u64, declared: Option<u64>, output_max: Option<u64>) -> Self {
        let guess = output_max.map_or(tokens::OUTPUT_GUESS, |most| most.min(tokens::OUTPUT_GUESS));
        let output = declared.unwrap_or(guess);
        let need = match (admission, declared) {
            (Admission::Observed, _) => Need::Observed,
            (Admission::Estimate, Some(output)) => Need::Declared { prompt, output },
            (Admission::Estimate, None) => Need::Guessed { prompt, output },
        };
        Self { prompt, output, need }
    }
}
