//! The bytes of a chat completion, whole or as the events of a stream.
//!
//! What does not depend on the request is prepared once per script ([`Text`]); a call copies it around
//! the model's name. No value is built and serialized per call: benchmarks go through here.

use bytes::Bytes;

use crate::ask::Ask;
use crate::script::{Script, Tools, UsageReport};

const ID: &str = r#"{"id":"chatcmpl-sim","object":""#;
const CREATED: &str = r#"","created":1700000000,"model":"#;
/// What an answer needs besides its text.
const FRAME_LEN: usize = 480;

/// The script's words, escaped for where they go.
#[derive(Debug)]
pub(crate) struct Text {
    model: Option<String>,
    word: String,
    /// A tool's arguments are JSON inside a JSON string.
    argument: String,
    words: String,
}

/// One completion as it will be written.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    text: &'a Text,
    model: &'a str,
    pub(crate) tokens: u64,
    finish: &'static str,
    tool: Option<String>,
    /// Rendered; empty where nothing is said.
    usage: String,
    /// Whether a stream says it, and says `null` in its other events.
    usage_asked: bool,
}

/// A stream: its first event, one event per token, and what comes after them.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) opening: Bytes,
    pub(crate) word: Bytes,
    pub(crate) words: u64,
    pub(crate) closing: Vec<Bytes>,
}

impl Text {
    pub(crate) fn of(script: &Script) -> Text {
        let word = escaped(&script.word);
        let words = usize::try_from(script.completion_tokens).unwrap_or(usize::MAX);
        Text {
            model: script.model.as_deref().map(quoted),
            argument: escaped(&word),
            words: word.repeat(words),
            word,
        }
    }
}

impl<'a> Completion<'a> {
    pub(crate) fn of(script: &Script, text: &'a Text, ask: &Ask<'a>) -> Completion<'a> {
        let tokens = script.completion_tokens.min(ask.completion_max());
        let tool = ask.tool().filter(|_| script.tools == Tools::Call).map(quoted);
        Completion {
            text,
            model: text.model.as_deref().unwrap_or_else(|| ask.model_json()),
            tokens,
            finish: match &tool {
                _ if tokens < script.completion_tokens => "length",
                Some(_) => "tool_calls",
                None => "stop",
            },
            tool,
            usage: usage(script, tokens),
            usage_asked: ask.wants_usage(),
        }
    }

    pub(crate) fn whole(&self) -> Bytes {
        let mut json = self.begin("", "chat.completion", FRAME_LEN + self.text.words.len());
        json.push_str(r#","choices":[{"index":0,"message":{"role":"assistant","content":"#);
        self.push_message(&mut json);
        json.push_str(r#","refusal":null},"logprobs":null,"finish_reason":""#);
        json.push_str(self.finish);
        json.push_str("\"}]");
        self.push_usage(&mut json);
        json.push_str(r#","system_fingerprint":"fp_sim"}"#);
        json.into()
    }

    pub(crate) fn events(&self) -> Events {
        let (opening, word, mut closing) = match &self.tool {
            None => (
                self.delta(r#"{"role":"assistant","content":""}"#, "null"),
                self.delta(&format!(r#"{{"content":"{}"}}"#, self.text.word), "null"),
                Vec::new(),
            ),
            Some(name) => (
                self.delta(&format!(r#"{{"role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"call_sim","type":"function","function":{{"name":{name},"arguments":"{{\"text\":\""}}}}]}}"#), "null"),
                self.delta(&argument_delta(&self.text.argument), "null"),
                vec![self.delta(&argument_delta(r#"\"}"#), "null")],
            ),
        };
        closing.push(self.delta("{}", &quoted(self.finish)));
        if self.usage_asked && !self.usage.is_empty() {
            closing.push(self.usage_event());
        }
        closing.push(Bytes::from_static(b"data: [DONE]\n\n"));
        Events { opening, word, words: self.tokens, closing }
    }

    fn delta(&self, delta: &str, finish: &str) -> Bytes {
        let mut event = self.begin("data: ", "chat.completion.chunk", FRAME_LEN + delta.len());
        event.push_str(r#","choices":[{"index":0,"delta":"#);
        event.push_str(delta);
        event.push_str(r#","logprobs":null,"finish_reason":"#);
        event.push_str(finish);
        event.push_str("}]");
        if self.usage_asked {
            event.push_str(r#","usage":null"#);
        }
        event.push_str("}\n\n");
        event.into()
    }

    fn usage_event(&self) -> Bytes {
        let mut event = self.begin("data: ", "chat.completion.chunk", FRAME_LEN);
        event.push_str(r#","choices":[]"#);
        self.push_usage(&mut event);
        event.push_str("}\n\n");
        event.into()
    }

    fn begin(&self, before: &str, object: &str, capacity: usize) -> String {
        let mut json = String::with_capacity(capacity + self.model.len());
        for part in [before, ID, object, CREATED, self.model] {
            json.push_str(part);
        }
        json
    }

    fn push_message(&self, json: &mut String) {
        let words = usize::try_from(self.tokens).unwrap_or(usize::MAX);
        match &self.tool {
            None => {
                json.push('"');
                // Each word has the same length, so the first so many are a prefix.
                json.push_str(&self.text.words[..words * self.text.word.len()]);
                json.push('"');
            }
            Some(name) => {
                json.push_str(r#"null,"tool_calls":[{"id":"call_sim","type":"function","function":{"name":"#);
                json.push_str(name);
                json.push_str(r#","arguments":"{\"text\":\""#);
                json.push_str(&self.text.argument.repeat(words));
                json.push_str(r#"\"}"}}]"#);
            }
        }
    }

    fn push_usage(&self, json: &mut String) {
        if !self.usage.is_empty() {
            json.push_str(r#","usage":"#);
            json.push_str(&self.usage);
        }
    }
}

fn argument_delta(part: &str) -> String {
    format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{part}"}}}}]}}"#)
}

fn usage(script: &Script, tokens: u64) -> String {
    let (prompt, completion) = match script.usage {
        UsageReport::Reported => (script.prompt_tokens, tokens),
        UsageReport::Lying { prompt, completion } => (prompt, completion),
        UsageReport::Missing => return String::new(),
    };
    let total = prompt.saturating_add(completion);
    format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As inside the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
