//! Embeddings: the same short vector for each input.

use serde::Serialize;
use serde_json::value::RawValue;

use super::json;
use crate::ask::Ask;
use crate::completion::Completion;

/// Numbers that a float holds exactly, so that both forms say the same.
const VECTOR: [f32; 3] = [0.5, -0.25, 0.125];
/// The vector as 32-bit floats, least byte first. Twelve bytes need no padding.
const VECTOR_BASE64: &str = "AAAAPwAAgL4AAAA+";

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<EmbeddingUsage>,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Vector {
    Floats([f32; 3]),
    Base64(&'static str),
}

#[derive(Serialize)]
struct EmbeddingUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(super) fn whole(ask: &Ask<'_>, completion: &Completion<'_>) -> String {
    let embedding = if ask.wants_base64() { Vector::Base64(VECTOR_BASE64) } else { Vector::Floats(VECTOR) };
    let data = (0..ask.inputs).map(|index| Embedding { object: "embedding", index, embedding }).collect();
    let usage = completion
        .usage
        .map(|usage| EmbeddingUsage { prompt_tokens: usage.prompt, total_tokens: usage.prompt });
    json(&List { object: "list", data, model: completion.model, usage })
}
