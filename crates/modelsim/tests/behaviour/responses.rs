//! OpenAI's responses.

use http_body_util::BodyExt as _;
use modelsim::{End, ModelServer, Script, Served, Tools, UsageReport};
use serde_json::{Value, json};

use crate::support::{Event, arguments, events, finished, names, send, whole};

const PATH: &str = "/v1/responses";

#[tokio::test]
async fn a_whole_answer_is_a_complete_response() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let answer = whole(&server, PATH, json!({"model": "a/\"b\"", "input": "hi", "tools": null})).await;
    let part = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": "word ".repeat(9)});
    let expected = json!({
        "id": "resp_sim", "object": "response", "created_at": 1_700_000_000, "status": "completed",
        "background": false, "completed_at": 1_700_000_000, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "max_tool_calls": null, "metadata": {},
        "model": "a/\"b\"", "parallel_tool_calls": true, "previous_response_id": null,
        "output": [
            {"type": "message", "id": "msg_sim", "status": "completed", "role": "assistant", "content": [part]}
        ],
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": true,
        "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
        "usage": {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19,
        },
        "user": null,
    });
    assert_eq!(answer, expected);
    assert_eq!(server.served(), Served { completion_tokens: 9, ..finished(1) });
}

#[tokio::test]
async fn what_the_request_said_is_said_again() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let tools = json!([{"type": "function", "name": "find", "parameters": {}, "strict": true}]);
    let said = json!({
        "model": "m", "instructions": "be \"kind\"", "temperature": 0.25, "metadata": {"a": "b"},
        "tools": tools, "tool_choice": "none", "store": false, "max_output_tokens": 4,
    });
    let answer = whole(&server, PATH, said.clone()).await;
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&answer[name], value, "{name}");
    }
    assert_eq!((&answer["status"], &answer["completed_at"]), (&json!("incomplete"), &Value::Null));
    assert_eq!(answer["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(answer["output"][0]["content"][0]["text"], "word ".repeat(4));
}

#[tokio::test]
async fn a_stream_tells_the_response_from_its_creation_to_its_completion() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let request = json!({"model": "m", "input": "hi"});
    let told = events(&server, PATH, request.clone()).await;
    let expected = [
        &["response.created", "response.in_progress"][..],
        &["response.output_item.added", "response.content_part.added"],
        &["response.output_text.delta"; 9],
        &["response.output_text.done", "response.content_part.done", "response.output_item.done"],
        &["response.completed"],
    ];
    assert_eq!(names(&told), expected.concat());
    assert_numbered(&told);
    assert_eq!(told[0].data["response"]["status"], "in_progress");
    assert_eq!(
        (&told[0].data["response"]["usage"], &told[0].data["response"]["output"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(deltas(&told), "word ".repeat(9));
    assert_eq!(told[13].data["text"], "word ".repeat(9));
    assert_eq!(told[16].data["response"], whole(&server, PATH, request).await);
    assert_eq!(server.served(), Served { completion_tokens: 18, ..finished(2) });
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_that_are_json() {
    let script = Script { tools: Tools::Call, word: "\"so\" ".to_owned(), ..Script::default() };
    let server = ModelServer::start(script).await.unwrap();
    let request = json!({"model": "m", "tools": [{"type": "function", "name": "find", "parameters": {}}]});
    let answer = whole(&server, PATH, request.clone()).await;
    let call = &answer["output"][0];
    assert_eq!(
        (&call["type"], &call["name"], &call["call_id"]),
        (&json!("function_call"), &json!("find"), &json!("call_sim"))
    );
    assert_eq!(arguments(call["arguments"].as_str().unwrap()), "\"so\" ".repeat(9));

    let told = events(&server, PATH, request).await;
    let expected = [
        &["response.created", "response.in_progress", "response.output_item.added"][..],
        &["response.function_call_arguments.delta"; 11],
        &["response.function_call_arguments.done", "response.output_item.done", "response.completed"],
    ];
    assert_eq!(names(&told), expected.concat());
    assert_numbered(&told);
    assert_eq!(told[2].data["item"]["name"], "find");
    assert_eq!(arguments(&deltas(&told)), "\"so\" ".repeat(9));
    assert_eq!(told[14].data["arguments"], deltas(&told));
    assert_eq!(told[16].data["response"], answer);
}

#[tokio::test]
async fn usage_can_be_missing_a_lie_or_partly_cached() {
    let server =
        ModelServer::start(Script { usage: UsageReport::Missing, ..Script::default() }).await.unwrap();
    let request = json!({"model": "m"});
    assert_eq!(whole(&server, PATH, request.clone()).await["usage"], Value::Null);
    server.set(Script { usage: UsageReport::Lying { prompt: 1, completion: u64::MAX }, ..Script::default() });
    assert_eq!(whole(&server, PATH, request.clone()).await["usage"]["output_tokens"], u64::MAX);
    server.set(Script { cache_read_tokens: 6, cache_write_tokens: 3, ..Script::default() });
    let told = events(&server, PATH, request).await;
    let usage = &told.last().unwrap().data["response"]["usage"];
    assert_eq!(usage["input_tokens"], 10);
    assert_eq!(usage["input_tokens_details"], json!({"cached_tokens": 6, "cache_write_tokens": 3}));
}

#[tokio::test]
async fn a_stream_may_lack_its_completion_fail_or_be_cut() {
    let server = ModelServer::start(Script::ending(End::WithoutDone)).await.unwrap();
    let request = json!({"model": "m"});
    assert_eq!(
        names(&events(&server, PATH, request.clone()).await).last(),
        Some(&"response.output_item.done")
    );
    server.set(Script::ending(End::ErrorAfter(6)));
    let failed = events(&server, PATH, request.clone()).await;
    assert_eq!((failed.len(), failed[6].name.as_str()), (7, "error"));
    assert_eq!(failed[6].data["code"], "server_error");
    assert_numbered(&failed);
    server.set(Script::ending(End::CutAfter(5)));
    let mut answer = send(&server, PATH, json!({"model": "m", "stream": true})).await;
    for _ in 0..5 {
        answer.body_mut().frame().await.unwrap().unwrap();
    }
    assert!(answer.body_mut().frame().await.unwrap().is_err());
    assert!(send(&server, PATH, request).await.into_body().collect().await.is_err());
    assert_eq!((server.served().cut, server.served().finished), (2, 2));
}

fn assert_numbered(events: &[Event]) {
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.data["sequence_number"], number);
    }
}

fn deltas(events: &[Event]) -> String {
    events.iter().filter_map(|event| event.data["delta"].as_str()).collect()
}
