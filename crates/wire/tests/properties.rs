//! What holds for every input, whether anyone would send it or not.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wire::{ChatStream, DEPTH_MAX, UsageChunk, nests_too_deep, read_chat, read_whole};

/// Any JSON value of moderate size.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
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
        ])
        .prop_map(String::from),
        any::<String>(),
    ]
}

/// A chat request that is taken, with any options and any other fields.
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
    let others = prop::collection::hash_map("[a-z]{4}|messages|tools|metadata", value(), 0..5);
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
fn expected(mut request: Value, target: Option<&str>) -> Value {
    if let Some(target) = target {
        request["model"] = target.into();
    }
    if request["stream"] == json!(true) {
        match request.get_mut("stream_options") {
            None | Some(Value::Null) => request["stream_options"] = json!({ "include_usage": true }),
            Some(Value::Object(options)) => drop(options.insert("include_usage".into(), true.into())),
            Some(_) => {}
        }
    }
    request
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
    ]);
    prop::collection::vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

/// What a stream fed in pieces of these lengths (over and over) puts out and tells.
fn pass(bytes: &[u8], lens: &[usize]) -> (Vec<u8>, String) {
    let mut stream = ChatStream::new("acme/chat", UsageChunk::Withhold);
    let mut out = Vec::new();
    let (mut rest, mut lens) = (bytes, lens.iter().cycle());
    while !rest.is_empty() {
        let len = lens.next().map_or(rest.len(), |len| (*len).min(rest.len()));
        let (piece, later) = rest.split_at(len);
        out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(piece)).expect("short events"));
        rest = later;
    }
    out.extend_from_slice(&stream.finish());
    let told = (stream.usage(), stream.output_guess(), stream.done(), stream.failed());
    (out, format!("{told:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_upstream_body_differs_in_nothing_but_what_it_must(
        request in request(),
        target in any::<Option<String>>(),
        style in any::<u8>(),
    ) {
        let body = Bytes::from(written(&request, style));
        let call = read_chat(&body).unwrap();
        prop_assert_eq!(call.model(), request["model"].as_str().unwrap());
        let sent = call.upstream_body(&body, target.as_deref());
        let sent_value: Value = serde_json::from_slice(&sent).unwrap();
        let expected = expected(request.clone(), target.as_deref());
        prop_assert_eq!(&sent_value, &expected);
        if expected == request {
            prop_assert_eq!(sent, body);
        }
    }

    #[test]
    fn a_prompt_counts_the_same_however_it_is_written(messages in value()) {
        let count = |style| {
            let request = written(&json!({ "model": "m", "messages": messages }), style);
            read_chat(request.as_bytes()).unwrap().prompt_tokens()
        };
        prop_assert_eq!(count(0), count(1));
        prop_assert_eq!(count(0), count(2));
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_chat(&bytes);
        let _ = read_whole(bytes.clone().into(), "acme/chat");
        let _ = pass(&bytes, &[7]);
    }

    #[test]
    fn no_json_makes_reading_panic(value in value(), style in any::<u8>()) {
        let json = written(&value, style);
        let _ = read_chat(json.as_bytes());
        let _ = read_whole(json.into(), "acme/chat");
    }

    #[test]
    fn a_request_cut_short_is_refused(request in request(), cut in any::<prop::sample::Index>()) {
        let json = request.to_string();
        prop_assert!(read_chat(&json.as_bytes()[..cut.index(json.len())]).is_err());
    }

    #[test]
    fn a_whole_answer_differs_in_nothing_but_its_model(answer in value(), model in any::<String>(), style in any::<u8>()) {
        let mut answer = Map::from_iter([("choices".to_owned(), answer)]);
        answer.insert("model".into(), model.into());
        let passed = read_whole(written(&answer.clone().into(), style).into(), "acme/chat").body;
        answer.insert("model".into(), "acme/chat".into());
        prop_assert_eq!(serde_json::from_slice::<Value>(&passed).unwrap(), Value::from(answer));
    }

    #[test]
    fn where_a_stream_is_cut_never_shows(
        bytes in stream_bytes(),
        lens in prop::collection::vec(1..30_usize, 1..10),
    ) {
        prop_assert_eq!(pass(&bytes, &lens), pass(&bytes, &[]));
    }

    #[test]
    fn depth_agrees_with_counting_by_the_book(
        parts in prop::collection::vec((prop::sample::select(b"[]{}\"\\x".to_vec()), 1..80_usize), 0..12),
    ) {
        let json: Vec<u8> = parts.iter().flat_map(|(byte, times)| std::iter::repeat_n(*byte, *times)).collect();
        prop_assert_eq!(nests_too_deep(&json), deepest(&json) > DEPTH_MAX);
    }
}
