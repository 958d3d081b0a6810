//! Anthropic's messages.

use http_body_util::BodyExt as _;
use modelsim::{End, ModelServer, Script, Served, Tools, UsageReport};
use serde_json::{Value, json};

use crate::support::{arguments, events, finished, names, send, whole};

const PATH: &str = "/v1/messages";

#[tokio::test]
async fn a_whole_answer_is_a_complete_message() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let answer = whole(&server, PATH, json!({"model": "a/\"b\"", "max_tokens": 100})).await;
    let expected = json!({
        "id": "msg_sim", "type": "message", "role": "assistant", "model": "a/\"b\"",
        "content": [{"type": "text", "text": "word ".repeat(9)}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {
            "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 9,
        },
    });
    assert_eq!(answer, expected);
    assert_eq!(server.served(), Served { completion_tokens: 9, ..finished(1) });
}

#[tokio::test]
async fn a_stream_tells_the_message_block_by_block() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let told = events(&server, PATH, json!({"model": "m", "max_tokens": 4})).await;
    let expected = [
        &["message_start", "content_block_start", "ping"][..],
        &["content_block_delta"; 4],
        &["content_block_stop", "message_delta", "message_stop"],
    ];
    assert_eq!(names(&told), expected.concat());
    let message = &told[0].data["message"];
    assert_eq!(
        (&message["model"], &message["content"], &message["stop_reason"]),
        (&json!("m"), &json!([]), &Value::Null)
    );
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
        (&json!(10), &json!(1))
    );
    assert_eq!(told[1].data["content_block"], json!({"type": "text", "text": ""}));
    assert_eq!(told[3].data["delta"], json!({"type": "text_delta", "text": "word "}));
    assert_eq!(told[8].data["delta"], json!({"stop_reason": "max_tokens", "stop_sequence": null}));
    assert_eq!(
        (&told[8].data["usage"]["input_tokens"], &told[8].data["usage"]["output_tokens"]),
        (&json!(10), &json!(4))
    );
    assert_eq!(server.served(), Served { completion_tokens: 4, ..finished(1) });
}

#[tokio::test]
async fn a_tool_is_used_with_an_input_that_is_json() {
    let script = Script { tools: Tools::Call, word: "\"so\" ".to_owned(), ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let request = json!({"model": "m", "tools": [{"name": "find", "input_schema": {"type": "object"}}]});
    let answer = whole(&server, PATH, request.clone()).await;
    let used = json!({"type": "tool_use", "id": "toolu_sim", "name": "find", "input": {"text": "\"so\" ".repeat(9)}});
    assert_eq!((&answer["content"], &answer["stop_reason"]), (&json!([used]), &json!("tool_use")));

    let told = events(&server, PATH, request).await;
    let block = json!({"type": "tool_use", "id": "toolu_sim", "name": "find", "input": {}});
    assert_eq!(told[1].data["content_block"], block);
    let parts = told.iter().filter_map(|event| event.data["delta"]["partial_json"].as_str());
    assert_eq!(arguments(&parts.collect::<String>()), "\"so\" ".repeat(9));
    assert_eq!(told[told.len() - 2].data["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn usage_can_be_missing_a_lie_or_partly_cached() {
    let server =
        ModelServer::start(Script { usage: UsageReport::Missing, ..Script::default() }).await.unwrap();
    let request = json!({"model": "m"});
    assert_eq!(whole(&server, PATH, request.clone()).await.get("usage"), None);
    let silent = events(&server, PATH, request.clone()).await;
    assert!(silent.iter().all(|event| event.data.get("usage").is_none()));
    assert_eq!(silent[0].data["message"].get("usage"), None);
    server.set(Script { usage: UsageReport::Lying { prompt: 1, completion: u64::MAX }, ..Script::default() });
    let usage = whole(&server, PATH, request.clone()).await["usage"].clone();
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(1), &json!(u64::MAX)));
    server.set(Script { cache_read_tokens: 6, cache_write_tokens: 3, ..Script::default() });
    let told = events(&server, PATH, request).await;
    for usage in [&told[0].data["message"]["usage"], &told[told.len() - 2].data["usage"]] {
        let input = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
            .map(|name| &usage[name]);
        assert_eq!(input, [1, 6, 3], "what the cache has is counted apart");
    }
}

#[tokio::test]
async fn a_stream_may_lack_its_stop_fail_or_be_cut() {
    let server = ModelServer::start(Script::ending(End::WithoutDone)).await.unwrap();
    let request = json!({"model": "m"});
    assert_eq!(names(&events(&server, PATH, request.clone()).await).last(), Some(&"message_delta"));
    server.set(Script::ending(End::ErrorAfter(4)));
    let failed = events(&server, PATH, request.clone()).await;
    let error = json!({"type": "error", "error": {"type": "api_error", "message": "the model failed"}});
    assert_eq!((failed.len(), &failed[4].data), (5, &error));
    server.set(Script::ending(End::CutAfter(4)));
    let mut answer = send(&server, PATH, json!({"model": "m", "stream": true})).await;
    for _ in 0..4 {
        answer.body_mut().frame().await.unwrap().unwrap();
    }
    assert!(answer.body_mut().frame().await.unwrap().is_err());
    assert!(send(&server, PATH, request).await.into_body().collect().await.is_err());
    assert_eq!((server.served().cut, server.served().finished), (2, 2));
}

#[tokio::test]
async fn counting_tokens_says_what_the_prompt_would_cost_and_costs_nothing() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let count = "/v1/messages/count_tokens";
    assert_eq!(
        whole(&server, count, json!({"model": "m", "stream": true})).await,
        json!({"input_tokens": 10})
    );
    server.set(Script { usage: UsageReport::Lying { prompt: 3, completion: 4 }, ..Script::default() });
    assert_eq!(whole(&server, count, json!({"model": "m"})).await, json!({"input_tokens": 3}));
    assert_eq!(server.served(), Served { prompt_tokens: 0, ..finished(2) });
}
