//! Streams in the manner of several model servers, written after their documentation, and what callers get of them.
//! Each is cut at every byte: where the network cuts must never show.

use bytes::Bytes;
use wire::{AnswerStream, Operation, ReportedInput, UsageChunk};

/// A stream in the manner of one model server, and what it tells.
struct Golden {
    operation: Operation,
    upstream: &'static [u8],
    downstream: &'static [u8],
    usage_chunk: UsageChunk,
    told: Told,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// Prompt, completion, cached.
    usage: Option<(u64, u64, u64)>,
    input: Option<ReportedInput>,
    output_guess: u64,
    done: bool,
    failed: bool,
}

macro_rules! golden {
    ($operation:ident, $name:literal, $told:expr) => {
        Golden {
            operation: Operation::$operation,
            upstream: include_bytes!(concat!("golden/", $name, ".upstream.sse")),
            downstream: include_bytes!(concat!("golden/", $name, ".downstream.sse")),
            usage_chunk: if $name.ends_with("asked") { UsageChunk::Forward } else { UsageChunk::Withhold },
            told: $told,
        }
    };
}

/// A stream that ended well, with this usage, after this text.
fn done(usage: (u64, u64, u64), text: &str) -> Told {
    let (input, _, cached) = usage;
    Told {
        usage: Some(usage),
        input: Some(ReportedInput { tokens: input, cached, cache_written: 0 }),
        output_guess: tokens::text(text.len()),
        done: true,
        failed: false,
    }
}

/// A stream that ended in an error after this text.
fn failed(text: &str) -> Told {
    Told { usage: None, input: None, output_guess: tokens::text(text.len()), done: false, failed: true }
}

impl Golden {
    fn pass(&self, pieces: &[&[u8]]) -> (Vec<u8>, Told) {
        let mut stream = AnswerStream::new(self.operation, "acme/chat", self.usage_chunk);
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(piece)).expect("short events"));
        }
        out.extend_from_slice(&stream.finish());
        let usage = stream.usage();
        let input = stream.reported_input();
        assert!(usage.is_none_or(|usage| Some(usage.into()) == input), "{usage:?} {input:?}");
        let usage = usage.map(|usage| (usage.input, usage.output, usage.cached));
        let told = Told {
            usage,
            input,
            output_guess: stream.output_guess(),
            done: stream.done(),
            failed: stream.failed(),
        };
        (out, told)
    }

    #[track_caller]
    fn check(&self, pieces: &[&[u8]]) {
        let (out, told) = self.pass(pieces);
        let lens: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&out), text(self.downstream), "cut into {lens:?}");
        assert_eq!(told, self.told, "cut into {lens:?}");
    }

    fn check_every_cut(&self) {
        self.check(&[self.upstream]);
        for cut in 0..=self.upstream.len() {
            self.check(&[&self.upstream[..cut], &self.upstream[cut..]]);
        }
        let bytes: Vec<&[u8]> = self.upstream.chunks(1).collect();
        self.check(&bytes);
    }
}

#[test]
fn openai_with_a_usage_chunk_that_nobody_asked_for() {
    let text = "Hello! Grüß dich 😀 {\"model\": \"x\"}\n\ndata: no";
    golden!(ChatCompletions, "openai", done((19, 10, 16), text)).check_every_cut();
}

#[test]
fn openai_with_a_usage_chunk_that_the_caller_asked_for() {
    let text = "Hello! Grüß dich 😀 {\"model\": \"x\"}\n\ndata: no";
    golden!(ChatCompletions, "openai_asked", done((19, 10, 16), text)).check_every_cut();
}

#[test]
fn vllm_with_reasoning_that_serves_under_the_slug_itself() {
    golden!(ChatCompletions, "vllm", done((36, 7, 0), "Let me think.Paris")).check_every_cut();
}

#[test]
fn vllm_with_usage_on_every_chunk() {
    golden!(ChatCompletions, "vllm_continuous", done((36, 2, 0), "Paris")).check_every_cut();
}

#[test]
fn baseten_under_an_inner_name() {
    golden!(ChatCompletions, "baseten", done((5, 2, 0), "One two")).check_every_cut();
}

#[test]
fn lines_that_end_in_cr_lf_with_keep_alives_ids_and_event_names() {
    golden!(ChatCompletions, "crlf_keep_alive", done((1, 0, 0), "Hi")).check_every_cut();
}

#[test]
fn lines_that_end_in_cr() {
    golden!(ChatCompletions, "cr_only", done((1, 0, 0), "Hi")).check_every_cut();
}

#[test]
fn tool_calls() {
    let text = "get_weather{\"city\":\"Zürich\"}";
    golden!(ChatCompletions, "tool_calls", done((80, 17, 0), text)).check_every_cut();
}

#[test]
fn an_error_in_the_middle() {
    golden!(ChatCompletions, "error", failed("Half an ans")).check_every_cut();
}

#[test]
fn openai_completions_with_a_usage_chunk_that_nobody_asked_for() {
    golden!(Completions, "completions", done((5, 6, 0), "Say \"héllo\"\n")).check_every_cut();
}

#[test]
fn openai_completions_with_a_usage_chunk_that_the_caller_asked_for() {
    golden!(Completions, "completions_asked", done((5, 6, 0), "Say \"héllo\"\n")).check_every_cut();
}

#[test]
fn an_openai_response_of_reasoning_and_text() {
    let text = "Greet.Grüß dich! {\"model\": \"x\"}";
    golden!(Responses, "responses_text", done((37, 11, 12), text)).check_every_cut();
}

#[test]
fn an_openai_response_of_a_function_call_that_is_cut_short() {
    golden!(Responses, "responses_call", done((255, 18, 0), "{\"city\":\"Zürich\"}")).check_every_cut();
}

#[test]
fn an_openai_response_that_fails() {
    let told = Told { done: true, ..failed("Half an ans") };
    golden!(Responses, "responses_failed", told).check_every_cut();
}

#[test]
fn an_openai_response_that_ends_in_an_error_event() {
    golden!(Responses, "responses_error", failed("")).check_every_cut();
}

#[test]
fn a_vllm_response_with_reasoning() {
    golden!(Responses, "vllm_responses", done((36, 7, 16), "Let me think.Zürich")).check_every_cut();
}

#[test]
fn an_anthropic_message_of_text_with_pings() {
    let text = "Grüß dich! {\"model\": \"x\"}";
    golden!(Messages, "messages_text", done((25, 15, 0), text)).check_every_cut();
}

#[test]
fn an_anthropic_message_of_text_and_tool_use_with_a_cached_prompt() {
    let text = "Let me look.{\"city\": \"Zürich\"}";
    let input = Some(ReportedInput { tokens: 2572, cached: 2000, cache_written: 100 });
    let told = Told { input, ..done((2572, 89, 2000), text) };
    golden!(Messages, "messages_tool", told).check_every_cut();
}

#[test]
fn an_anthropic_message_of_thinking_and_text() {
    golden!(Messages, "messages_thinking", done((25, 20, 0), "Greet them.Hi")).check_every_cut();
}

#[test]
fn an_anthropic_message_with_an_error_in_the_middle_has_told_its_input() {
    let told = Told {
        input: Some(ReportedInput { tokens: 30, cached: 5, cache_written: 0 }),
        ..failed("Half an ans")
    };
    golden!(Messages, "messages_error", told).check_every_cut();
}

#[test]
fn a_short_stream_cut_at_every_two_places() {
    let short = golden!(ChatCompletions, "short", done((1, 2, 0), ""));
    short.check_every_cut();
    for first in 0..=short.upstream.len() {
        for second in first..=short.upstream.len() {
            let (head, rest) = short.upstream.split_at(first);
            let (middle, tail) = rest.split_at(second - first);
            short.check(&[head, middle, tail]);
        }
    }
}
