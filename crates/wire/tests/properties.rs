//! What holds for every input, whether anyone would send it or not.

use bytes::Bytes;
use domain::{Usage, UsageSource};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokens::Tokenizer;
use wire::{AnswerStream, Cut, DEPTH_MAX, Operation, UsageChunk, nests_too_deep, read_call, read_whole};
use wire::{ChatSpelling, OutputBound};

fn operation() -> impl Strategy<Value = Operation> {
    prop::sample::select(Operation::ALL.to_vec())
}

/// Any JSON value of moderate size.
fn value() -> impl Strategy<Value = Value> {
    let kinds = vec!["text", "image", "document", "input_image", "input_file", "content", "message_start"];
    let leaf = prop_oneof![
        prop::sample::select(kinds).prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Names that matter more often than others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "model",
            "messages",
            "content",
            "text",
            "tool_calls",
            "function",
            "include_usage",
            "choices",
            "delta",
            "usage",
            "type",
            "source",
            "data",
            "output",
            "summary",
            "response",
            "message",
            "user",
            "user_id",
        ])
        .prop_map(String::from),
        any::<String>(),
    ]
}

/// A request that every operation takes, with any options and any other fields.
fn request() -> impl Strategy<Value = Value> {
    let options = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        any::<Option<bool>>().prop_map(|asks| Some(json!({ "include_usage": asks }))),
        any::<bool>().prop_map(|asks| Some(json!({ "a": [1], "include_usage": asks, "z": {} }))),
        value().prop_map(|any| Some(json!({ "x": any }))),
        value().prop_map(Some),
    ];
    let others = prop::collection::hash_map(
        "[a-z]{4}|messages|tools|metadata|user|safety_identifier|system|input|prompt|suffix|instructions",
        value(),
        0..5,
    );
    (any::<String>(), any::<Option<bool>>(), options, others).prop_map(|(model, stream, options, others)| {
        let mut request: Map<String, Value> = others.into_iter().collect();
        request.insert("model".into(), model.into());
        request.insert("stream".into(), json!(stream));
        if let Some(options) = options {
            request.insert("stream_options".into(), options);
        }
        request.into()
    })
}

/// What must come out of a request, by the slow way.
fn expected(operation: Operation, mut request: Value, target: Option<&str>) -> Value {
    if let Some(target) = target {
        request["model"] = target.into();
    }
    let asks = matches!(operation, Operation::ChatCompletions | Operation::Completions);
    if asks && request["stream"] == json!(true) {
        match request.get_mut("stream_options") {
            None | Some(Value::Null) => request["stream_options"] = json!({ "include_usage": true }),
            Some(Value::Object(options)) => drop(options.insert("include_usage".into(), true.into())),
            Some(_) => {}
        }
    }
    request
}

/// Who a request says it is made for, by the slow way.
fn user(operation: Operation, request: &Value) -> Option<&str> {
    let named = match operation {
        Operation::Messages | Operation::CountTokens => [&request["metadata"]["user_id"], &Value::Null],
        Operation::ChatCompletions
        | Operation::Completions
        | Operation::Embeddings
        | Operation::Responses => [&request["user"], &request["safety_identifier"]],
    };
    named.into_iter().filter_map(Value::as_str).find(|name| (1..=256).contains(&name.len()))
}

/// JSON as somebody else might write it: every character of every string escaped, or spread over lines.
fn written(value: &Value, style: u8) -> String {
    match style % 3 {
        0 => value.to_string(),
        1 => format!("\n {value:#}\t"),
        _ => escaped(value),
    }
}

fn escaped(value: &Value) -> String {
    let string = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{units}\"")
    };
    match value {
        Value::String(text) => string(text),
        Value::Array(list) => format!("[{}]", list.iter().map(escaped).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let members: Vec<String> =
                map.iter().map(|(name, value)| format!("{}:{}", string(name), escaped(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The same by the book: one character after the other.
fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (true, false, b'"') => in_string = false,
            (false, _, b'"') => in_string = true,
            (false, _, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Bytes that look like a stream for a while.
fn stream_bytes() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        &b"data: "[..],
        b"data:",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b": ping",
        b"event: x",
        b"\xef\xbb\xbf",
        b"\xff",
        b"[DONE]",
        b"{\"model\":\"inner\"}",
        b"{\"model\":",
        b"\"inner\",\"x\":1}",
        b"{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
        b"{\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}",
        b"{\"error\":{}}",
        b"{\"type\":\"response.completed\",\"response\":{\"model\":\"inner\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}",
        b"{\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}",
        b"{\"type\":\"message_start\",\"message\":{\"model\":\"inner\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}",
        b"{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}",
        b"{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":6}}",
        b"{\"type\":\"message_stop\"}",
        b"{\"id\":\"c1\",\"created\":7,\"choices\":[{\"index\":3,\"delta\":{\"content\":\"hi\"}},{\"index\":200}]}",
        b"{\"choices\":[{\"index\":3,\"finish_reason\":\"stop\"}]}",
        b"{\"type\":\"content_block_start\",\"index\":1}",
        b"{\"type\":\"content_block_stop\",\"index\":1}",
        b"{\"type\":\"response.created\",\ndata: \"response\":{\"id\":\"r1\",\r\ndata: \"output\":[ ]},\"sequence_number\":4}",
        b"{\"type\":\"response.output_item.added\",\"output_index\":0,\ndata: \"item\":{\"id\":\"i\",\ndata: \"status\":\"in_progress\"}}",
        b"{\"type\":\"response.content_part.added\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\"}}",
        b"{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"a\\\"b\"}",
        b"{\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{\"}",
        b"{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{}}",
    ]);
    prop::collection::vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

/// What a stream fed in pieces of these lengths (over and over) puts out and tells.
fn pass(operation: Operation, bytes: &[u8], lens: &[usize]) -> (Vec<u8>, String) {
    let mut stream = AnswerStream::new(operation, "acme/chat", UsageChunk::Withhold);
    let mut out = Vec::new();
    let (mut rest, mut lens) = (bytes, lens.iter().cycle());
    while !rest.is_empty() {
        let len = lens.next().map_or(rest.len(), |len| (*len).min(rest.len()));
        let (piece, later) = rest.split_at(len);
        out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(piece)).expect("short events"));
        rest = later;
    }
    out.extend_from_slice(&stream.finish());
    let told =
        (stream.usage(), stream.reported_input(), stream.output_guess(), stream.done(), stream.failed());
    (out, format!("{told:?}"))
}

/// The data of the last event of a stream, after every event was found to be one that a client can read.
fn last_data(text: &str) -> String {
    let mut last = String::new();
    for event in text.strip_suffix("\n\n").expect("a last event is ended").split("\n\n") {
        let (name, data) = event.split_once("data: ").expect("each has data");
        assert!(!data.contains('\n'), "on one line: {data}");
        if data != "[DONE]" {
            let json: Value = serde_json::from_str(data).expect("each is JSON");
            let kind = json["type"].as_str().map(|kind| format!("event: {kind}\n"));
            assert_eq!(name, kind.unwrap_or_default());
        }
        data.clone_into(&mut last);
    }
    last
}

/// A stream that was fed these bytes and cut: whether it had ended before, and what the cut says.
fn cut(operation: Operation, chunk: UsageChunk, bytes: &[u8], lens: &[usize]) -> (bool, String) {
    let mut stream = AnswerStream::new(operation, "acme/chat", chunk).cuttable();
    let (mut rest, mut lens) = (bytes, lens.iter().cycle());
    while !rest.is_empty() {
        let len = lens.next().map_or(rest.len(), |len| (*len).min(rest.len()));
        let (piece, later) = rest.split_at(len);
        stream.feed(&Bytes::copy_from_slice(piece)).expect("short events");
        rest = later;
    }
    let ended = stream.done();
    let usage = Usage { input: 9, output: 5, cached: 2, cache_written: 1, source: UsageSource::Estimated };
    let end = stream.cut(&Cut { usage, request_id: "r\"1", unix_s: 7 });
    assert!(stream.done());
    (ended, String::from_utf8(end.to_vec()).expect("what we write is text"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_upstream_body_differs_in_nothing_but_what_it_must(
        operation in operation(),
        request in request(),
        target in any::<Option<String>>(),
        style in any::<u8>(),
        padding in prop::sample::select(vec![0, 70_000]),
    ) {
        let body = Bytes::from(written(&request, style) + &" ".repeat(padding));
        let call = read_call(operation, &body).unwrap();
        prop_assert_eq!(call.model(), request["model"].as_str().unwrap());
        let sent = call.upstream_body(&body, target.as_deref(), None).concat();
        let sent_value: Value = serde_json::from_slice(&sent).unwrap();
        let expected = expected(operation, request.clone(), target.as_deref());
        prop_assert_eq!(&sent_value, &expected);
        if expected == request {
            prop_assert_eq!(sent, body);
        }
    }

    #[test]
    fn a_user_is_the_same_however_it_is_written_and_never_a_reason_to_refuse(
        operation in operation(),
        request in request(),
        first in prop::option::of(value()),
        second in prop_oneof![value(), ".{0,3}".prop_map(Value::from), "[a-z😀]{60,300}".prop_map(Value::from)],
        style in any::<u8>(),
    ) {
        let mut request = request;
        request["user"] = first.unwrap_or_default();
        request["safety_identifier"] = second.clone();
        request["metadata"] = json!({ "user_id": second });
        let body = Bytes::from(written(&request, style));
        let call = read_call(operation, &body).unwrap();
        prop_assert_eq!(call.user(), user(operation, &request));
        let sent: Value = serde_json::from_slice(&call.upstream_body(&body, None, None).concat()).unwrap();
        for name in ["user", "safety_identifier", "metadata"] {
            prop_assert_eq!(&sent[name], &request[name]);
        }
    }

    #[test]
    fn tokens_of_a_prompt_that_were_cached_are_never_more_than_it_has(
        operation in prop::sample::select(vec![Operation::ChatCompletions, Operation::Responses, Operation::Messages]),
        counts in prop::collection::vec(prop_oneof![0..50_u64, any::<u64>()], 8),
    ) {
        let details = json!({ "cached_tokens": counts[0], "cache_write_tokens": counts[1] });
        let usage = json!({
            "prompt_tokens": counts[2], "completion_tokens": counts[3], "prompt_tokens_details": details,
            "input_tokens": counts[2], "output_tokens": counts[3], "input_tokens_details": details,
            "cache_read_input_tokens": counts[4], "cache_creation_input_tokens": counts[5],
            "iterations": [{ "input_tokens": counts[6], "cache_creation_input_tokens": counts[7] }],
        });
        let answer = read_whole(operation, json!({ "usage": usage }).to_string().into(), "acme/chat");
        if let Some(usage) = answer.usage {
            prop_assert!(usage.cached + usage.cache_written <= usage.input, "{:?}", usage);
        }
        let in_belief = counts.iter().all(|count| *count < 50);
        prop_assert!(answer.usage.is_some() || !in_belief);
    }

    #[test]
    fn a_prompt_counts_the_same_however_it_is_written(prompt in value()) {
        Tokenizer::O200k.load();
        for (operation, name) in [
            (Operation::ChatCompletions, "messages"),
            (Operation::Messages, "messages"),
            (Operation::Messages, "system"),
            (Operation::Responses, "input"),
        ] {
            let count = |style| {
                let request = written(&json!({ "model": "m", name: prompt }), style);
                let call = read_call(operation, request.as_bytes()).unwrap();
                let prompt = call.prompt().unwrap();
                assert_eq!(prompt.tokens(Tokenizer::Bytes), call.prompt_tokens());
                (call.prompt_tokens(), prompt.tokens(Tokenizer::O200k))
            };
            prop_assert_eq!(count(0), count(1));
            prop_assert_eq!(count(0), count(2));
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(
        operation in operation(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = read_call(operation, &bytes);
        let _ = read_whole(operation, bytes.clone().into(), "acme/chat");
        let _ = pass(operation, &bytes, &[7]);
    }

    #[test]
    fn no_json_makes_reading_panic(operation in operation(), value in value(), style in any::<u8>()) {
        let json = written(&value, style);
        let _ = read_call(operation, json.as_bytes());
        let event = format!("data: {}\n\n", json.replace('\n', " "));
        let _ = pass(operation, event.as_bytes(), &[]);
        let _ = read_whole(operation, json.into(), "acme/chat");
    }

    #[test]
    fn no_request_of_any_shape_makes_reading_panic(
        operation in operation(),
        request in request(),
        style in any::<u8>(),
    ) {
        let body = Bytes::from(written(&request, style));
        let call = read_call(operation, &body).unwrap();
        prop_assert_eq!(call.operation(), operation);
        prop_assert!(!matches!(operation, Operation::Embeddings | Operation::CountTokens) || !call.stream());
    }

    #[test]
    fn a_request_cut_short_is_refused(
        operation in operation(),
        request in request(),
        cut in any::<prop::sample::Index>(),
    ) {
        let json = request.to_string();
        prop_assert!(read_call(operation, &json.as_bytes()[..cut.index(json.len())]).is_err());
    }

    #[test]
    fn a_whole_answer_differs_in_nothing_but_its_model(
        operation in operation(),
        answer in value(),
        model in any::<String>(),
        style in any::<u8>(),
    ) {
        let names = ["choices", "output", "content", "usage", "data"];
        let mut answer: Map<String, Value> = names.map(|name| (name.to_owned(), answer.clone())).into_iter().collect();
        answer.insert("model".into(), model.into());
        let passed = read_whole(operation, written(&answer.clone().into(), style).into(), "acme/chat").body;
        answer.insert("model".into(), "acme/chat".into());
        prop_assert_eq!(serde_json::from_slice::<Value>(&passed).unwrap(), Value::from(answer));
    }

    #[test]
    fn where_a_stream_is_cut_never_shows(
        operation in operation(),
        bytes in stream_bytes(),
        lens in prop::collection::vec(1..30_usize, 1..10),
    ) {
        prop_assert_eq!(pass(operation, &bytes, &lens), pass(operation, &bytes, &[]));
    }

    #[test]
    fn a_stream_that_is_cut_ends_as_its_dialect_does(
        operation in operation(),
        bytes in stream_bytes(),
        chunk in prop::sample::select(vec![UsageChunk::Forward, UsageChunk::Withhold]),
        lens in prop::collection::vec(1..30_usize, 1..10),
    ) {
        let (ended, end) = cut(operation, chunk, &bytes, &lens);
        prop_assert_eq!(&cut(operation, chunk, &bytes, &[]), &(ended, end.clone()));
        let last = if end.is_empty() { String::new() } else { last_data(&end) };
        match operation {
            _ if ended => prop_assert_eq!(last, ""),
            Operation::ChatCompletions | Operation::Completions => prop_assert_eq!(last, "[DONE]"),
            Operation::Messages => prop_assert_eq!(last, r#"{"type":"message_stop"}"#),
            Operation::Responses => {
                let last: Value = serde_json::from_str(&last).unwrap();
                prop_assert_eq!(&last["type"], "response.incomplete");
                prop_assert_eq!(&last["response"]["status"], "incomplete");
                prop_assert_eq!(&last["response"]["usage"]["total_tokens"], 14);
            }
            Operation::Embeddings | Operation::CountTokens => prop_assert_eq!(last, ""),
        }
    }

    #[test]
    fn a_bound_holds_whatever_the_request_says(
        operation in operation(),
        request in request(),
        spelled in prop::collection::hash_map(
            prop::sample::select(vec!["max_tokens", "max_completion_tokens", "max_output_tokens", "n"]),
            prop_oneof![Just(Value::Null), (0..500_u64).prop_map(Value::from)],
            0..5,
        ),
        style in any::<u8>(),
        tokens in 0..600_u64,
    ) {
        let mut request = request;
        for (name, value) in spelled {
            request[name] = value;
        }
        let body = Bytes::from(written(&request, style));
        let call = read_call(operation, &body).unwrap();
        let bound = OutputBound { tokens, in_chat: ChatSpelling::MaxCompletionTokens };
        let sent = call.upstream_body(&body, None, Some(bound)).concat();
        let again = read_call(operation, &sent).unwrap();
        prop_assert_eq!(again.answers(), call.answers());
        let most = (tokens / call.answers()).max(1) * call.answers();
        let declared = again.declared_output().unwrap();
        prop_assert!(declared <= most, "{} of {}", declared, most);
        if operation.writes() && call.declared_output().is_none() {
            prop_assert_eq!(declared, most);
        }
        // Without the bounds, all is as it would be without them.
        let mut sent: Value = serde_json::from_slice(&sent).unwrap();
        let mut expected = expected(operation, request, None);
        for value in [&mut sent, &mut expected] {
            for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
                value.as_object_mut().unwrap().remove(name);
            }
        }
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn depth_agrees_with_counting_by_the_book(
        parts in prop::collection::vec((prop::sample::select(b"[]{}\"\\x".to_vec()), 1..80_usize), 0..12),
    ) {
        let json: Vec<u8> = parts.iter().flat_map(|(byte, times)| std::iter::repeat_n(*byte, *times)).collect();
        prop_assert_eq!(nests_too_deep(&json), deepest(&json) > DEPTH_MAX);
    }
}
