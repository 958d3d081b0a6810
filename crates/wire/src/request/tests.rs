use bytes::Bytes;

use super::{Call, ChatSpelling, METADATA_LEN_MAX, Malformed, OutputBound, read_call};
use crate::operation::Operation;

#[track_caller]
fn read(body: &str) -> Call<'_> {
    read_as(Operation::ChatCompletions, body)
}

#[track_caller]
fn read_as(operation: Operation, body: &str) -> Call<'_> {
    read_call(operation, body.as_bytes()).unwrap()
}

#[track_caller]
fn refused(body: &str) -> Malformed {
    refused_as(Operation::ChatCompletions, body)
}

#[track_caller]
fn refused_as(operation: Operation, body: &str) -> Malformed {
    read_call(operation, body.as_bytes()).unwrap_err()
}

#[track_caller]
fn sent(body: &str, target: Option<&str>) -> String {
    sent_as(Operation::ChatCompletions, body, target)
}

#[track_caller]
fn sent_as(operation: Operation, body: &str, target: Option<&str>) -> String {
    let body = Bytes::from(body.to_owned());
    let call = read_call(operation, &body).unwrap();
    String::from_utf8(call.upstream_body(&body, target, None).concat()).unwrap()
}

mod users;

fn with(member: &str) -> String {
    format!(r#"{{"model":"a/b",{member}}}"#)
}

mod reading {
    use super::*;

    #[test]
    fn the_slug_is_read_wherever_it_stands_and_however_it_is_spelled() {
        assert_eq!(read(r#"{"messages":[{"model":"no"}],"model":"a/b"}"#).model(), "a/b");
        assert_eq!(read(" \n{\"m\\u006fdel\" :\t\"a\\/\\u0062\"} ").model(), "a/b");
    }

    #[test]
    fn a_model_that_is_missing_or_no_string_is_missing() {
        for body in
            ["{}", r#"{"model":null}"#, r#"{"model":1}"#, r#"{"model":["a"]}"#, r#"{"model":"\ud800"}"#]
        {
            assert_eq!(refused(body), Malformed::MissingModel, "{body}");
        }
    }

    #[test]
    fn stream_is_a_boolean_or_nothing() {
        assert!(read(&with(r#""stream":true"#)).stream());
        for quiet in [r#""stream":false"#, r#""stream":null"#, r#""streams":true"#] {
            assert!(!read(&with(quiet)).stream(), "{quiet}");
        }
        for odd in ["1", "\"true\"", "{}"] {
            let malformed = refused(&with(&format!(r#""stream":{odd}"#)));
            assert!(matches!(malformed, Malformed::InvalidRequest { param: "stream", .. }), "{odd}");
        }
    }

    #[test]
    fn the_largest_bound_in_any_spelling_is_declared_times_the_answers() {
        for (members, declared) in [
            (r#""x":1"#, None),
            (r#""max_tokens":null,"max_completion_tokens":0"#, None),
            (r#""n":4"#, None),
            (r#""max_tokens":7"#, Some(7)),
            (r#""max_tokens":7,"max_completion_tokens":9,"max_output_tokens":8"#, Some(9)),
            (r#""max_tokens":7,"n":3,"best_of":5"#, Some(35)),
            (r#""max_tokens":7,"n":0,"best_of":null"#, Some(7)),
            (r#""max_tokens":18446744073709551615,"n":2"#, Some(u64::MAX)),
            (r#""max_tokens":99999999999999999999999"#, Some(u64::MAX)),
        ] {
            assert_eq!(read(&with(members)).declared_output(), declared, "{members}");
        }
    }

    #[test]
    fn a_bound_counts_in_every_spelling_whatever_the_dialect() {
        use Operation::{ChatCompletions, Completions, Messages, Responses};
        for operation in [ChatCompletions, Completions, Messages, Responses] {
            for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
                let body = with(&format!(r#""{name}":70000"#));
                let call = read_call(operation, body.as_bytes()).unwrap();
                assert_eq!(call.declared_output(), Some(70_000), "{operation:?} {name}");
            }
        }
    }

    #[test]
    fn a_small_bound_that_servers_of_the_dialect_may_not_know_declares_nothing() {
        use Operation::{ChatCompletions, Completions, Messages, Responses};
        for (operation, members, declared) in [
            (ChatCompletions, r#""max_output_tokens":5"#, None),
            (ChatCompletions, r#""max_output_tokens":512"#, Some(512)),
            (ChatCompletions, r#""max_output_tokens":9,"max_tokens":5"#, Some(9)),
            (ChatCompletions, r#""max_output_tokens":9,"max_tokens":0"#, None),
            (ChatCompletions, r#""max_completion_tokens":5"#, Some(5)),
            (Completions, r#""max_completion_tokens":5"#, None),
            (Responses, r#""max_tokens":5,"max_output_tokens":null"#, None),
            (Messages, r#""max_output_tokens":5"#, None),
        ] {
            let body = with(members);
            let call = read_call(operation, body.as_bytes()).unwrap();
            assert_eq!(call.declared_output(), declared, "{operation:?} {members}");
        }
    }

    #[test]
    fn a_response_to_what_the_model_server_keeps_has_a_prompt_that_is_not_all_here() {
        for (members, elsewhere) in [
            (r#""input":"hi""#, false),
            (r#""previous_response_id":null,"conversation":null"#, false),
            (r#""previous_response_id":"resp_1""#, true),
            (r#""conversation":{"id":"conv_1"}"#, true),
            (r#""prompt":{"id":"pmpt_1"}"#, true),
        ] {
            let body = with(members);
            let call = read_call(Operation::Responses, body.as_bytes()).unwrap();
            assert_eq!(call.prompt_is_elsewhere(), elsewhere, "{members}");
        }
    }

    #[test]
    fn a_prompt_with_a_file_or_an_item_known_by_name_alone_is_not_all_here() {
        use Operation::{ChatCompletions, Messages, Responses};
        let part = |part: &str| format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#);
        let item = |part: &str| format!(r#""input":[{{"role":"user","content":[{part}]}}]"#);
        for (operation, members, elsewhere) in [
            (ChatCompletions, part(r#"{"type":"file","file":{"file_id":"file-1"}}"#), true),
            (ChatCompletions, part(r#"{"type":"file","file":{"file_id":null,"file_data":"x"}}"#), false),
            (ChatCompletions, part(r#"{"type":"image_url","image_url":{"url":"https://a/b"}}"#), false),
            (ChatCompletions, r#""messages":[{"role":"assistant","audio":{"id":"audio_1"}}]"#.into(), true),
            (ChatCompletions, r#""messages":[{"role":"assistant","audio":null}]"#.into(), false),
            (Responses, item(r#"{"type":"input_file","file_id":"file-1"}"#), true),
            (Responses, item(r#"{"file_url":"https://a/b","type":"input_file"}"#), true),
            (Responses, item(r#"{"type":"input_file","file_data":"x","filename":"y"}"#), false),
            (Responses, item(r#"{"file_id":"file-1","type":"input_image"}"#), false),
            (Responses, r#""input":[{"type":"item_reference","id":"msg_1"}]"#.into(), true),
            (Responses, r#""input":[{"id":"msg_1"}]"#.into(), true),
            (Responses, r#""input":[{"type":"function_call_output","output":"x"}]"#.into(), false),
            (Messages, part(r#"{"type":"document","source":{"type":"url","url":"https://a/b"}}"#), true),
            (Messages, part(r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#), true),
            (Messages, part(r#"{"type":"document","source":{"type":"base64","data":"x"}}"#), false),
            (Messages, part(r#"{"type":"document","source":{"type":"text","data":"x"}}"#), false),
            (Messages, part(r#"{"type":"image","source":{"type":"url","url":"https://a/b"}}"#), false),
            (Messages, part(r#"{"type":"container_upload","file_id":"file_1"}"#), true),
            (
                Messages,
                part(
                    r#"{"type":"tool_result","content":[{"type":"document","source":{"type":"url","url":"x"}}]}"#,
                ),
                true,
            ),
        ] {
            let body = with(&members);
            assert_eq!(read_as(operation, &body).prompt_is_elsewhere(), elsewhere, "{members}");
        }
    }

    #[test]
    fn a_bound_is_for_all_answers_to_all_prompts() {
        for (operation, members, answers) in [
            (Operation::ChatCompletions, r#""x":1"#, 1),
            (Operation::ChatCompletions, r#""n":3"#, 3),
            (Operation::ChatCompletions, r#""n":0"#, 1),
            (Operation::Completions, r#""n":2,"best_of":5,"prompt":["a","b"]"#, 10),
            (Operation::Responses, r#""n":3"#, 1),
            (Operation::Messages, r#""n":3"#, 1),
            (Operation::Embeddings, r#""input":["a","b"]"#, 1),
        ] {
            let body = with(members);
            assert_eq!(read_as(operation, &body).answers(), answers, "{operation:?} {members}");
        }
    }

    #[test]
    fn a_message_that_thinks_needs_more_than_it_may_think() {
        for (members, least) in [
            (r#""max_tokens":4096"#, None),
            (r#""max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024}"#, Some(1_025)),
            (r#""max_tokens":4096,"thinking":{"budget_tokens":1024,"type":"en\u0061bled"}"#, Some(1_025)),
            (r#""max_tokens":1000,"thinking":{"type":"enabled","budget_tokens":1024}"#, Some(1_000)),
            (r#""max_tokens":4096,"thinking":{"type":"disabled","budget_tokens":1024}"#, None),
            (r#""max_tokens":4096,"thinking":{"type":"adaptive"}"#, None),
            (r#""max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":"many"}"#, None),
            (r#""max_tokens":4096,"thinking":null"#, None),
        ] {
            let body = with(members);
            assert_eq!(read_as(Operation::Messages, &body).output_min(), least, "{members}");
        }
        let twice = with(r#""thinking":{"type":"enabled","budget_tokens":1,"budget_tokens":9}"#);
        assert!(matches!(refused_as(Operation::Messages, &twice), Malformed::InvalidJson(_)));
    }

    #[test]
    fn what_a_server_writes_into_the_prompt_besides_messages_counts() {
        for name in ["documents", "prediction", "chat_template", "chat_template_kwargs"] {
            let body = with(&format!(r#""{name}":"{}""#, "x".repeat(3_000)));
            assert_eq!(read(&body).prompt_tokens(), tokens::REPLY_PRIMING + 1_000, "{name}");
        }
    }

    #[test]
    fn a_bound_that_is_no_whole_number_is_refused_by_name() {
        for name in ["max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"] {
            for value in ["-1", "1.5", "1e3", "-0", "\"5\"", "true", "{}", "[]"] {
                let Malformed::InvalidRequest { param, message } =
                    refused(&with(&format!(r#""{name}":{value}"#)))
                else {
                    panic!("{name} {value}");
                };
                assert_eq!(param, name);
                assert!(message.contains(name), "{message}");
            }
        }
    }

    #[test]
    fn metadata_is_kept_raw_if_it_is_an_object_of_bearable_size() {
        assert_eq!(read(&with(r#""metadata": { "a" : 1 } "#)).metadata(), Some(r#"{ "a" : 1 }"#));
        for nothing in ["null", "1", "\"x\"", "[]"] {
            assert_eq!(read(&with(&format!(r#""metadata":{nothing}"#))).metadata(), None, "{nothing}");
        }
        let sized = |len: usize| with(&format!(r#""metadata":{{"a":"{}"}}"#, "x".repeat(len - 8)));
        assert_eq!(read(&sized(METADATA_LEN_MAX)).metadata().map(str::len), Some(METADATA_LEN_MAX));
        assert_eq!(read(&sized(METADATA_LEN_MAX + 1)).metadata(), None);
        for unreadable in [r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#, r#"{"a":1,"a":2}"#] {
            assert_eq!(read(&with(&format!(r#""metadata":{unreadable}"#))).metadata(), None, "{unreadable}");
        }
    }

    #[test]
    fn the_prompt_is_its_messages_and_what_else_the_model_is_shown() {
        let overhead = tokens::REPLY_PRIMING + tokens::MESSAGE_OVERHEAD;
        let messages = r#""messages":[{"role":"user","content":"123456"}]"#;
        assert_eq!(read(&with(messages)).prompt_tokens(), overhead + 2);
        let shown =
            format!(r#"{messages},"tools":[{{}},1],"functions":[],"response_format":{{}},"user":"123""#);
        assert_eq!(read(&with(&shown)).prompt_tokens(), overhead + tokens::text(6 + 6 + 2 + 2));
        assert_eq!(read(&with(r#""tools":null"#)).prompt_tokens(), tokens::REPLY_PRIMING);
    }

    #[test]
    fn fields_that_are_not_needed_may_hold_anything() {
        let body = with(r#""messages":17,"temperature":"hot","user":[],"tool_choice":{"a":[null]}"#);
        assert_eq!(read(&body).model(), "a/b");
    }
}

mod refusing {
    use super::*;

    #[test]
    fn a_repeated_key_that_is_read_is_refused_by_name() {
        for (body, key) in [
            (r#"{"model":"a","model":"b"}"#, "`model`"),
            (r#"{"model":"a","mod\u0065l":"a"}"#, "`model`"),
            (r#"{"model":"a","n":1,"n":1}"#, "`n`"),
            (r#"{"model":"a","messages":[],"messages":[]}"#, "`messages`"),
            (
                r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
                "`stream_options.include_usage`",
            ),
        ] {
            let Malformed::InvalidJson(sentence) = refused(body) else { panic!("{body}") };
            assert!(sentence.contains(key), "{sentence}");
        }
        assert_eq!(read(r#"{"model":"a","seed":1,"seed":2}"#).model(), "a");
    }

    #[test]
    fn a_key_that_is_read_is_refused_in_other_letters_in_every_operation() {
        for operation in Operation::ALL {
            for key in ["MODEL", "Model", "mod\\u0045l"] {
                let body = format!(r#"{{"model":"a","{key}":"b"}}"#);
                let Err(Malformed::InvalidJson(sentence)) = read_call(operation, body.as_bytes()) else {
                    panic!("{operation:?} {body}")
                };
                assert!(sentence.contains("`model`"), "{sentence}");
            }
        }
        for body in [
            r#"{"model":"a","\u017ftream":true}"#,
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true,"Include_usage":false}}"#,
        ] {
            assert!(matches!(refused(body), Malformed::InvalidJson(_)), "{body}");
        }
        assert_eq!(read(r#"{"model":"a","Seed":1,"extra":{"Model":"b"}}"#).model(), "a");
    }

    #[test]
    fn what_is_no_json_object_is_refused_and_the_place_is_told() {
        for body in [
            "",
            " ",
            "[]",
            "\"a\"",
            "1",
            "nope",
            "{",
            "{\"model\":\"a\"} x",
            "{\"model\":\"a\",}",
            "\u{feff}{}",
        ] {
            assert!(matches!(refused(body), Malformed::InvalidJson(_)), "{body}");
        }
        assert!(refused("{\"model\":\n!").to_string().contains("line 2 column 1"));
        let not_text = read_call(Operation::ChatCompletions, b"{\"model\":\"\xff\"}").unwrap_err();
        assert!(not_text.to_string().contains("UTF-8"), "{not_text}");
    }

    #[test]
    fn a_body_that_nests_too_deep_is_refused() {
        let deep = |depth: usize| with(&format!(r#""x":{}{}"#, "[".repeat(depth - 1), "]".repeat(depth - 1)));
        assert_eq!(read(&deep(128)).model(), "a/b");
        assert!(refused(&deep(129)).to_string().contains("128"));
    }

    #[test]
    fn no_sentence_and_no_debug_text_quotes_the_prompt() {
        for body in [
            r#""my secret prompt""#,
            r#"{"model":["my secret prompt"],"messages":[]}"#,
            r#"{"model":"a","stream":"my secret prompt"}"#,
            r#"{"model":"a","max_tokens":"my secret prompt"}"#,
            r#"{"model":"a","messages":[{"content":"my secret prompt"}"#,
            r#"{"my secret prompt" 1}"#,
            r#"{"model":"a","messages":[{"content":"my secret prompt"}],"x":\}"#,
            r#"{"model":"a","my secret prompt\q":1}"#,
        ] {
            let malformed = refused(body);
            assert!(!format!("{malformed} {malformed:?}").contains("secret"), "{malformed:?}");
        }
        let call =
            read(r#"{"model":"a","messages":[{"content":"my secret prompt"}],"metadata":{"k":"secret"}}"#);
        assert!(!format!("{call:?}").contains("secret"), "{call:?}");
    }
}

mod sending {
    use super::*;

    #[test]
    fn the_model_is_replaced_in_its_place_and_nothing_else_is_touched() {
        let body = "{ \"x\": 1e400,\n \"model\" : \"a\\/b\" , \"y\":\"\\ud800\" }";
        assert_eq!(sent(body, Some("in\"ner")), body.replace(r#""a\/b""#, r#""in\"ner""#));
    }

    #[test]
    fn a_body_that_needs_no_change_is_not_copied() {
        let asks = r#""stream":true,"stream_options":{"include_usage":true}"#;
        for body in
            [with(r#""stream":false"#), with(asks), with(r#""stream_options":{"include_usage":false}"#)]
        {
            let body = Bytes::from(body);
            let call = read_call(Operation::ChatCompletions, &body).unwrap();
            assert_eq!(call.upstream_body(&body, None, None)[0].as_ptr(), body.as_ptr());
            assert_eq!(call.upstream_body(&body, Some("a/b"), None)[0].as_ptr(), body.as_ptr());
        }
    }

    #[test]
    fn a_stream_always_asks_for_its_usage() {
        let opening = r#"{"stream_options":{"include_usage":true},"model":"a/b","stream":true}"#;
        assert_eq!(sent(&with(r#""stream":true"#), None), opening);
        for (options, asking) in [
            ("null", r#"{"include_usage":true}"#),
            ("{}", r#"{"include_usage":true}"#),
            ("{ }", r#"{"include_usage":true }"#),
            (r#"{"x":1}"#, r#"{"include_usage":true,"x":1}"#),
            (r#"{"x":1,"include_usage":false}"#, r#"{"x":1,"include_usage":true}"#),
            (r#"{"include_usage" : null }"#, r#"{"include_usage" : true }"#),
            (r#"{"include_usage":true}"#, r#"{"include_usage":true}"#),
            (r#""odd""#, r#""odd""#),
            ("[]", "[]"),
        ] {
            let body = |options: &str| with(&format!(r#""stream":true,"stream_options":{options}"#));
            assert_eq!(sent(&body(options), None), body(asking), "{options}");
        }
    }

    #[test]
    fn both_changes_are_made_in_either_order() {
        let before = r#"{"stream_options":{"include_usage":false},"stream":true,"model":"a"}"#;
        let after = r#"{"stream_options":{"include_usage":true},"stream":true,"model":"b"}"#;
        assert_eq!(sent(before, Some("b")), after);
        let before = r#"{"model":"a","stream":true,"stream_options":null}"#;
        let after = r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#;
        assert_eq!(sent(before, Some("b")), after);
        assert_eq!(
            sent(" {\"model\":\"a\",\"stream\":true}", Some("b")),
            " {\"stream_options\":{\"include_usage\":true},\"model\":\"b\",\"stream\":true}"
        );
    }

    /// What goes upstream with a bound.
    fn bounded(operation: Operation, members: &str, tokens: u64, in_chat: ChatSpelling) -> String {
        let body = Bytes::from(format!(r#"{{"model":"m",{members}}}"#));
        let call = read_call(operation, &body).unwrap();
        let sent = call.upstream_body(&body, None, Some(OutputBound { tokens, in_chat })).concat();
        let sent = String::from_utf8(sent).unwrap();
        read_call(operation, sent.as_bytes()).expect("what was read once can be read again");
        sent
    }

    #[test]
    fn a_bound_takes_the_place_of_larger_ones_and_of_none_in_every_spelling() {
        for (members, expected) in [
            (r#""max_tokens":101"#, r#""max_tokens":100"#),
            (r#""max_tokens": 100 "#, r#""max_tokens": 100 "#),
            (r#""max_tokens":99,"x":{"max_tokens":500}"#, r#""max_tokens":99,"x":{"max_tokens":500}"#),
            (r#""max_tokens":0"#, r#""max_tokens":100"#),
            (r#""max_t\u006fkens":99999999999999999999999"#, r#""max_t\u006fkens":100"#),
            (
                r#""max_tokens":7,"max_completion_tokens":500,"max_output_tokens":500"#,
                r#""max_tokens":7,"max_completion_tokens":100,"max_output_tokens":100"#,
            ),
            // A null is as good as nothing, and OpenAI refuses two numbers.
            (
                r#""max_tokens":null,"max_completion_tokens":500"#,
                r#""max_tokens":null,"max_completion_tokens":100"#,
            ),
            (r#""n":3,"max_tokens":500"#, r#""n":3,"max_tokens":33"#),
            (r#""n":101,"max_tokens":500"#, r#""n":101,"max_tokens":1"#),
        ] {
            let sent = bounded(Operation::ChatCompletions, members, 100, ChatSpelling::MaxTokens);
            assert_eq!(sent, format!(r#"{{"model":"m",{expected}}}"#), "{members}");
        }
    }

    #[test]
    fn a_bound_is_added_in_the_words_of_the_dialect_where_there_is_none() {
        use Operation::{ChatCompletions, Completions, Messages, Responses};
        let sent = |operation, members| bounded(operation, members, 100, ChatSpelling::MaxTokens);
        assert_eq!(sent(ChatCompletions, r#""x":1"#), r#"{"max_tokens":100,"model":"m","x":1}"#);
        assert_eq!(
            sent(Completions, r#""prompt":["a","b"]"#),
            r#"{"max_tokens":50,"model":"m","prompt":["a","b"]}"#
        );
        assert_eq!(sent(Responses, r#""x":1"#), r#"{"max_output_tokens":100,"model":"m","x":1}"#);
        assert_eq!(sent(Messages, r#""x":1"#), r#"{"max_tokens":100,"model":"m","x":1}"#);
        assert_eq!(sent(Messages, r#""max_tokens":null"#), r#"{"model":"m","max_tokens":100}"#);
        let openai = |members| bounded(ChatCompletions, members, 100, ChatSpelling::MaxCompletionTokens);
        assert_eq!(openai(r#""x":1"#), r#"{"max_completion_tokens":100,"model":"m","x":1}"#);
        assert_eq!(openai(r#""max_tokens":9"#), r#"{"model":"m","max_tokens":9}"#);
        assert_eq!(openai(r#""max_tokens":0"#), r#"{"model":"m","max_tokens":100}"#);
        assert_eq!(
            openai(r#""max_tokens":null"#),
            r#"{"max_completion_tokens":100,"model":"m","max_tokens":null}"#
        );
        assert_eq!(openai(r#""max_completion_tokens":null"#), r#"{"model":"m","max_completion_tokens":100}"#);
    }

    #[test]
    fn a_bound_that_the_dialect_does_not_know_is_none_to_rely_on() {
        let sent =
            bounded(Operation::ChatCompletions, r#""max_output_tokens":9"#, 100, ChatSpelling::MaxTokens);
        assert_eq!(sent, r#"{"max_tokens":100,"model":"m","max_output_tokens":9}"#);
        let sent = bounded(Operation::Responses, r#""max_tokens":900"#, 100, ChatSpelling::MaxTokens);
        assert_eq!(sent, r#"{"max_output_tokens":100,"model":"m","max_tokens":100}"#);
    }

    #[test]
    fn a_bound_goes_with_the_other_changes_and_into_nothing_that_writes_nothing() {
        let body = Bytes::from_static(br#"{"model":"a","stream":true,"max_tokens":9}"#);
        let call = read_call(Operation::ChatCompletions, &body).unwrap();
        let bound = OutputBound { tokens: 5, in_chat: ChatSpelling::MaxTokens };
        let sent = call.upstream_body(&body, Some("b"), Some(bound)).concat();
        let expected =
            r#"{"stream_options":{"include_usage":true},"model":"b","stream":true,"max_tokens":5}"#;
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
        let members = r#""stream":true"#;
        let sent = bounded(Operation::ChatCompletions, members, 5, ChatSpelling::MaxTokens);
        let expected =
            r#"{"stream_options":{"include_usage":true},"max_tokens":5,"model":"m","stream":true}"#;
        assert_eq!(sent, expected);
        for operation in [Operation::Embeddings, Operation::CountTokens] {
            let sent = bounded(operation, r#""max_tokens":900"#, 5, ChatSpelling::MaxTokens);
            assert_eq!(sent, r#"{"model":"m","max_tokens":900}"#);
        }
    }

    #[test]
    fn only_a_caller_who_asked_wants_usage() {
        assert!(read(&with(r#""stream_options":{"include_usage":true}"#)).wants_usage());
        for options in ["null", "{}", r#"{"include_usage":false}"#, "7"] {
            assert!(!read(&with(&format!(r#""stream_options":{options}"#))).wants_usage(), "{options}");
        }
    }
}
