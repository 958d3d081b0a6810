//! Embeddings.

use modelsim::{ModelServer, Script, UsageReport};
use serde_json::{Value, json};

use crate::support::{finished, send, whole};

const PATH: &str = "/v1/embeddings";
const VECTOR: [f32; 3] = [0.5, -0.25, 0.125];

#[tokio::test]
async fn each_input_has_its_vector_and_only_the_prompt_costs() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let answer = whole(&server, PATH, json!({"model": "m", "input": ["a", "b"], "stream": true})).await;
    let expected = json!({
        "object": "list", "model": "m", "usage": {"prompt_tokens": 10, "total_tokens": 10},
        "data": [
            {"object": "embedding", "index": 0, "embedding": VECTOR},
            {"object": "embedding", "index": 1, "embedding": VECTOR},
        ],
    });
    assert_eq!(answer, expected);
    let one = whole(&server, PATH, json!({"model": "m", "input": "a", "encoding_format": "float"})).await;
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert_eq!(server.served(), finished(2));
}

#[tokio::test]
async fn base64_carries_the_same_floats() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let request = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    let answer = whole(&server, PATH, request).await;
    let bytes = decoded(answer["data"][0]["embedding"].as_str().unwrap());
    let floats: Vec<f32> =
        bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(floats, VECTOR);
}

#[tokio::test]
async fn usage_can_be_missing_or_a_lie() {
    let server =
        ModelServer::start(Script { usage: UsageReport::Missing, ..Script::default() }).await.unwrap();
    let request = json!({"model": "m", "input": "a"});
    assert_eq!(whole(&server, PATH, request.clone()).await.get("usage"), None::<&Value>);
    server.set(Script { usage: UsageReport::Lying { prompt: 3, completion: 4 }, ..Script::default() });
    let usage = json!({"prompt_tokens": 3, "total_tokens": 3});
    assert_eq!(whole(&server, PATH, request).await["usage"], usage);
}

#[tokio::test]
async fn no_input_and_too_many_inputs_are_refused() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    for inputs in [0, 2049] {
        let answer = send(&server, PATH, json!({"model": "m", "input": vec!["a"; inputs]})).await;
        assert_eq!(answer.status(), 400, "{inputs}");
    }
}

/// Base64 without padding.
fn decoded(text: &str) -> Vec<u8> {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut bits = text.chars().flat_map(|digit| {
        let value = alphabet.iter().position(|&known| known == digit).unwrap();
        (0..6).rev().map(move |bit| u8::from(value >> bit & 1 == 1))
    });
    let byte = |_| bits.by_ref().take(8).fold(0, |byte, bit| byte << 1 | bit);
    (0..text.len() * 6 / 8).map(byte).collect()
}
