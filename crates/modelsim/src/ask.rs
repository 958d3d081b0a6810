//! What the server reads of a request body.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields that change the answer. Strings stay as they were written, escapes and all.
#[derive(Debug, Deserialize)]
pub(crate) struct Ask<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
}

impl<'a> Ask<'a> {
    /// `None` where the body is not a chat request.
    pub(crate) fn read(body: &'a [u8]) -> Option<Ask<'a>> {
        serde_json::from_slice::<Ask<'a>>(body).ok().filter(|ask| ask.model.get().starts_with('"'))
    }

    /// The model's name as JSON, quotes included.
    pub(crate) fn model_json(&self) -> &'a str {
        self.model.get()
    }

    pub(crate) fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// The smaller of the two bounds; zero is no bound.
    pub(crate) fn completion_max(&self) -> u64 {
        let given = [self.max_tokens, self.max_completion_tokens].into_iter().flatten();
        given.filter(|&bound| bound > 0).min().unwrap_or(u64::MAX)
    }

    /// The first tool that is offered.
    pub(crate) fn tool(&self) -> Option<&str> {
        self.tools.iter().flatten().find_map(|tool| Some(tool.function.as_ref()?.name.as_str()))
    }
}
