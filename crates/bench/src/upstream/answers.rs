//! What a model server of the comparison says, and how it is told which.

use std::time::Duration;

use memchr::memmem;

/// Words of an answer, each an event of its own in a stream.
pub(crate) const WORDS: usize = 20;
/// Where a request says how many milliseconds are between two events.
const GAP_FIELD: &[u8] = br#""seed":"#;
const STREAM_FIELD: &[u8] = br#""stream":true"#;
const USAGE_FIELD: &[u8] = br#""include_usage":true"#;

/// As much of each end of a body is looked at.
const END_LEN: usize = 256;

/// Every answer there is, written before anybody asks.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) whole: Vec<u8>,
    /// The writes of a stream: without usage, and with.
    pub(super) streams: [Vec<Vec<u8>>; 2],
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Whole,
    Stream { with_usage: bool, gap: Duration },
}

impl Ask {
    pub(super) fn read(body: &[u8]) -> Ask {
        let ends = [&body[..body.len().min(END_LEN)], &body[body.len().saturating_sub(END_LEN)..]];
        let says = |field| ends.iter().any(|end| memmem::find(end, field).is_some());
        if !says(STREAM_FIELD) {
            return Ask::Whole;
        }
        let gap = ends.iter().find_map(|end| {
            let digits = end.get(memmem::find(end, GAP_FIELD)? + GAP_FIELD.len()..)?;
            let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            std::str::from_utf8(&digits[..len]).ok()?.parse().ok()
        });
        Ask::Stream { with_usage: says(USAGE_FIELD), gap: Duration::from_millis(gap.unwrap_or(0)) }
    }
}

impl Answers {
    pub(super) fn new() -> Answers {
        let text = "word ".repeat(WORDS);
        let usage = format!(
            r#""usage":{{"prompt_tokens":50,"completion_tokens":{WORDS},"total_tokens":{}}}"#,
            50 + WORDS
        );
        let body = format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"sim","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{usage},"system_fingerprint":"fp_bench"}}"#
        );
        let whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let streams = [false, true].map(|with_usage| stream(with_usage.then_some(usage.as_str())));
        Answers { whole: whole.into_bytes(), streams }
    }

    pub(super) fn events(&self, ask: Ask) -> &[Vec<u8>] {
        let [without, with] = &self.streams;
        match ask {
            Ask::Stream { with_usage: true, .. } => with,
            Ask::Stream { .. } | Ask::Whole => without,
        }
    }
}

/// The head goes with the role and the first token, since that is what a caller waits for; the end with the last token.
fn stream(usage: Option<&str>) -> Vec<Vec<u8>> {
    let null = usage.map_or("", |_| r#","usage":null"#);
    let event = |choices: &str, rest: &str| {
        let data = format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"sim\",\"choices\":[{choices}]{rest}}}\n\n"
        );
        chunk(&data)
    };
    let delta = |delta: &str, finish: &str| {
        let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
        event(&choice, null)
    };
    let word = delta(r#"{"content":"word "}"#, "null");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let first = [head, &delta(r#"{"role":"assistant","content":""}"#, "null"), &word].concat();
    let usage = usage.map_or_else(String::new, |usage| event("", &format!(",{usage}")));
    let end = [&delta("{}", r#""stop""#), &usage, &chunk("data: [DONE]\n\n"), "0\r\n\r\n"].concat();

    let mut writes = vec![word.into_bytes(); WORDS];
    writes[0] = first.into_bytes();
    writes[WORDS - 1].extend_from_slice(end.as_bytes());
    writes
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Answer;

    #[test]
    fn a_stream_is_an_answer_whose_first_token_goes_with_its_head() {
        for writes in Answers::new().streams {
            assert_eq!(writes.len(), WORDS);
            let mut answer = Answer::default();
            for (at, write) in writes.iter().enumerate() {
                assert!(!answer.is_complete());
                answer.feed(write).unwrap();
                assert!(answer.has_token, "after write {at}");
            }
            assert!(answer.is_complete() && answer.status == 200);
        }
    }

    #[test]
    fn what_is_asked_for_stands_at_either_end_of_a_body() {
        let long = "x".repeat(2_000);
        let streamed = |with_usage, gap| Ask::Stream { with_usage, gap: Duration::from_millis(gap) };
        for (body, ask) in [
            (format!(r#"{{"stream":false,"text":"{long}"}}"#), Ask::Whole),
            (format!(r#"{{"stream":true,"seed":0,"text":"{long}"}}"#), streamed(false, 0)),
            (
                format!(
                    r#"{{"stream":true,"seed":10,"text":"{long}","stream_options":{{"include_usage":true}}}}"#
                ),
                streamed(true, 10),
            ),
        ] {
            assert_eq!(Ask::read(body.as_bytes()), ask);
        }
    }
}
