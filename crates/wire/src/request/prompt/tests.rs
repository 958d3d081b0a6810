use tokens::Tokenizer;

use super::READ_TWICE_MAX;
use crate::{Operation, read_call};

/// One request of each kind, and what it counts beside its texts.
const REQUESTS: [(Operation, &str, u64); 7] = [
    (
        Operation::ChatCompletions,
        r#"{"model":"m","messages":[{"role":"user","content":"TEXT"},{"content":[{"type":"text","text":"TEXT"},
            {"type":"image_url","image_url":{"url":"data:,"}}]}]}"#,
        tokens::REPLY_PRIMING + 2 * tokens::MESSAGE_OVERHEAD + tokens::IMAGE,
    ),
    (Operation::Completions, r#"{"model":"m","prompt":["TEXT",[1,2,3]],"suffix":"TEXT"}"#, 3),
    (Operation::Completions, r#"{"model":"m","prompt":[1,2,3,4,"TEXT",{"type":"text","text":"TEXT"}]}"#, 4),
    (Operation::Embeddings, r#"{"model":"m","input":["TEXT","TEXT"]}"#, 0),
    (
        Operation::Responses,
        r#"{"model":"m","instructions":"TEXT","input":[{"role":"user","content":[{"type":"input_text","text":"TEXT"}]}]}"#,
        tokens::REPLY_PRIMING + 2 * tokens::MESSAGE_OVERHEAD,
    ),
    (
        Operation::Messages,
        r#"{"model":"m","system":"TEXT","messages":[{"role":"user","content":[{"type":"text","text":"TEXT"}]}]}"#,
        tokens::REPLY_PRIMING + 2 * tokens::MESSAGE_OVERHEAD,
    ),
    (Operation::CountTokens, r#"{"model":"m","messages":[{"role":"user","content":"TEXT"}]}"#, 0),
];

#[test]
fn every_dialect_counts_its_texts_by_vocabulary_and_the_rest_by_constants() {
    Tokenizer::O200k.load();
    for (operation, request, fixed) in REQUESTS {
        // 10 tokens, 44 bytes.
        for text in [
            "The quick brown fox jumps over the lazy dog.",
            r"\u0054he quick brown\u0020fox jumps over the lazy dog.",
        ] {
            let body = request.replace("TEXT", text);
            let call = read_call(operation, body.as_bytes()).unwrap();
            let (texts, bytes) = if operation == Operation::CountTokens { (0, 0) } else { (2, 88) };
            let prompt = call.prompt().unwrap();
            assert_eq!(prompt.tokens(Tokenizer::O200k), texts * 10 + fixed, "{body}");
            assert_eq!(prompt.tokens(Tokenizer::Bytes), call.prompt_tokens(), "{body}");
            assert_eq!((prompt.bytes(), call.prompt_bytes()), (bytes, bytes));
        }
    }
}

#[test]
fn a_chat_counts_what_its_maker_publishes_for_it() {
    // The example of OpenAI's cookbook, without its names, which cost one token more each than the text of them.
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role":"system","content":"New synergies will help drive top-line growth."},
        {"role":"system","content":"Things working well together will increase revenue."},
        {"role":"system","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role":"system","content":"Let's talk later when we're less busy about how to do better."},
        {"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#;
    let call = read_call(Operation::ChatCompletions, body.as_bytes()).unwrap();
    for (tokenizer, published, names) in [(Tokenizer::O200k, 124, 14), (Tokenizer::Cl100k, 129, 14)] {
        tokenizer.load();
        assert_eq!(call.prompt().unwrap().tokens(tokenizer), published - names);
    }
}

#[test]
fn json_that_the_model_is_shown_counts_as_it_is_written() {
    Tokenizer::O200k.load();
    let tools = r#"[{"type":"function","function":{"name":"now","parameters":{}}}]"#;
    let body = format!(r#"{{"model":"m","messages":[],"tools":{tools}}}"#);
    let call = read_call(Operation::ChatCompletions, body.as_bytes()).unwrap();
    let expected = Tokenizer::O200k.count(tools) + tokens::REPLY_PRIMING;
    assert_eq!(call.prompt().unwrap().tokens(Tokenizer::O200k), expected);
}

#[test]
fn a_prompt_in_very_long_json_is_not_read_twice() {
    let of = |len: usize| format!(r#"{{"model":"m","input":"{}"}}"#, "a".repeat(len - 2));
    let taken_out =
        |body: &str| read_call(Operation::Embeddings, body.as_bytes()).unwrap().prompt().is_some();
    assert!(taken_out(&of(READ_TWICE_MAX)));
    assert!(!taken_out(&of(READ_TWICE_MAX + 1)));
}
