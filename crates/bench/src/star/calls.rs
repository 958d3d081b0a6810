//! The calls of a point, byte by byte, and a look at their first answer.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use http::{Method, StatusCode};

use super::point::{Point, Prompt};
use crate::callers::Callers;
use crate::exchange::{exchange, request};
use crate::options::Answers;
use crate::tollgate::SLUG;

const PATH: &str = "/v1/chat/completions";
const SMALL_LEN: usize = 250;
const LONG_LEN: usize = 100_000;
/// What a prompt is made of.
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog, and nobody asks it why. ";

/// Calls by these keys in turn. One is made to see that its answer is right, and how long it is.
pub(super) fn calls(point: &Point, addr: SocketAddr, keys: &[String]) -> anyhow::Result<Callers> {
    let body = body(point);
    let answer_len = check(point, addr, keys.first().context("nobody calls")?, &body)?;
    let requests = keys.iter().map(|key| written(addr, key, &body)).collect();
    Ok(Callers { addr, requests, answer_len, streamed: point.answers == Answers::Streamed })
}

fn check(point: &Point, addr: SocketAddr, key: &str, body: &str) -> anyhow::Result<usize> {
    let request = request(Method::POST, PATH, addr, Some(key), body.to_owned().into())?;
    let (status, answer) = exchange(addr, request)?;
    let text = String::from_utf8_lossy(&answer);
    ensure!(status == StatusCode::OK, "a call was answered {status}: {text}");
    let right = match point.answers {
        Answers::Whole => text.contains(r#""completion_tokens":20"#),
        Answers::Streamed => text.ends_with("data: [DONE]\n\n"),
    };
    ensure!(right, "a call was answered wrongly: {text}");
    Ok(answer.len())
}

/// A chat request, filled up to its length. What the model server looks at is at its beginning.
fn body(point: &Point) -> String {
    let len = match point.prompt {
        Prompt::Small => SMALL_LEN,
        Prompt::Long => LONG_LEN,
    };
    let (streamed, gap) = (point.answers == Answers::Streamed, point.gap_ms);
    let begin = format!(
        r#"{{"model":"{SLUG}","stream":{streamed},"seed":{gap},"max_tokens":64,"messages":[{{"role":"system","content":"Answer briefly."}},{{"role":"user","content":""#
    );
    let end = r#""}]}"#;
    let mut body = begin;
    let text = SENTENCE.chars().cycle().take(len.saturating_sub(body.len() + end.len()));
    body.extend(text);
    body + end
}

fn written(addr: SocketAddr, key: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: {addr}\r\nuser-agent: bench\r\naccept: */*\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::point::points;
    use super::*;
    use crate::options::Options;

    #[test]
    fn bodies_are_json_as_long_as_is_said() {
        for point in points(&Options::read(std::iter::empty()).unwrap()) {
            let body = body(&point);
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(parsed["model"], SLUG);
            assert_eq!(parsed["stream"], point.answers == Answers::Streamed);
            assert_eq!(body.len(), if point.prompt == Prompt::Long { LONG_LEN } else { SMALL_LEN });
        }
    }
}
