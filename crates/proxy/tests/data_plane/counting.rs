//! How prompts are counted: by the vocabulary of the model that they go to, or by their bytes.

use modelsim::UsageReport;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Script};
use tokens::Tokenizer;

use crate::support::*;

/// 11 tokens in `o200k`, 18 in `cl100k`, 15 by its 45 bytes.
const CHINESE: &str = "我们今天去公园散步，天气很好。";
/// What surrounds one message, and the output that calls declare here.
const AROUND: u64 = tokens::MESSAGE_OVERHEAD + tokens::REPLY_PRIMING + 9;

fn saying(text: &str) -> Value {
    json!({ "model": "acme/x", "max_tokens": 9, "messages": [{ "role": "user", "content": text }] })
}

/// A customer of `acme/x` with this model upstream, counted as said.
async fn customer(gw: &Gateway, model: &str, tokenizer: Option<&str>, limit: Limit) -> Customer {
    let mut target = at(&gw.model.base_url());
    target["target_model"] = model.into();
    if let Some(tokenizer) = tokenizer {
        target["tokenizer"] = tokenizer.into();
    }
    gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [target] })).await.expect(200);
    gw.customer("cust", models("acme/x", &[limit])).await
}

/// What a call that says this text holds beside [`AROUND`].
async fn held(model: &str, tokenizer: Option<&str>, text: &str) -> u64 {
    let gw = Gateway::start().await;
    let customer = customer(&gw, model, tokenizer, ("TOKEN", "MINUTE", 1_000_000)).await;
    let reply = gw.chat_with(&customer.key, saying(text)).await.expect(200);
    1_000_000 - remaining(&reply.headers, "tokens") - AROUND
}

#[tokio::test]
async fn a_call_holds_what_its_models_own_vocabulary_counts() {
    Tokenizer::O200k.load();
    Tokenizer::Cl100k.load();
    for (model, tokenizer, tokens) in [
        ("gpt-4o", None, 11),
        ("openai/gpt-oss-120b", None, 11),
        ("gpt-4-turbo", None, 18),
        ("llama-4", None, 15),
        ("gpt-4o", Some("bytes"), 15),
        ("llama-4", Some("o200k"), 11),
        ("gpt-4o", Some("cl100k"), 18),
    ] {
        assert_eq!(held(model, tokenizer, CHINESE).await, tokens, "{model} {tokenizer:?}");
    }
}

#[tokio::test]
async fn a_long_prompt_is_counted_as_well_as_a_short_one() {
    Tokenizer::O200k.load();
    assert_eq!(held("gpt-4o", None, &" word".repeat(50_000)).await, 50_000);
    assert_eq!(held("gpt-4o", Some("bytes"), &" word".repeat(50_000)).await, 250_000_u64.div_ceil(3));
}

#[tokio::test]
async fn a_prompt_that_fits_by_its_real_count_is_admitted_and_refused_by_its_bytes() {
    Tokenizer::O200k.load();
    for (tokenizer, status) in [(None, 200), (Some("bytes"), 429)] {
        let gw = Gateway::start().await;
        let customer = customer(&gw, "gpt-4o", tokenizer, ("TOKEN", "MINUTE", 11 + AROUND)).await;
        assert_eq!(gw.chat_with(&customer.key, saying(CHINESE)).await.status, status, "{tokenizer:?}");
        let longer = gw.chat_with(&customer.key, saying(&format!("{CHINESE} 好"))).await;
        refused(&longer, 429, "request_exceeds_limit");
    }
}

#[tokio::test]
async fn a_call_without_limits_on_tokens_is_counted_by_its_bytes_as_the_ledger_shows() {
    Tokenizer::O200k.load();
    for (limit, tokens) in [(("TOKEN", "MINUTE", 1_000_000), 11), (("REQUEST", "MINUTE", 1_000_000), 15)] {
        let gw = Gateway::start().await;
        let customer = customer(&gw, "gpt-4o", None, limit).await;
        gw.model.set(Script { usage: UsageReport::Missing, completion_tokens: 0, ..Script::default() });
        gw.chat_with(&customer.key, saying(CHINESE)).await.expect(200);
        gw.quiet().await;
        // A limit that is new opens with what the ledger has.
        let daily = json!({ "models": models("acme/x", &[("TOKEN", "DAY", 1_000_000)]) });
        gw.patch(&format!("/v1/gateway/groups/{}", customer.id), daily).await.expect(200);
        let used = gw.used(&customer.id, "acme/x", "TOKEN").await.as_u64().unwrap();
        let around = tokens::MESSAGE_OVERHEAD + tokens::REPLY_PRIMING;
        assert_eq!(used, tokens + around, "{limit:?}");
    }
}
