use serde_json::value::RawValue;

use super::{Tally, unescaped_len};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn messages(json: &str) -> (usize, u64) {
    let mut tally = Tally::default();
    tally.add_messages(&raw(json));
    (tally.bytes, tally.fixed)
}

fn choices(json: &str) -> usize {
    let mut tally = Tally::default();
    tally.add_choices(&raw(json));
    assert_eq!(tally.fixed, 0);
    tally.bytes
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

#[test]
fn escapes_count_as_what_they_stand_for() {
    for text in ["", "plain", "a\"b\\c\n\t/", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}", "\u{1f600}x", "\\u0041"] {
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(unescaped_len(&json[1..json.len() - 1]), text.len(), "{text:?}");
        let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        assert_eq!(unescaped_len(&ascii), text.len(), "{text:?}");
    }
}
