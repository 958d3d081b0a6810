//! Chat completions. No value is built and serialized per call but the usage.

use bytes::Bytes;

use super::{OpenAiUsage, json};
use crate::completion::{Completion, Finish, quoted};
use crate::stream::{Events, Word};

const ID: &str = r#"{"id":"chatcmpl-sim","object":""#;
const CREATED: &str = r#"","created":1700000000,"model":"#;
/// What an answer needs besides its text.
const FRAME_LEN: usize = 480;

pub(super) fn whole(completion: &Completion<'_>) -> Bytes {
    let mut whole = begin(completion, "", "chat.completion", FRAME_LEN + completion.words_escaped().len());
    whole.push_str(r#","choices":[{"index":0,"message":{"role":"assistant","content":"#);
    push_message(completion, &mut whole);
    whole.push_str(r#","refusal":null},"logprobs":null,"finish_reason":""#);
    whole.push_str(finish(completion));
    whole.push_str("\"}]");
    push_usage(completion, &mut whole);
    whole.push_str(r#","system_fingerprint":"fp_sim"}"#);
    whole.into()
}

pub(super) fn events(completion: &Completion<'_>) -> Events {
    let delta = |delta: &str| delta_event(completion, delta, "null");
    let (opening, word, mut closing) = match &completion.tool {
        None => (
            delta(r#"{"role":"assistant","content":""}"#),
            delta(&format!(r#"{{"content":"{}"}}"#, completion.text.word)),
            Vec::new(),
        ),
        Some(name) => (
            delta(&tool_opening(name)),
            delta(&argument_delta(&completion.text.argument)),
            vec![delta(&argument_delta(r#"\"}"#))],
        ),
    };
    closing.push(delta_event(completion, "{}", &quoted(finish(completion))));
    if completion.usage_asked && completion.usage.is_some() {
        closing.push(usage_event(completion));
    }
    closing.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Events { opening: vec![opening], word: Word::Same(word), words: completion.tokens, closing }
}

fn delta_event(completion: &Completion<'_>, delta: &str, finish: &str) -> Bytes {
    let mut event = begin(completion, "data: ", "chat.completion.chunk", FRAME_LEN + delta.len());
    event.push_str(r#","choices":[{"index":0,"delta":"#);
    event.push_str(delta);
    event.push_str(r#","logprobs":null,"finish_reason":"#);
    event.push_str(finish);
    event.push_str("}]");
    if completion.usage_asked {
        event.push_str(r#","usage":null"#);
    }
    event.push_str("}\n\n");
    event.into()
}

fn usage_event(completion: &Completion<'_>) -> Bytes {
    let mut event = begin(completion, "data: ", "chat.completion.chunk", FRAME_LEN);
    event.push_str(r#","choices":[]"#);
    push_usage(completion, &mut event);
    event.push_str("}\n\n");
    event.into()
}

fn begin(completion: &Completion<'_>, before: &str, object: &str, capacity: usize) -> String {
    let model = completion.model.get();
    let mut begun = String::with_capacity(capacity + model.len());
    for part in [before, ID, object, CREATED, model] {
        begun.push_str(part);
    }
    begun
}

fn push_message(completion: &Completion<'_>, whole: &mut String) {
    match &completion.tool {
        None => {
            whole.push('"');
            whole.push_str(completion.words_escaped());
            whole.push('"');
        }
        Some(name) => {
            whole.push_str(r#"null,"tool_calls":[{"id":"call_sim","type":"function","function":{"name":"#);
            whole.push_str(&quoted(name));
            whole.push_str(r#","arguments":"{\"text\":\""#);
            whole.push_str(&completion.text.argument.repeat(completion.count()));
            whole.push_str(r#"\"}"}}]"#);
        }
    }
}

fn push_usage(completion: &Completion<'_>, json_text: &mut String) {
    if let Some(usage) = completion.usage {
        json_text.push_str(r#","usage":"#);
        json_text.push_str(&json(&OpenAiUsage::from(usage)));
    }
}

fn tool_opening(name: &str) -> String {
    let name = quoted(name);
    format!(
        r#"{{"role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"call_sim","type":"function","function":{{"name":{name},"arguments":"{{\"text\":\""}}}}]}}"#
    )
}

fn argument_delta(part: &str) -> String {
    format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{part}"}}}}]}}"#)
}

fn finish(completion: &Completion<'_>) -> &'static str {
    match completion.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Tool => "tool_calls",
    }
}
