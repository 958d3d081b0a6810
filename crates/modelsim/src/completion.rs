//! What is said to one request, before a dialect writes it down.
//!
//! What does not depend on the request is prepared once per script ([`Text`]), because benchmarks go through here.

use serde_json::value::{RawValue, to_raw_value};

use crate::ask::Ask;
use crate::script::{Script, Tools, UsageReport};

/// The script's words, escaped for where they go.
#[derive(Debug)]
pub(crate) struct Text {
    model: Option<Box<RawValue>>,
    pub(crate) word: String,
    /// A tool's arguments are JSON inside a JSON string.
    pub(crate) argument: String,
    words: String,
}

/// One completion as it will be written.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    pub(crate) text: &'a Text,
    pub(crate) script: &'a Script,
    pub(crate) model: &'a RawValue,
    pub(crate) tokens: u64,
    pub(crate) finish: Finish,
    /// The tool that is called instead of saying a text.
    pub(crate) tool: Option<String>,
    /// `None` where nothing is said.
    pub(crate) usage: Option<Usage>,
    /// Whether a stream of chat or completions says it, and says `null` in its other events.
    pub(crate) usage_asked: bool,
}

/// Why the words end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// The request's own bound.
    Length,
    Tool,
}

/// The numbers that are told, in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// All that was read, cached or not.
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    /// Of the prompt: read from a cache.
    pub(crate) cache_read: u64,
    /// Of the prompt: written into a cache.
    pub(crate) cache_write: u64,
}

impl Text {
    pub(crate) fn of(script: &Script) -> Text {
        let word = escaped(&script.word);
        let words = usize::try_from(script.completion_tokens).unwrap_or(usize::MAX);
        Text {
            model: script.model.as_deref().map(|model| to_raw_value(model).expect("a text serializes")),
            argument: escaped(&word),
            words: word.repeat(words),
            word,
        }
    }
}

impl<'a> Completion<'a> {
    pub(crate) fn of(script: &'a Script, text: &'a Text, ask: &Ask<'a>) -> Completion<'a> {
        let wanted = if ask.route.writes() { script.completion_tokens } else { 0 };
        let tokens = wanted.min(ask.completion_max());
        let tool = ask.tool().filter(|_| script.tools == Tools::Call).map(str::to_owned);
        Completion {
            text,
            script,
            model: text.model.as_deref().unwrap_or_else(|| ask.model()),
            tokens,
            finish: match &tool {
                _ if tokens < wanted => Finish::Length,
                Some(_) => Finish::Tool,
                None => Finish::Stop,
            },
            tool,
            usage: Usage::of(script, tokens),
            usage_asked: ask.wants_usage(),
        }
    }

    /// The words, escaped as inside a JSON string.
    pub(crate) fn words_escaped(&self) -> &'a str {
        // Each word has the same length, so the first so many are a prefix.
        &self.text.words[..self.count() * self.text.word.len()]
    }

    /// The words as they are.
    pub(crate) fn words(&self) -> String {
        self.script.word.repeat(self.count())
    }

    /// The words as the argument of a tool: JSON.
    pub(crate) fn arguments(&self) -> String {
        format!(r#"{{"text":"{}"}}"#, self.words_escaped())
    }

    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.tokens).unwrap_or(usize::MAX)
    }
}

impl Usage {
    fn of(script: &Script, completion: u64) -> Option<Usage> {
        match script.usage {
            UsageReport::Reported => Some(Usage {
                prompt: script.prompt_tokens,
                completion,
                cache_read: script.cache_read_tokens,
                cache_write: script.cache_write_tokens,
            }),
            UsageReport::Lying { prompt, completion } => {
                Some(Usage { prompt, completion, cache_read: 0, cache_write: 0 })
            }
            UsageReport::Missing => None,
        }
    }

    pub(crate) fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// As JSON, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As inside the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
