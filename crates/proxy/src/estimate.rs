//! What a call may use, before it is made.

use domain::Admission;
use limits::Need;
use wire::Call;

/// What a call may use at most, as far as its body tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// Prompt tokens, counted from the body: see `prompt.rs`.
    pub(crate) prompt: u64,
    /// Completion tokens: declared, or guessed.
    pub(crate) output: u64,
    /// What admission asks the limits for.
    pub(crate) need: Need,
}

/// Estimates a call whose prompt was counted. Without a declared bound the output is a guess, at most what the model can write.
pub(crate) fn estimate(
    call: &Call<'_>,
    prompt: u64,
    admission: Admission,
    output_max: Option<u64>,
) -> Estimate {
    let guess = output_max.map_or(tokens::OUTPUT_GUESS, |most| most.min(tokens::OUTPUT_GUESS));
    let declared = call.declared_output();
    let output = declared.unwrap_or(guess);
    let need = match (admission, declared) {
        (Admission::Observed, _) => Need::Observed,
        (Admission::Estimate, Some(output)) => Need::Declared { prompt, output },
        (Admission::Estimate, None) => Need::Guessed { prompt, output },
    };
    Estimate { prompt, output, need }
}
