//! Completions of a text.

use modelsim::{End, ModelServer, Script, Served, UsageReport};
use serde_json::{Value, json};

use crate::support::{events, finished, send, whole};

const PATH: &str = "/v1/completions";

#[tokio::test]
async fn a_whole_answer_is_one_choice_with_the_scripted_text_and_usage() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let answer = whole(&server, PATH, json!({"model": "a/\"b\"", "prompt": ["x", "y"], "n": 2})).await;
    let choice = json!({"text": "word ".repeat(9), "index": 0, "logprobs": null, "finish_reason": "stop"});
    let expected = json!({
        "id": "cmpl-sim", "object": "text_completion", "created": 1_700_000_000, "model": "a/\"b\"",
        "choices": [choice], "system_fingerprint": "fp_sim",
        "usage": {"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19},
    });
    assert_eq!(answer, expected);
    assert_eq!(server.served(), Served { completion_tokens: 9, ..finished(1) });
}

#[tokio::test]
async fn a_stream_has_a_text_per_word_and_usage_only_where_it_is_asked_for() {
    let server =
        ModelServer::start(Script { word: "\"so\" ".to_owned(), ..Script::default() }).await.unwrap();
    let silent = events(&server, PATH, json!({"model": "m", "max_tokens": 4})).await;
    assert_eq!(silent.len(), 6, "four words, the reason, [DONE]");
    assert!(silent.iter().all(|event| event.name.is_empty() && event.data.get("usage").is_none()));
    let texts = silent.iter().filter_map(|event| event.data["choices"][0]["text"].as_str());
    assert_eq!(texts.collect::<String>(), "\"so\" ".repeat(4));
    assert_eq!(silent[3].data["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(silent[4].data["choices"][0]["finish_reason"], "length");
    assert_eq!(silent[5].data, Value::Null);

    let asked = json!({"model": "m", "stream_options": {"include_usage": true}});
    let told = events(&server, PATH, asked.clone()).await;
    assert_eq!(told[0].data.get("usage"), Some(&Value::Null));
    assert_eq!(
        (&told[10].data["choices"], &told[10].data["usage"]["total_tokens"]),
        (&json!([]), &json!(19))
    );
    server.set(Script { usage: UsageReport::Missing, ..Script::default() });
    assert_eq!(events(&server, PATH, asked).await.len(), 11, "nothing is told");
}

#[tokio::test]
async fn a_stream_may_end_early_or_with_an_error() {
    let server = ModelServer::start(Script::ending(End::WithoutDone)).await.unwrap();
    let request = json!({"model": "m"});
    assert_eq!(events(&server, PATH, request.clone()).await.len(), 10);
    server.set(Script::ending(End::ErrorAfter(2)));
    let failed = events(&server, PATH, request.clone()).await;
    assert_eq!((failed.len(), &failed[2].data["error"]["type"]), (3, &json!("server_error")));
    server.set(Script::ending(End::CutAfter(1)));
    let answer = send(&server, PATH, request).await;
    assert!(http_body_util::BodyExt::collect(answer.into_body()).await.is_err());
    assert_eq!(server.served().cut, 1);
}
