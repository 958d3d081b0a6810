//! `tollgate decision`: why a call was refused, or admitted. A sentence first, then how every limit stood.

use serde_json::Value;

use super::client::{Access, Form, escaped};
use super::explain::{Remedy, binding, ceiling, held, show_limits};
use super::output::{live, say, say_json, text, window};

#[derive(Debug, clap::Args)]
pub(super) struct DecisionArgs {
    /// The id in `x-request-id` of the call's answer, and in the body of a refusal.
    request_id: String,
    #[command(flatten)]
    access: Access,
}

pub(super) async fn run(args: DecisionArgs) -> anyhow::Result<()> {
    let client = args.access.client()?;
    let path = format!("/v1/gateway/decisions/{}", escaped(args.request_id.trim()));
    let answer = client.get(&path).await?;
    match client.form {
        Form::Json => say_json(&answer),
        Form::Table => {
            say(&sentence(&answer))?;
            show_limits(&answer)
        }
    }
}

/// Whose call it was, what happened to it, and when it would have passed.
fn sentence(answer: &Value) -> String {
    let said = |name: &str| text(&answer[name]);
    let (model, group, held) = (said("model"), said("group_id"), held(answer));
    let call = format!("call for {model} by key {} of group {group}", said("api_key_prefix"));
    let at = said("at");
    if answer["admitted"] == true {
        return format!("{call}: admitted at {at}, holding 1 request and {held} (mode {})", said("mode"));
    }
    let refused = format!("{call}: refused at {at}: {} {}", said("status"), said("code"));
    match binding(answer).map(|limit| (limit, Remedy::of(limit, answer))) {
        Some((limit, Remedy::Raise)) => format!("{refused}, since {} lets no call pass", ceiling(limit)),
        Some((limit, Remedy::Less)) => format!(
            "{refused}, since {held} never fit {}; asking for less it would have passed",
            ceiling(limit)
        ),
        Some((limit, Remedy::Other)) => format!(
            "{refused}, by {} {}; another limit would never have let it pass",
            window(limit),
            live(limit)
        ),
        Some((limit, Remedy::Calls)) => format!(
            "{refused}, by {} {}; would have passed as soon as one of these calls ended",
            window(limit),
            live(limit)
        ),
        Some((limit, Remedy::Time(time))) => {
            format!("{refused}, by {} {}; would have passed at {time}", window(limit), live(limit))
        }
        None => format!("{refused}, since {}", turned_away(&said("code"))),
    }
}

/// Why no limit was looked at.
fn turned_away(code: &str) -> &'static str {
    match code {
        "model_not_allowed" => "the group did not list the model",
        "model_not_found" => "no endpoint of its workspace served the model",
        "uncountable_prompt" => "a part of its prompt was not in the request, and `hard` counts all of it",
        "model_unpriced" => "a budget applied to it, and its route had no price",
        "missing_user" => "it did not say for which end user it was made",
        _ => "it was turned away before any limit was looked at",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sentence_says_whose_call_it_was_and_what_became_of_it() {
        let limit = json!({"type": "TOKEN", "unit": "DAY", "threshold": 100, "used": 90, "pending": 5});
        let decided = |admitted: bool, status: u16, code: Value, binding: Value, passes_at: Value| {
            json!({
                "request_id": "x", "at": "2026-05-13T12:00:00.000Z", "group_id": "G", "api_key_prefix": "sky_a",
                "model": "acme/chat", "admitted": admitted, "status": status, "code": code, "mode": "estimate",
                "hold": {"tokens": 12}, "limits": [limit], "binding": binding, "passes_at": passes_at,
            })
        };
        let call = "call for acme/chat by key sky_a of group G";
        let passes_at = "2026-05-14T00:00:00.000Z";
        for (answer, expected) in [
            (
                decided(true, 200, Value::Null, Value::Null, Value::Null),
                "admitted at 2026-05-13T12:00:00.000Z, holding 1 request and 12 tokens (mode estimate)",
            ),
            (
                decided(false, 429, "usage_limit_exceeded".into(), 0.into(), passes_at.into()),
                "refused at 2026-05-13T12:00:00.000Z: 429 usage_limit_exceeded, by TOKEN/DAY 90+5/100; \
                 would have passed at 2026-05-14T00:00:00.000Z",
            ),
            (
                decided(false, 429, "request_exceeds_limit".into(), 0.into(), Value::Null),
                "refused at 2026-05-13T12:00:00.000Z: 429 request_exceeds_limit, since 12 tokens never fit \
                 TOKEN/DAY 100; asking for less it would have passed",
            ),
            (
                decided(false, 403, "model_not_allowed".into(), Value::Null, Value::Null),
                "refused at 2026-05-13T12:00:00.000Z: 403 model_not_allowed, since the group did not list the model",
            ),
            (
                decided(false, 400, "uncountable_prompt".into(), Value::Null, Value::Null),
                "refused at 2026-05-13T12:00:00.000Z: 400 uncountable_prompt, since a part of its prompt was not in the \
                 request, and `hard` counts all of it",
            ),
            (
                decided(false, 404, "model_not_found".into(), Value::Null, Value::Null),
                "refused at 2026-05-13T12:00:00.000Z: 404 model_not_found, since no endpoint of its workspace served \
                 the model",
            ),
        ] {
            assert_eq!(sentence(&answer), format!("{call}: {expected}"));
        }
    }
}
