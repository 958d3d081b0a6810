//! What the server reads of a request body.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::route::Route;

/// More inputs than this in one embeddings request are refused, as OpenAI does.
const INPUTS_MAX: usize = 2048;

/// A request that can be answered.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) route: Route,
    /// The request as it was read.
    pub(crate) json: &'a [u8],
    /// How many vectors are wanted; 1 where the route has none.
    pub(crate) inputs: usize,
    fields: Fields<'a>,
}

/// The fields that change the answer. The model stays as it was written, escapes and all.
#[derive(Debug, Deserialize)]
struct Fields<'a> {
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
    max_output_tokens: Option<u64>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encoding_format: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Chat names the function inside, the other dialects beside.
#[derive(Debug, Deserialize)]
struct Tool {
    #[serde(default)]
    function: Option<Function>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
}

impl<'a> Ask<'a> {
    /// `None` where the JSON is not a request of this route.
    pub(crate) fn read(route: Route, json: &'a [u8]) -> Option<Ask<'a>> {
        let fields: Fields<'a> = serde_json::from_slice(json).ok()?;
        let inputs = if route == Route::Embeddings { inputs(fields.input)? } else { 1 };
        fields.model.get().starts_with('"').then_some(Ask { route, json, inputs, fields })
    }

    /// The model's name as JSON, quotes included.
    pub(crate) fn model(&self) -> &'a RawValue {
        self.fields.model
    }

    pub(crate) fn streams(&self) -> bool {
        self.route.writes() && self.fields.stream == Some(true)
    }

    /// Whether a stream of chat or completions says usage; the other dialects always do.
    pub(crate) fn wants_usage(&self) -> bool {
        self.fields.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    pub(crate) fn wants_base64(&self) -> bool {
        self.fields.encoding_format.as_deref() == Some("base64")
    }

    /// The smallest of the bounds that the route knows; zero is no bound.
    pub(crate) fn completion_max(&self) -> u64 {
        let Fields { max_tokens, max_completion_tokens, max_output_tokens, .. } = self.fields;
        let given = match self.route {
            Route::Chat => [max_tokens, max_completion_tokens],
            Route::Responses => [max_output_tokens, None],
            Route::Completions | Route::Messages => [max_tokens, None],
            Route::Embeddings | Route::CountTokens => [None, None],
        };
        given.into_iter().flatten().filter(|&bound| bound > 0).min().unwrap_or(u64::MAX)
    }

    /// The first tool that is offered in the way of the route.
    pub(crate) fn tool(&self) -> Option<&str> {
        let mut tools = self.fields.tools.iter().flatten();
        match self.route {
            Route::Chat => tools.find_map(|tool| Some(tool.function.as_ref()?.name.as_str())),
            Route::Responses | Route::Messages => tools.find_map(|tool| tool.name.as_deref()),
            Route::Completions | Route::Embeddings | Route::CountTokens => None,
        }
    }
}

/// A text or its token numbers is one input, a list of those as many. An input that is missing counts as one,
/// since it may have been too long to keep.
fn inputs(input: Option<&RawValue>) -> Option<usize> {
    let Some(list) = input.filter(|input| input.get().starts_with('[')) else { return Some(1) };
    let is_tokens = |text: &str| text[1..].trim_start().starts_with(|first: char| first.is_ascii_digit());
    if is_tokens(list.get()) {
        return Some(1);
    }
    let inputs = serde_json::from_str::<Vec<IgnoredAny>>(list.get()).ok()?.len();
    (1..=INPUTS_MAX).contains(&inputs).then_some(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(input: &str) -> Option<usize> {
        let json = format!(r#"{{"model":"m","input":{input}}}"#);
        Ask::read(Route::Embeddings, json.as_bytes()).map(|ask| ask.inputs)
    }

    #[test]
    fn inputs_are_counted_as_openai_counts_them() {
        let counts = [r#""a""#, "[ 1, 2]", r#"["a","b"]"#, "[[1,2],[3],[4]]", "[]"].map(count);
        assert_eq!(counts, [Some(1), Some(1), Some(2), Some(3), None]);
        assert_eq!(count(&format!("[{}]", vec!["\"a\""; INPUTS_MAX + 1].join(","))), None);
    }

    #[test]
    fn a_bound_counts_only_under_the_routes_own_name() {
        let json = br#"{"model":"m","max_tokens":3,"max_completion_tokens":2,"max_output_tokens":1}"#;
        let max = |route| Ask::read(route, json).unwrap().completion_max();
        let routes = [Route::Chat, Route::Completions, Route::Responses, Route::Messages];
        assert_eq!(routes.map(max), [2, 3, 1, 3]);
    }
}
