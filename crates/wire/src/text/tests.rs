use serde_json::value::RawValue;

use super::{Listed, NESTED_MAX, Shape, Tally};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn count(json: &str, shape: Shape) -> (usize, u64) {
    let mut tally = Tally::default();
    tally.add(&raw(json), shape);
    (tally.bytes, tally.fixed)
}

fn messages(json: &str) -> (usize, u64) {
    count(json, Shape::MESSAGES)
}

fn choices(json: &str) -> usize {
    let (bytes, fixed) = count(json, Shape::CHOICES);
    assert_eq!(fixed, 0);
    bytes
}

#[test]
fn the_text_of_messages_is_counted_and_their_roles_are_not() {
    let json = r#"[{"role":"system","content":"12345"},{"role":"user","content":"123","name":"bo"}]"#;
    assert_eq!(messages(json), (10, 2 * tokens::MESSAGE_OVERHEAD));
}

#[test]
fn every_kind_of_part_counts() {
    let json = r#"[{"content":[
        {"type":"text","text":"1234"},
        {"type":"refusal","refusal":"12"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
        {"type":"input_image","image_url":"https://example.com/a.png"},
        {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
        {"type":"video_url","video_url":{"url":"https://example.com/a.mp4"}},
        {"type":"file","file":{"file_id":"f"}},
        {"type":"unheard_of","unheard_of":"123456789"}
    ]}]"#;
    let media = 2 * tokens::IMAGE + tokens::AUDIO + tokens::VIDEO + tokens::FILE;
    assert_eq!(messages(json), (6, media + tokens::MESSAGE_OVERHEAD));
}

#[test]
fn tool_calls_count_by_name_and_arguments() {
    let json = r#"[{"role":"assistant","content":null,"refusal":"1","tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"ab","arguments":"{\"x\":1}"}},
        {"id":"call_2","type":"custom","custom":{"name":"c","input":"12"}}
    ],"function_call":{"name":"d","arguments":"123"}}]"#;
    assert_eq!(messages(json).0, 1 + (2 + 7) + (1 + 2) + (1 + 3));
}

#[test]
fn unknown_shapes_count_nothing() {
    for json in ["null", "17", "-1", "1.5", "true", "\"text\"", "{}", r#"{"content":"x"}"#, "[]"] {
        assert_eq!(messages(json), (0, 0), "{json}");
    }
    let odd = r#"[1, null, "text", [[]], {"content":{"text":"x"}}, {"content":5}, {"content":[1,"x",null,[]]},
        {"tool_calls":{"function":{"name":"x"}}}, {"tool_calls":[{"function":[1]}]}]"#;
    assert_eq!(messages(odd), (0, 9 * tokens::MESSAGE_OVERHEAD));
}

#[test]
fn half_a_surrogate_pair_in_a_text_is_text() {
    assert_eq!(messages(r#"[{"content":"ab\ud83d"},{"content":"cd"}]"#).0, 6);
}

#[test]
fn what_cannot_be_walked_counts_by_its_length() {
    let json = r#"[{"content":"hidden","\ud800":1}]"#;
    assert!(messages(json).0 >= json.len());
    let json = r#"[1e999,{"content":"hidden"}]"#;
    assert!(messages(json).0 >= json.len());
}

#[test]
fn answers_and_deltas_count_everything_the_model_wrote() {
    assert_eq!(choices(r#"[{"index":0,"message":{"role":"assistant","content":"12345"}}]"#), 5);
    assert_eq!(choices(r#"[{"delta":{"content":"12"}},{"delta":{"reasoning_content":"123"}}]"#), 5);
    let call = r#"[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}}]"#;
    assert_eq!(choices(call), 3);
    assert_eq!(choices(r#"[{"text":"1234"}]"#), 4);
    assert_eq!(choices("[]"), 0);
    assert_eq!(choices(r#"[{"delta":{}}]"#), 0);
}

/// What one item of a response's input counts, the template aside.
#[track_caller]
fn item(json: &str, bytes: usize, fixed: u64) {
    let counted = count(&format!("[{json}]"), Shape::ITEMS);
    assert_eq!(counted, (bytes, fixed + tokens::MESSAGE_OVERHEAD), "{json}");
}

#[test]
fn every_kind_of_item_of_a_response_counts_what_the_model_reads() {
    item(r#"{"role":"user","content":"1234"}"#, 4, 0);
    item(r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"1234"}]}"#, 4, 0);
    item(
        r#"{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"12","annotations":[]}]}"#,
        2,
        0,
    );
    item(r#"{"type":"function_call","call_id":"c","name":"ab","arguments":"{\"x\":1}"}"#, 2 + 7, 0);
    item(r#"{"type":"function_call_output","call_id":"c","output":"12345"}"#, 5, 0);
    item(r#"{"type":"function_call_output","output":[{"type":"input_text","text":"12"}]}"#, 2, 0);
    item(r#"{"type":"custom_tool_call","name":"a","input":"123"}"#, 4, 0);
    item(
        r#"{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"123"}],"encrypted_content":"1234"}"#,
        7,
        0,
    );
    item(
        r#"{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"123"}],"encrypted_content":null}"#,
        3,
        0,
    );
    item(
        r#"{"type":"shell_call_output","output":[{"stdout":"12","stderr":"3","outcome":{"type":"exit"}}]}"#,
        3,
        0,
    );
    item(r#"{"type":"local_shell_call","action":{"type":"exec"}}"#, 15, 0);
    item(r#"{"type":"mcp_call","name":"a","arguments":"{}","output":"123","server_label":"s"}"#, 6, 0);
    item(
        r#"{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AA"}}"#,
        0,
        tokens::IMAGE,
    );
    item(r#"{"type":"image_generation_call","id":"i","result":"AAAA"}"#, 0, tokens::IMAGE);
    item(r#"{"type":"image_generation_call","id":"i","result":null}"#, 0, 0);
    item(r#"{"type":"item_reference","id":"i"}"#, 0, 0);
}

#[test]
fn every_medium_in_an_item_counts_however_it_is_given() {
    for (part, tokens) in [
        (r#"{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"low"}"#, tokens::IMAGE),
        (r#"{"file_id":"f","image_url":null,"type":"input\u005fimage"}"#, tokens::IMAGE),
        (r#"{"type":"input_file","file_data":"AAAA","filename":"a.pdf"}"#, tokens::FILE),
        (r#"{"type":"input_file","file_url":"https://example.com/a.pdf"}"#, tokens::FILE),
        (r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#, tokens::AUDIO),
    ] {
        item(&format!(r#"{{"role":"user","content":[{part}]}}"#), 0, tokens);
    }
}

/// What one block of a turn counts, the template aside.
#[track_caller]
fn block(json: &str, bytes: usize, fixed: u64) {
    let counted = count(&format!(r#"[{{"role":"user","content":[{json}]}}]"#), Shape::TURNS);
    assert_eq!(counted, (bytes, fixed + tokens::MESSAGE_OVERHEAD), "{json}");
}

#[test]
fn every_kind_of_block_of_a_turn_counts_what_the_model_reads() {
    block(r#"{"type":"text","text":"1234","cache_control":{"type":"ephemeral"}}"#, 4, 0);
    block(r#"{"type":"thinking","thinking":"123","signature":"AAAA"}"#, 3, 0);
    block(r#"{"type":"redacted_thinking","data":"AAAA"}"#, 0, 0);
    block(r#"{"type":"tool_use","id":"t","name":"ab","input":{"x":1}}"#, 2 + 7, 0);
    block(r#"{"type":"tool_result","tool_use_id":"t","content":"12345"}"#, 5, 0);
    block(
        r#"{"type":"tool_result","content":[{"type":"text","text":"12"},{"type":"image","source":{"type":"base64","data":"AAAA"}}]}"#,
        2,
        tokens::IMAGE,
    );
    block(
        r#"{"type":"search_result","source":"1234","title":"12","content":[{"type":"text","text":"3"}]}"#,
        7,
        0,
    );
    block(
        r#"{"type":"web_search_tool_result","content":[{"title":"12","encrypted_content":"345","url":"u"}]}"#,
        5,
        0,
    );
    block(
        r#"{"type":"web_fetch_tool_result","content":{"type":"web_fetch_result","url":"u","content":{"type":"document","source":{"type":"content","content":[{"type":"text","text":"12"}]}}}}"#,
        2,
        0,
    );
    block(
        r#"{"type":"code_execution_tool_result","content":{"stdout":"12","stderr":"3","return_code":0,"content":[]}}"#,
        3,
        0,
    );
    block(r#"{"type":"container_upload","file_id":"f"}"#, 0, tokens::FILE);
    block(r#"{"type":"unheard_of","unheard_of":"123"}"#, 0, 0);
}

#[test]
fn the_source_of_a_block_says_what_it_counts_wherever_its_type_stands() {
    for (source, kind, bytes, fixed) in [
        (r#"{"type":"base64","media_type":"image/png","data":"AAAA"}"#, "image", 0, tokens::IMAGE),
        (r#"{"type":"url","url":"https://example.com"}"#, "image", 0, tokens::IMAGE),
        (r#"{"type":"file","file_id":"f"}"#, "image", 0, tokens::IMAGE),
        (r#"{"type":"base64","media_type":"application/pdf","data":"AAAA"}"#, "document", 0, tokens::FILE),
        (r#"{"type":"url","url":"https://example.com"}"#, "document", 0, tokens::FILE),
        (r#"{"type":"text","media_type":"text/plain","data":"12345"}"#, "document", 5, 0),
        (r#"{"type":"content","content":"12345"}"#, "document", 5, 0),
        (r#"{"type":"content","content":[{"type":"text","text":"12"}]}"#, "document", 2, 0),
    ] {
        block(&format!(r#"{{"type":"{kind}","source":{source}}}"#), bytes, fixed);
        block(&format!(r#"{{"source":{source},"type":"{kind}"}}"#), bytes, fixed);
    }
    block(r#"{"type":"document","title":"12","context":"345","source":{"type":"text","data":"6"}}"#, 6, 0);
}

#[test]
fn what_nests_deeper_than_any_dialect_does_counts_by_its_length() {
    let nested = |times: usize| format!("{}\"ab\"{}", r#"[{"content":"#.repeat(times), "}]".repeat(times));
    let inner = |json: &str| count(json, Shape::Content(Listed::Blocks)).0;
    assert_eq!(inner(&nested(NESTED_MAX)), 2);
    assert_eq!(inner(&nested(NESTED_MAX + 3)), nested(3).len());
}

#[test]
fn what_the_model_wrote_counts_in_every_dialect() {
    let items = r#"[
        {"type":"reasoning","summary":[{"type":"summary_text","text":"1"}],"encrypted_content":"AAAA"},
        {"type":"message","content":[{"type":"output_text","text":"23"},{"type":"refusal","refusal":"4"}]},
        {"type":"function_call","name":"f","arguments":"{}"},
        {"type":"mcp_call","name":"g","arguments":"[]","output":"not the model's"}
    ]"#;
    assert_eq!(count(items, Shape::WRITTEN_ITEMS), (4 + 3 + 3, 0));
    let blocks = r#"[
        {"type":"thinking","thinking":"1","signature":"AAAA"},
        {"type":"text","text":"23"},
        {"type":"tool_use","id":"t","name":"f","input":{"a": 1}},
        {"type":"web_search_tool_result","content":[{"title":"not the model's"}]}
    ]"#;
    assert_eq!(count(blocks, Shape::WRITTEN_BLOCKS), (3 + 1 + 8, 0));
}

#[test]
fn a_delta_of_a_block_counts_what_it_adds() {
    for (delta, bytes) in [
        (r#"{"type":"text_delta","text":"12"}"#, 2),
        (r#"{"type":"input_json_delta","partial_json":"{\"a\""}"#, 4),
        (r#"{"type":"thinking_delta","thinking":"123"}"#, 3),
        (r#"{"type":"signature_delta","signature":"AAAA"}"#, 0),
        (r#"{"type":"citations_delta","citation":{"cited_text":"12"}}"#, 0),
    ] {
        assert_eq!(count(delta, Shape::BLOCK_DELTA).0, bytes, "{delta}");
    }
}
