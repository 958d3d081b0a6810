//! Streams in the manner of several model servers, written after their documentation, and what callers get of them.
//! Each is cut at every byte: where the network cuts must never show.

use bytes::Bytes;
use wire::{ChatStream, UsageChunk};

/// A stream in the manner of one model server, and what it tells.
struct Golden {
    upstream: &'static [u8],
    downstream: &'static [u8],
    usage_chunk: UsageChunk,
    told: Told,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// Prompt, completion, cached.
    usage: Option<(u64, u64, u64)>,
    output_guess: u64,
    done: bool,
    failed: bool,
}

macro_rules! golden {
    ($name:literal, $usage_chunk:ident, $usage:expr, $text:expr, $ending:ident) => {
        Golden {
            upstream: include_bytes!(concat!("golden/", $name, ".upstream.sse")),
            downstream: include_bytes!(concat!("golden/", $name, ".downstream.sse")),
            usage_chunk: UsageChunk::$usage_chunk,
            told: Told {
                usage: $usage,
                output_guess: tokens::text($text.len()),
                done: stringify!($ending) == "done",
                failed: stringify!($ending) == "failed",
            },
        }
    };
}

impl Golden {
    fn pass(&self, pieces: &[&[u8]]) -> (Vec<u8>, Told) {
        let mut stream = ChatStream::new("acme/chat", self.usage_chunk);
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(piece)).expect("short events"));
        }
        out.extend_from_slice(&stream.finish());
        let usage = stream.usage().map(|usage| (usage.input, usage.output, usage.cached));
        let told =
            Told { usage, output_guess: stream.output_guess(), done: stream.done(), failed: stream.failed() };
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
    golden!("openai", Withhold, Some((19, 10, 16)), text, done).check_every_cut();
}

#[test]
fn openai_with_a_usage_chunk_that_the_caller_asked_for() {
    let text = "Hello! Grüß dich 😀 {\"model\": \"x\"}\n\ndata: no";
    golden!("openai_asked", Forward, Some((19, 10, 16)), text, done).check_every_cut();
}

#[test]
fn vllm_with_reasoning_that_serves_under_the_slug_itself() {
    golden!("vllm", Withhold, Some((36, 7, 0)), "Let me think.Paris", done).check_every_cut();
}

#[test]
fn vllm_with_usage_on_every_chunk() {
    golden!("vllm_continuous", Withhold, Some((36, 2, 0)), "Paris", done).check_every_cut();
}

#[test]
fn baseten_under_an_inner_name() {
    golden!("baseten", Withhold, Some((5, 2, 0)), "One two", done).check_every_cut();
}

#[test]
fn lines_that_end_in_cr_lf_with_keep_alives_ids_and_event_names() {
    golden!("crlf_keep_alive", Withhold, Some((1, 0, 0)), "Hi", done).check_every_cut();
}

#[test]
fn lines_that_end_in_cr() {
    golden!("cr_only", Withhold, Some((1, 0, 0)), "Hi", done).check_every_cut();
}

#[test]
fn tool_calls() {
    let text = "get_weather{\"city\":\"Zürich\"}";
    golden!("tool_calls", Withhold, Some((80, 17, 0)), text, done).check_every_cut();
}

#[test]
fn an_error_in_the_middle() {
    golden!("error", Withhold, None, "Half an ans", failed).check_every_cut();
}

#[test]
fn a_short_stream_cut_at_every_two_places() {
    let short = golden!("short", Withhold, Some((1, 2, 0)), "", done);
    short.check_every_cut();
    for first in 0..=short.upstream.len() {
        for second in first..=short.upstream.len() {
            let (head, rest) = short.upstream.split_at(first);
            let (middle, tail) = rest.split_at(second - first);
            short.check(&[head, middle, tail]);
        }
    }
}
