//! Reads what a model server says a call used.
//!
//! A count that is missing or is none makes the whole report incredible: then it is better to count ourselves than
//! to believe a part. An explicit 0 is 0.
//!
//! Begins at [`read_usage`] (OpenAI's dialect) and [`Counts`] (Anthropic's, which tells usage bit by bit).

use domain::{Usage, UsageSource};
use serde_json::value::RawValue;

use crate::members::members;

/// No call uses more; a larger number is a mistake, and would charge a group for ever.
const TOKENS_MAX: u64 = 1 << 40;

/// What OpenAI's operations call their counts.
pub(crate) struct Names {
    input: &'static str,
    output: &'static str,
    details: &'static str,
    /// Whether the output may be left out, where none is generated.
    output_is_optional: bool,
}

impl Names {
    /// Of chat and completions.
    pub(crate) const COMPLETIONS: Self = Self {
        input: "prompt_tokens",
        output: "completion_tokens",
        details: "prompt_tokens_details",
        output_is_optional: false,
    };
    /// Of embeddings.
    pub(crate) const EMBEDDINGS: Self = Self { output_is_optional: true, ..Self::COMPLETIONS };
    /// Of responses.
    pub(crate) const RESPONSES: Self = Self {
        input: "input_tokens",
        output: "output_tokens",
        details: "input_tokens_details",
        output_is_optional: false,
    };
}

/// Usage as reported. Cached tokens may be left out, and are part of the prompt.
pub(crate) fn read_usage(json: &RawValue, names: &Names) -> Option<Usage> {
    let [input, output, details] =
        members(json.get(), [names.input, names.output, names.details]).ok()?.values;
    let input = Count::read(input).told()?;
    let output = Count::read(output);
    let output = if names.output_is_optional { output.or_nought()? } else { output.told()? };
    let cached = match details.and_then(|details| members(details.get(), ["cached_tokens"]).ok()) {
        Some(details) => Count::read(details.values[0]).or_nought()?,
        None => 0,
    };
    Some(Usage { input, output, cached: cached.min(input), source: UsageSource::Reported })
}

/// What Anthropic's dialect has told so far. In a stream the input comes first, the output at the end, and what is
/// told again replaces what was told before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    fresh: Count,
    cache_written: Count,
    cache_read: Count,
    output: Count,
}

impl Counts {
    /// `None` if the value is no object.
    pub(crate) fn read(json: &RawValue) -> Option<Self> {
        const NAMES: [&str; 4] =
            ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
        let [fresh, cache_written, cache_read, output] =
            members(json.get(), NAMES).ok()?.values.map(Count::read);
        Some(Self { fresh, cache_written, cache_read, output })
    }

    /// Without the output: at the beginning of a stream it is a placeholder.
    pub(crate) fn of_input(self) -> Self {
        Self { output: Count::Untold, ..self }
    }

    /// Takes over whatever the later counts tell.
    pub(crate) fn update(&mut self, later: &Self) {
        for (mine, later) in [
            (&mut self.fresh, later.fresh),
            (&mut self.cache_written, later.cache_written),
            (&mut self.cache_read, later.cache_read),
            (&mut self.output, later.output),
        ] {
            if later != Count::Untold {
                *mine = later;
            }
        }
    }

    /// All of it, once input and output are told.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let (input, cached) = self.input()?;
        Some(Usage { input, output: self.output.told()?, cached, source: UsageSource::Reported })
    }

    /// The prompt, and the part of it that was read from the cache. What was written to the cache and what was read
    /// from it is not in `input_tokens`, but it is part of the prompt.
    pub(crate) fn input(&self) -> Option<(u64, u64)> {
        let cached = self.cache_read.or_nought()?;
        let input = self.fresh.told()? + self.cache_written.or_nought()? + cached;
        (input <= TOKENS_MAX).then_some((input, cached))
    }
}

/// One count of a report.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// Missing, or null.
    #[default]
    Untold,
    Told(u64),
    /// No count, or none that can be believed.
    Nonsense,
}

impl Count {
    fn read(json: Option<&RawValue>) -> Self {
        let Some(json) = json.map(RawValue::get).filter(|json| *json != "null") else { return Self::Untold };
        match json.parse() {
            Ok(count @ ..=TOKENS_MAX) => Self::Told(count),
            _ => Self::Nonsense,
        }
    }

    fn told(self) -> Option<u64> {
        match self {
            Self::Told(count) => Some(count),
            Self::Untold | Self::Nonsense => None,
        }
    }

    fn or_nought(self) -> Option<u64> {
        match self {
            Self::Told(count) => Some(count),
            Self::Untold => Some(0),
            Self::Nonsense => None,
        }
    }
}

#[cfg(test)]
mod tests;
