//! Streams that are cut in the middle, in the manner of several model servers: what their callers get for an end.
//! Each comes in two pieces, cut at hundreds of places, and byte for byte, with half of the next event behind it.

#![cfg(test)]

use std::fmt::Write;

use bytes::Bytes;
use domain::{Usage, UsageSource};
use wire::{AnswerStream, Cut, Operation, UsageChunk};

const CUT: Cut<'static> = Cut {
    usage: Usage { input: 30, output: 12, cached: 5, cache_written: 4, source: UsageSource::Estimated },
    request_id: "0192-7",
    unix_s: 1_790_000_000,
};

/// A stream of which so many events come before it is cut.
struct Case {
    operation: Operation,
    upstream: &'static str,
    events: usize,
    usage_chunk: UsageChunk,
}

macro_rules! case {
    ($operation:ident, $name:literal, $events:expr, $usage_chunk:ident) => {
        Case {
            operation: Operation::$operation,
            upstream: include_str!(concat!("golden/", $name, ".sse")),
            events: $events,
            usage_chunk: UsageChunk::$usage_chunk,
        }
    };
}

impl Case {
    /// What comes before the cut, and half of the event after it.
    fn upstream(&self) -> (&'static str, &'static str) {
        let ends: Vec<usize> = self.upstream.match_indices("\n\n").map(|(at, _)| at + 2).collect();
        let end = if self.events == 0 { 0 } else { ends[self.events - 1] };
        let next = ends.get(self.events).map_or(end, |next| end + (next - end) / 2);
        let next = (end..=next).rev().find(|at| self.upstream.is_char_boundary(*at)).unwrap();
        (&self.upstream[..end], &self.upstream[end..next])
    }

    /// What the cut says.
    fn cut(&self, pieces: &[&[u8]]) -> String {
        let mut stream = AnswerStream::new(self.operation, "acme/chat", self.usage_chunk).cuttable();
        for piece in pieces {
            stream.feed(&Bytes::copy_from_slice(piece)).unwrap();
        }
        let end = stream.cut(&CUT);
        assert!(stream.done());
        assert_eq!(stream.cut(&CUT), "", "a stream is cut once");
        assert_eq!(stream.feed(&Bytes::from_static(b"data: [DONE]\n\n")).unwrap(), "");
        assert_eq!(stream.finish(), "");
        String::from_utf8(end.to_vec()).unwrap()
    }

    #[track_caller]
    fn ends_in(&self, expected: &str) {
        let (whole, half) = self.upstream();
        assert_eq!(self.cut(&[whole.as_bytes()]), expected);
        let all = [whole, half].concat();
        for at in (0..=all.len()).step_by(all.len() / 400 + 1) {
            let (head, tail) = all.as_bytes().split_at(at);
            assert_eq!(self.cut(&[head, tail]), expected, "in two at {at}");
        }
        let bytes: Vec<&[u8]> = all.as_bytes().chunks(1).collect();
        assert_eq!(self.cut(&bytes), expected, "byte for byte");
    }
}

/// Events with their names, as Anthropic's dialect and responses have them: the name is the type.
fn named(events: &[&str]) -> String {
    events.iter().fold(String::new(), |mut out, json| {
        let kind = json.strip_prefix(r#"{"type":""#).unwrap().split('"').next().unwrap();
        write!(out, "event: {kind}\ndata: {json}\n\n").unwrap();
        out
    })
}

fn nameless(events: &[&str]) -> String {
    events.iter().fold(String::new(), |out, json| out + "data: " + json + "\n\n")
}

mod choices {
    use super::*;

    const HEAD: &str =
        r#""id":"chatcmpl-BxQ1","object":"chat.completion.chunk","created":1741569952,"model":"acme/chat""#;
    const USAGE: &str = r#""usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":5}}"#;

    #[test]
    fn a_chat_ends_by_length_and_without_usage_for_those_who_did_not_ask() {
        let choice = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}"#;
        let end = nameless(&[&format!(r#"{{{HEAD},"choices":[{choice}]}}"#), "[DONE]"]);
        case!(ChatCompletions, "openai.upstream", 3, Withhold).ends_in(&end);
    }

    #[test]
    fn a_chat_tells_its_usage_to_those_who_asked() {
        let choice = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}"#;
        let end = nameless(&[
            &format!(r#"{{{HEAD},"choices":[{choice}],"usage":null}}"#),
            &format!(r#"{{{HEAD},"choices":[],{USAGE}}}"#),
            "[DONE]",
        ]);
        case!(ChatCompletions, "openai_asked.upstream", 3, Forward).ends_in(&end);
    }

    #[test]
    fn a_chat_that_has_finished_and_told_its_usage_lacks_only_its_last_word() {
        case!(ChatCompletions, "openai_asked.upstream", 7, Forward).ends_in("data: [DONE]\n\n");
        case!(ChatCompletions, "openai_asked.upstream", 8, Forward).ends_in("");
    }

    #[test]
    fn every_choice_that_has_not_finished_ends() {
        let head = HEAD.replace("BxQ1", "BxQ2");
        let end = |index| {
            let choice = r#""delta":{},"logprobs":null,"finish_reason":"length""#;
            format!(r#"{{{head},"choices":[{{"index":{index},{choice}}}]}}"#)
        };
        let end = nameless(&[&end(0), &end(2), "[DONE]"]);
        case!(ChatCompletions, "cut/chat_three", 4, Withhold).ends_in(&end);
    }

    #[test]
    fn half_a_tool_call_ends_by_length() {
        let end = nameless(&[
            r#"{"id":"chatcmpl-T","object":"chat.completion.chunk","created":1790000000,"model":"acme/chat","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}"#,
            "[DONE]",
        ]);
        case!(ChatCompletions, "tool_calls.upstream", 2, Withhold).ends_in(&end);
    }

    #[test]
    fn reasoning_ends_by_length() {
        let end = nameless(&[
            r#"{"id":"chatcmpl-8f2a","object":"chat.completion.chunk","created":1757000000,"model":"acme/chat","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}"#,
            "[DONE]",
        ]);
        case!(ChatCompletions, "vllm.upstream", 2, Withhold).ends_in(&end);
    }

    #[test]
    fn a_chat_that_has_not_begun_has_one_empty_choice() {
        let end = nameless(&[
            r#"{"id":"chatcmpl-0192-7","object":"chat.completion.chunk","created":1790000000,"model":"acme/chat","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"length"}]}"#,
            "[DONE]",
        ]);
        case!(ChatCompletions, "openai.upstream", 0, Withhold).ends_in(&end);
    }

    #[test]
    fn completions_end_by_length() {
        let head = r#""id":"cmpl-7iA7iJjj8V2zOkCGvWF2hAkDWBQZe","object":"text_completion","created":1690759702,"model":"acme/chat""#;
        let choice = r#"{"index":0,"text":"","logprobs":null,"finish_reason":"length"}"#;
        let end = nameless(&[&format!(r#"{{{head},"choices":[{choice}]}}"#), "[DONE]"]);
        case!(Completions, "completions.upstream", 1, Withhold).ends_in(&end);
        let end = nameless(&[&format!(r#"{{{head},"choices":[],{USAGE}}}"#), "[DONE]"]);
        case!(Completions, "completions_asked.upstream", 3, Forward).ends_in(&end);
    }
}

mod messages {
    use super::*;

    const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":12}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn block_stop(index: u32) -> String {
        format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
    }

    #[test]
    fn a_text_is_stopped_and_the_message_with_it() {
        let end = named(&[&block_stop(0), DELTA, STOP]);
        case!(Messages, "messages_text.upstream", 4, Withhold).ends_in(&end);
    }

    #[test]
    fn half_a_tool_use_is_stopped() {
        let end = named(&[&block_stop(1), DELTA, STOP]);
        case!(Messages, "messages_tool.upstream", 7, Withhold).ends_in(&end);
    }

    #[test]
    fn half_a_thinking_is_stopped() {
        let end = named(&[&block_stop(0), DELTA, STOP]);
        case!(Messages, "messages_thinking.upstream", 3, Withhold).ends_in(&end);
    }

    #[test]
    fn between_two_blocks_there_is_none_to_stop() {
        let end = named(&[DELTA, STOP]);
        case!(Messages, "messages_thinking.upstream", 6, Withhold).ends_in(&end);
        case!(Messages, "messages_text.upstream", 1, Withhold).ends_in(&end);
    }

    #[test]
    fn a_message_that_has_told_why_it_ended_only_stops() {
        case!(Messages, "messages_text.upstream", 8, Withhold).ends_in(&named(&[STOP]));
        case!(Messages, "messages_text.upstream", 9, Withhold).ends_in("");
    }

    #[test]
    fn a_message_that_has_not_begun_is_begun_and_ended() {
        let start = r#"{"type":"message_start","message":{"id":"msg_0192-7","type":"message","role":"assistant","model":"acme/chat","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":21,"cache_creation_input_tokens":4,"cache_read_input_tokens":5,"output_tokens":0}}}"#;
        let end = named(&[start, DELTA, STOP]);
        case!(Messages, "messages_text.upstream", 0, Withhold).ends_in(&end);
    }
}

mod responses {
    use super::*;

    const USAGE: &str = r#"{"input_tokens":30,"input_tokens_details":{"cached_tokens":5},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":42}"#;

    /// The last event: the response as its first event told it, but for what the end changes.
    fn incomplete(upstream: &str, output: &str, number: u32) -> String {
        let created = upstream.split("\n\n").next().unwrap().split_once("data: ").unwrap().1;
        let response = created.split_once(r#""response":"#).unwrap().1;
        let response = response.rsplit_once(r#","sequence_number""#).unwrap().0;
        let reason = r#""incomplete_details":{"reason":"max_output_tokens"}"#;
        let response = response
            .replace(r#""status":"in_progress""#, r#""status":"incomplete""#)
            .replace(r#""incomplete_details":null"#, reason)
            .replace(r#""model":"inner"#, r#""model":"acme/chat"#)
            .replace("acme/chat-2025-04-14", "acme/chat")
            .replace(r#""output":[]"#, &format!(r#""output":[{output}]"#))
            .replace(r#""usage":null"#, &format!(r#""usage":{USAGE}"#));
        format!(r#"{{"type":"response.incomplete","response":{response},"sequence_number":{number}}}"#)
    }

    /// The event that a text, a part or an item is done: its type, its members, its number.
    fn done(kind: &str, members: &str, number: u32) -> String {
        format!(r#"{{"type":"response.{kind}.done",{members},"sequence_number":{number}}}"#)
    }

    fn item_done(index: u32, item: &str, number: u32) -> String {
        done("output_item", &format!(r#""output_index":{index},"item":{item}"#), number)
    }

    #[test]
    fn half_a_text_is_finished_with_what_there_is() {
        let case = case!(Responses, "responses_text.upstream", 10, Withhold);
        let part = r#"{"type":"output_text","text":"Grüß dich! ","annotations":[],"logprobs":[]}"#;
        let item = format!(
            r#"{{"id":"msg_67c9","type":"message","status":"incomplete","role":"assistant","content":[{part}]}}"#
        );
        let reasoning =
            r#"{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Greet."}]}"#;
        let place = r#""item_id":"msg_67c9","output_index":1,"content_index":0"#;
        case.ends_in(&named(&[
            &done("output_text", &format!(r#"{place},"text":"Grüß dich! ","logprobs":[]"#), 10),
            &done("content_part", &format!(r#"{place},"part":{part}"#), 11),
            &item_done(1, &item, 12),
            &incomplete(case.upstream, &format!("{reasoning},{item}"), 13),
        ]));
    }

    #[test]
    fn half_a_summary_of_reasoning_is_finished() {
        let case = case!(Responses, "responses_text.upstream", 5, Withhold);
        let part = r#"{"type":"summary_text","text":"Greet."}"#;
        let item = format!(r#"{{"id":"rs_1","type":"reasoning","summary":[{part}]}}"#);
        let place = r#""item_id":"rs_1","output_index":0,"summary_index":0"#;
        let end = named(&[
            &done("reasoning_summary_part", &format!(r#"{place},"part":{part}"#), 6),
            &item_done(0, &item, 7),
            &incomplete(case.upstream, &item, 8),
        ]);
        let text = done("reasoning_summary_text", &format!(r#"{place},"text":"Greet.""#), 5);
        case.ends_in(&(named(&[&text]) + &end));
        // Here the text was whole already.
        case!(Responses, "responses_text.upstream", 6, Withhold).ends_in(&end);
    }

    #[test]
    fn half_the_arguments_of_a_call_are_finished() {
        let case = case!(Responses, "responses_call.upstream", 3, Withhold);
        let item = r#"{"id":"fc_1","type":"function_call","status":"incomplete","arguments":"{\"city\":","call_id":"call_1","name":"get_weather"}"#;
        let arguments = r#""item_id":"fc_1","output_index":0,"arguments":"{\"city\":","name":"get_weather""#;
        case.ends_in(&named(&[
            &done("function_call_arguments", arguments, 3),
            &item_done(0, item, 4),
            &incomplete(case.upstream, item, 5),
        ]));
    }

    #[test]
    fn what_is_finished_stays_as_it_was_told_and_a_refusal_is_finished() {
        let case = case!(Responses, "cut/responses_search", 10, Withhold);
        let text = r#"{"type":"output_text","text":"One \"and\" tw\u00f6","annotations":[],"logprobs":[]}"#;
        let refusal = r#"{"type":"refusal","refusal":"I can"}"#;
        let item = format!(
            r#"{{"id":"msg_1","type":"message","status":"incomplete","role":"assistant","content":[{text},{refusal}]}}"#
        );
        let search = r#"{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"Zürich"}}"#;
        let place = r#""item_id":"msg_1","output_index":1,"content_index":1"#;
        case.ends_in(&named(&[
            &done("refusal", &format!(r#"{place},"refusal":"I can""#), 10),
            &done("content_part", &format!(r#"{place},"part":{refusal}"#), 11),
            &item_done(1, &item, 12),
            &incomplete(case.upstream, &format!("{search},{item}"), 13),
        ]));
    }

    #[test]
    fn an_item_without_any_text_is_finished_too() {
        let case = case!(Responses, "cut/responses_search", 2, Withhold);
        let item = r#"{"id":"ws_1","type":"web_search_call","status":"incomplete"}"#;
        case.ends_in(&named(&[&item_done(0, item, 2), &incomplete(case.upstream, item, 3)]));
    }

    #[test]
    fn a_response_that_has_not_begun_is_begun_and_ended() {
        let whole = |status, details, usage| {
            format!(
                r#"{{"id":"resp_0192-7","object":"response","created_at":1790000000,"status":"{status}","error":null,"incomplete_details":{details},"instructions":null,"metadata":{{}},"model":"acme/chat","output":[],"parallel_tool_calls":true,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"usage":{usage}}}"#
            )
        };
        let begun = whole("in_progress", "null", "null");
        let ended = whole("incomplete", r#"{"reason":"max_output_tokens"}"#, USAGE);
        case!(Responses, "responses_text.upstream", 0, Withhold).ends_in(&named(&[
            &format!(r#"{{"type":"response.created","response":{begun},"sequence_number":0}}"#),
            &format!(r#"{{"type":"response.incomplete","response":{ended},"sequence_number":1}}"#),
        ]));
    }

    #[test]
    fn a_response_that_has_ended_is_not_ended_again() {
        case!(Responses, "responses_text.upstream", 15, Withhold).ends_in("");
        case!(Responses, "responses_failed.upstream", 3, Withhold).ends_in("");
    }
}
