//! Reads what a model server says a call used.
//!
//! A count that is missing or is none makes the whole report incredible: then it is better to count ourselves than
//! to believe a part. An explicit 0 is 0.
//!
//! Begins at [`read_usage`] (OpenAI's dialect) and [`Counts`] (Anthropic's, which tells usage bit by bit).

use domain::{Usage, UsageSource};
use serde_json::value::RawValue;

use crate::members::{elements, members};

/// No call uses more; a larger number is a mistake, and would charge a group for ever.
const TOKENS_MAX: u64 = 1 << 40;

/// What OpenAI's operations call their counts.
pub(crate) struct Names {
    input: &'static str,
    output: &'static str,
    details: &'static str,
    /// Whether the model writes; if not, the output may be left out.
    writes: bool,
}

impl Names {
    /// Of chat and completions.
    pub(crate) const COMPLETIONS: Self = Self {
        input: "prompt_tokens",
        output: "completion_tokens",
        details: "prompt_tokens_details",
        writes: true,
    };
    /// Of embeddings.
    pub(crate) const EMBEDDINGS: Self = Self { writes: false, ..Self::COMPLETIONS };
    /// Of responses.
    pub(crate) const RESPONSES: Self = Self {
        input: "input_tokens",
        output: "output_tokens",
        details: "input_tokens_details",
        writes: true,
    };
}

/// What a model server told of a prompt, whether or not it told what the model wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedInput {
    /// Its tokens, cached ones included.
    pub tokens: u64,
    /// The part of them that the server had in its cache.
    pub cached: u64,
    /// The part of them that the server put into its cache.
    pub cache_written: u64,
}

impl From<Usage> for ReportedInput {
    fn from(usage: Usage) -> Self {
        Self { tokens: usage.input, cached: usage.cached, cache_written: usage.cache_written }
    }
}

/// Usage as reported. Cached tokens and those written to the cache may be left out, and are part of the prompt. OpenAI
/// tells the latter for models that charge for them, and so does `OpenRouter`.
///
/// Some servers leave what the model thought out of the output and tell it in the total alone (xAI, Gemini): whatever
/// the total has over the prompt is output.
pub(crate) fn read_usage(json: &RawValue, names: &Names) -> Option<Usage> {
    let [input, output, total, details] =
        members(json.get(), [names.input, names.output, "total_tokens", names.details]).ok()?.values;
    let input = Count::read(input).told()?;
    let output = Count::read(output);
    let output = if names.writes {
        let total = Count::read(total).told().unwrap_or_default();
        output.told()?.max(total.saturating_sub(input))
    } else {
        output.or_nought()?
    };
    let details = details.and_then(|json| members(json.get(), ["cached_tokens", "cache_write_tokens"]).ok());
    let [cached, cache_written] = details.map(|details| details.values).unwrap_or_default().map(Count::read);
    let cached = cached.or_nought()?.min(input);
    let cache_written = cache_written.or_nought()?.min(input - cached);
    Some(Usage { input, output, cached, cache_written, source: UsageSource::Reported })
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
    ///
    /// A call that samples more than once (compaction, server tools) lists each time in `iterations`, and leaves some
    /// of them out of the counts beside it: what the list adds up to is used if it is more.
    pub(crate) fn read(json: &RawValue) -> Option<Self> {
        let [iterations] = members(json.get(), ["iterations"]).ok()?.values;
        let mut counts = Self::read_one(json)?;
        let mut listed = Self::default();
        let list = iterations.filter(|list| list.get().starts_with('['));
        let each = |one| {
            if let Some(one) = Self::read_one(one) {
                listed = listed.join(&one, Count::plus);
            }
        };
        if list.is_some_and(|list| elements(list, each).is_ok()) {
            counts = counts.join(&listed, Count::larger);
        }
        Some(counts)
    }

    fn read_one(json: &RawValue) -> Option<Self> {
        const NAMES: [&str; 4] =
            ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
        let [fresh, cache_written, cache_read, output] =
            members(json.get(), NAMES).ok()?.values.map(Count::read);
        Some(Self { fresh, cache_written, cache_read, output })
    }

    fn join(&self, other: &Self, joined: impl Fn(Count, Count) -> Count) -> Self {
        Self {
            fresh: joined(self.fresh, other.fresh),
            cache_written: joined(self.cache_written, other.cache_written),
            cache_read: joined(self.cache_read, other.cache_read),
            output: joined(self.output, other.output),
        }
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
        let ReportedInput { tokens: input, cached, cache_written } = self.input()?;
        let output = self.output.told()?;
        Some(Usage { input, output, cached, cache_written, source: UsageSource::Reported })
    }

    /// The prompt. What was written to the cache and what was read from it is not in `input_tokens`, but it is part of
    /// the prompt.
    pub(crate) fn input(&self) -> Option<ReportedInput> {
        let (cached, cache_written) = (self.cache_read.or_nought()?, self.cache_written.or_nought()?);
        let tokens = self.fresh.told()? + cache_written + cached;
        (tokens <= TOKENS_MAX).then_some(ReportedInput { tokens, cached, cache_written })
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

    /// Both together. Too many to be believed are no count.
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Told(one), Self::Told(other)) if one + other > TOKENS_MAX => Self::Nonsense,
            (Self::Told(one), Self::Told(other)) => Self::Told(one + other),
            (Self::Nonsense, _) | (_, Self::Nonsense) => Self::Nonsense,
            (told, Self::Untold) | (Self::Untold, told) => told,
        }
    }

    /// The larger of the two.
    fn larger(self, other: Self) -> Self {
        match (self, other) {
            (Self::Told(one), Self::Told(other)) => Self::Told(one.max(other)),
            (Self::Nonsense, _) | (_, Self::Nonsense) => Self::Nonsense,
            (told, Self::Untold) | (Self::Untold, told) => told,
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
