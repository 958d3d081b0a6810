use bytes::Bytes;
use domain::{Usage, UsageSource};

use super::{
    AnswerStream, Cut, EVENT_LEN_MAX, EventTooLong, RESPONSE_EVENT_LEN_MAX, ROOM_KEPT_MAX, UsageChunk,
};
use crate::operation::Operation;

fn stream() -> AnswerStream {
    AnswerStream::new(Operation::ChatCompletions, "acme/chat", UsageChunk::Withhold)
}

#[track_caller]
fn feed(stream: &mut AnswerStream, piece: &str) -> String {
    String::from_utf8(stream.feed(&Bytes::from(piece.to_owned())).unwrap().to_vec()).unwrap()
}

fn finish(stream: &mut AnswerStream) -> String {
    String::from_utf8(stream.finish().to_vec()).unwrap()
}

const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";

#[test]
fn an_event_goes_on_when_its_end_has_come() {
    let mut stream = stream();
    assert_eq!(feed(&mut stream, "data: {\"model\":\"in"), "");
    assert_eq!(feed(&mut stream, "ner\"}\n"), "");
    assert_eq!(feed(&mut stream, "\ndata: "), "data: {\"model\":\"acme/chat\"}\n\n");
}

#[test]
fn a_keep_alive_goes_on_at_once_with_or_without_an_empty_line() {
    let mut stream = stream();
    assert_eq!(feed(&mut stream, ": ping\n"), ": ping\n");
    assert_eq!(feed(&mut stream, ": ping\n\n"), ": ping\n\n");
}

#[test]
fn a_piece_that_needs_no_change_is_not_copied() {
    let mut stream = stream();
    let piece = Bytes::from("data: {\"model\":\"acme/chat\"}\n\n: ping\n\ndata: [DONE]\n\n");
    assert_eq!(stream.feed(&piece).unwrap().as_ptr(), piece.as_ptr());
    let piece = Bytes::from("data: {\"model\":\"acme/chat\"}\n\ndata: {\"mod");
    let out = stream.feed(&piece).unwrap();
    assert_eq!((out.as_ptr(), out.len()), (piece.as_ptr(), 29));
}

#[test]
fn what_is_withheld_leaves_no_copy_behind() {
    let piece = Bytes::from(format!("data: {{}}\n\n{USAGE}"));
    let out = stream().feed(&piece).unwrap();
    assert_eq!((out.as_ptr(), out.len()), (piece.as_ptr(), 10));
    let piece = Bytes::from(format!("{USAGE}data: {{}}\n\n"));
    assert_eq!(stream().feed(&piece).unwrap(), "data: {}\n\n");
}

#[test]
fn the_usage_chunk_is_withheld_from_those_who_did_not_ask() {
    let mut asked = AnswerStream::new(Operation::ChatCompletions, "acme/chat", UsageChunk::Forward);
    assert_eq!(feed(&mut asked, USAGE), USAGE);
    let mut silent = stream();
    assert_eq!(feed(&mut silent, USAGE), "");
    for stream in [asked, silent] {
        assert_eq!(stream.usage().map(|usage| (usage.input, usage.output)), Some((3, 4)));
    }
}

#[test]
fn the_late_line_feed_of_a_withheld_chunk_is_withheld_too() {
    let mut stream = stream();
    let usage = USAGE.replace('\n', "\r\n");
    assert_eq!(feed(&mut stream, usage.strip_suffix('\n').unwrap()), "");
    assert_eq!(feed(&mut stream, "\n"), "");
    assert_eq!(feed(&mut stream, "data: [DONE]\r\n\r"), "data: [DONE]\r\n\r");
    assert_eq!(feed(&mut stream, "\n"), "\n");
}

#[test]
fn only_a_chunk_of_nothing_but_usage_is_withheld() {
    for event in [
        "data: {\"choices\":[],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: {\"choices\":[],\"usage\":{},\"error\":{}}\n\n",
    ] {
        assert_eq!(feed(&mut stream(), event), event);
    }
}

#[test]
fn the_last_usage_wins_and_null_says_nothing() {
    let mut stream = stream();
    feed(&mut stream, "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n");
    feed(&mut stream, "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n");
    feed(&mut stream, "data: {\"choices\":[{}],\"usage\":null}\n\n");
    assert_eq!(stream.usage().map(|usage| usage.output), Some(2));
    feed(
        &mut stream,
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1e99}}\n\n",
    );
    assert_eq!(stream.usage(), None);
}

#[test]
fn what_is_not_json_passes_unchanged() {
    for event in [
        "data: hello\n\n",
        "data: {\"model\":\"x\"\n\n",
        "data: [1]\n\n",
        "data:\n\n",
        "id: 4\n\n",
        "retry: 10\nevent: x\n\n",
        "nonsense\n\n",
    ] {
        let mut stream = stream();
        assert_eq!(feed(&mut stream, event), event);
        assert!(!stream.done() && !stream.failed() && stream.usage().is_none());
    }
    let bytes = Bytes::from_static(b"data: {\"model\":\"\xff\"}\n\n");
    assert_eq!(stream().feed(&bytes).unwrap(), bytes);
}

#[test]
fn the_model_is_renamed_in_data_of_several_lines() {
    let before = "event: chunk\ndata: {\"id\":1,\ndata:\"model\": \"inner\",\nid: 3\ndata: \"x\":2}\n\n";
    assert_eq!(feed(&mut stream(), before), before.replace("inner", "acme/chat"));
}

#[test]
fn a_byte_order_mark_is_kept_and_seen_through() {
    let before = "\u{feff}data: {\"model\":\"inner\"}\n\n";
    assert_eq!(feed(&mut stream(), before), before.replace("inner", "acme/chat"));
}

#[test]
fn the_end_and_errors_are_noticed() {
    let mut ended = stream();
    feed(&mut ended, "data:[DONE]\n\n");
    assert!(ended.done() && !ended.failed());
    let mut failed = stream();
    feed(&mut failed, "data: {\"error\":null}\n\n");
    assert!(!failed.failed());
    let event = "event: error\ndata: {\"error\":{\"message\":\"out of memory\"}}\n\n";
    assert_eq!(feed(&mut failed, event), event);
    assert!(failed.failed() && !failed.done());
}

#[test]
fn what_the_model_wrote_is_guessed_from_all_deltas_together() {
    let mut stream = stream();
    for text in ["a", "b", "c", "d"] {
        feed(&mut stream, &format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"));
    }
    assert_eq!(stream.output_guess(), tokens::text(4));
}

#[test]
fn what_is_held_for_a_stream_is_the_most_that_it_can_have_written() {
    let mut stream = stream();
    for text in ["a", "b", "", "c", "d"] {
        feed(&mut stream, &format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"));
    }
    assert_eq!((stream.output_guess(), stream.written_at_most()), (tokens::text(4), 5));
    assert_eq!(stream.written_at_least(), 5, "what is empty may be half a character");
    let thought = "x".repeat(300);
    feed(&mut stream, &format!("data: {{\"choices\":[{{\"delta\":{{\"reasoning\":\"{thought}\"}}}}]}}\n\n"));
    assert_eq!((stream.written_at_most(), stream.written_at_least()), (tokens::text(304), 8));
    feed(
        &mut stream,
        "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":200}}\n\n",
    );
    assert_eq!((stream.written_at_most(), stream.written_at_least()), (200, 200));
}

#[test]
fn events_in_which_models_write_count_though_their_text_is_not_seen() {
    for (operation, event) in [
        (Operation::ChatCompletions, r#"{"choices":[{"delta":{"thoughts":"hm"}}]}"#),
        (Operation::Responses, r#"{"type":"response.audio.delta","delta":"UklGRg=="}"#),
        (
            Operation::Messages,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"new","new":"hm"}}"#,
        ),
    ] {
        let mut stream = AnswerStream::new(operation, "m", UsageChunk::Forward);
        for _ in 0..3 {
            feed(&mut stream, &format!("data: {event}\n\n"));
        }
        assert_eq!((stream.written_at_most(), stream.output_guess()), (3, 0), "{event}");
    }
}

fn cut_at_end() -> Cut<'static> {
    let usage = Usage { input: 1, output: 2, cached: 0, cache_written: 0, source: UsageSource::Estimated };
    Cut { usage, request_id: "r1", unix_s: 7 }
}

fn cut_of(stream: &mut AnswerStream) -> String {
    String::from_utf8(stream.cut(&cut_at_end()).to_vec()).unwrap()
}

#[test]
fn a_stream_that_was_not_made_cuttable_says_nothing_and_passes_nothing_on() {
    let mut stream = stream();
    feed(&mut stream, "data: {\"choices\":[{}]}\n\n");
    assert_eq!(cut_of(&mut stream), "");
    assert!(stream.done());
    assert_eq!(feed(&mut stream, "data: {}\n\n"), "");
}

#[test]
fn choices_beyond_those_that_are_counted_end_with_the_stream() {
    let mut stream = stream().cuttable();
    feed(&mut stream, "data: {\"choices\":[{\"index\":127},{\"index\":128},{\"index\":4294967296}]}\n\n");
    let end = cut_of(&mut stream);
    assert!(end.contains("\"index\":127,") && end.ends_with("data: [DONE]\n\n"), "{end}");
    assert_eq!(end.matches("\"index\"").count(), 1, "{end}");
}

#[test]
fn blocks_beyond_those_that_are_counted_end_with_the_message() {
    let mut stream = AnswerStream::new(Operation::Messages, "acme/chat", UsageChunk::Withhold).cuttable();
    for index in 0..20 {
        feed(&mut stream, &format!("data: {{\"type\":\"content_block_start\",\"index\":{index}}}\n\n"));
    }
    let end = cut_of(&mut stream);
    assert_eq!(end.matches("event: content_block_stop\n").count(), 16);
    assert!(end.ends_with("data: {\"type\":\"message_stop\"}\n\n"), "{end}");
}

#[test]
fn a_response_too_long_to_keep_is_ended_without_its_output() {
    let mut stream = AnswerStream::new(Operation::Responses, "acme/chat", UsageChunk::Withhold).cuttable();
    let instructions = "x".repeat(70_000);
    feed(
        &mut stream,
        &format!(
            "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_9\",\"created_at\":5,\"instructions\":\"{instructions}\"}},\"sequence_number\":0}}\n\n"
        ),
    );
    feed(
        &mut stream,
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"m\"}}\n\n",
    );
    let text = "y".repeat(100_000);
    for _ in 0..3 {
        feed(
            &mut stream,
            &format!(
                "data: {{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"{text}\"}}\n\n"
            ),
        );
    }
    let end = cut_of(&mut stream);
    assert!(end.starts_with("event: response.incomplete\n"), "{end}");
    assert!(end.contains("\"id\":\"resp_9\",\"object\":\"response\",\"created_at\":5,"), "{end}");
    assert!(end.contains("\"output\":[]") && end.contains("\"sequence_number\":5}"), "{end}");
    assert!(end.len() < 1_000, "{}", end.len());
}

#[test]
fn a_last_event_without_its_empty_line_is_completed() {
    for rest in ["data: {\"model\":\"inner\"}", "data: {\"model\":\"inner\"}\n"] {
        let mut stream = stream();
        assert_eq!(feed(&mut stream, rest), "");
        assert_eq!(finish(&mut stream), "data: {\"model\":\"acme/chat\"}\n\n");
        assert_eq!(finish(&mut stream), "");
    }
    for (rest, whole) in [("data: {}\r", "data: {}\r\n\n"), ("data: {}\r\n", "data: {}\r\n\n")] {
        let mut stream = stream();
        assert_eq!(feed(&mut stream, rest), "");
        assert_eq!(finish(&mut stream), whole);
    }
    let mut ended = stream();
    feed(&mut ended, "data: [DONE]");
    assert_eq!(finish(&mut ended), "data: [DONE]\n\n");
    assert!(ended.done());
}

#[test]
fn a_last_usage_chunk_without_its_empty_line_still_counts() {
    let mut stream = stream();
    feed(&mut stream, USAGE.trim_end());
    assert_eq!(finish(&mut stream), "");
    assert!(stream.usage().is_some());
}

#[test]
fn half_an_event_is_dropped_at_the_end() {
    for rest in ["data: {\"choices\":[{\"del", "dat", ": pin", "id: 1\n", "data: hello"] {
        let mut stream = stream();
        feed(&mut stream, rest);
        assert_eq!(finish(&mut stream), "", "{rest}");
    }
}

#[test]
fn an_event_without_an_end_is_given_up() {
    let piece = Bytes::from(vec![b'x'; EVENT_LEN_MAX / 4]);
    let mut stream = stream();
    for _ in 0..4 {
        assert_eq!(stream.feed(&piece), Ok(Bytes::new()));
    }
    assert_eq!(stream.feed(&Bytes::from_static(b"x")), Err(EventTooLong));
}

#[test]
fn an_event_that_comes_whole_is_bounded_too() {
    let sized = |len: usize| Bytes::from("x".repeat(len - 2) + "\n\n");
    assert!(stream().feed(&sized(EVENT_LEN_MAX)).is_ok());
    assert_eq!(stream().feed(&sized(EVENT_LEN_MAX + 1)), Err(EventTooLong));
}

#[test]
fn debug_text_shows_nothing_of_the_answer() {
    let mut stream = stream();
    feed(&mut stream, "data: {\"choices\":[{\"delta\":{\"content\":\"secret");
    assert!(!format!("{stream:?}").contains("secret"));
}

#[test]
fn an_event_of_a_response_may_hold_images() {
    let stream = || AnswerStream::new(Operation::Responses, "acme/chat", UsageChunk::Withhold);
    let sized = |len: usize| Bytes::from(format!("data: {}\n\n", "x".repeat(len - 8)));
    assert!(stream().feed(&sized(RESPONSE_EVENT_LEN_MAX)).is_ok());
    assert_eq!(stream().feed(&sized(RESPONSE_EVENT_LEN_MAX + 1)), Err(EventTooLong));
}

#[test]
fn the_room_of_a_long_event_is_given_back_when_it_has_gone_on() {
    let mut stream = stream();
    feed(&mut stream, &format!("data: {}", "x".repeat(ROOM_KEPT_MAX)));
    assert!(stream.pending.capacity() > ROOM_KEPT_MAX);
    feed(&mut stream, "\n\n");
    assert_eq!(stream.pending.capacity(), 0);
}
