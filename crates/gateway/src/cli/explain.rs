//! `tollgate explain`: what would become of a call. A sentence first, then every limit that the call has to fit.

use serde_json::{Value, json};

use super::Usage;
use super::client::{Form, Place, WHICH_GATEWAY};
use super::output::{live, say, say_json, say_table, set_by, text, window};

/// Every management key of ours begins so.
const MANAGEMENT_MARK: &str = "mgmt_";

/// Characters of a key that are its prefix, whether it was minted or registered.
const PREFIX_LEN: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Prefix of the customer's key that would call.
    #[arg(long, value_name = "PREFIX", required_unless_present = "group", conflicts_with = "group")]
    key: Option<String>,
    /// Id of the group that would call.
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// The model that would be called.
    #[arg(long, value_name = "SLUG")]
    model: String,
    /// Tokens of its prompt.
    #[arg(long, value_name = "N", default_value_t = 0)]
    prompt_tokens: u64,
    /// The bound that it declares for its output.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// The end user that it would be made for.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The answer would come as a stream, which the mode `hard` admits step by step.
    #[arg(long)]
    stream: bool,
    // Last, since a heading holds for all that follows.
    #[command(flatten, next_help_heading = WHICH_GATEWAY)]
    place: Place,
    /// A management key (here `--key` is the customer's).
    #[arg(long, help_heading = WHICH_GATEWAY, env = "TOLLGATE_MANAGEMENT_KEY", hide_env_values = true)]
    management_key: Option<String>,
}

pub(super) async fn run(args: ExplainArgs) -> anyhow::Result<()> {
    let missing = "a management key is needed: --management-key, or TOLLGATE_MANAGEMENT_KEY";
    let key = args.management_key.as_deref().ok_or_else(|| Usage(missing.into()))?;
    let client = args.place.client(key)?;
    let answer = client.post("/v1/gateway/explain", &args.question()?).await?;
    match client.form {
        Form::Json => say_json(&answer),
        Form::Table => show(&args.model, &answer),
    }
}

impl ExplainArgs {
    fn question(&self) -> anyhow::Result<Value> {
        if self.key.as_ref().is_some_and(|key| key.starts_with(MANAGEMENT_MARK)) {
            let swapped =
                "--key is the prefix of the customer's key; a management key goes into --management-key";
            return Err(Usage(swapped.into()).into());
        }
        // A whole key does as well as its prefix; its secret goes nowhere.
        let prefix = self.key.as_deref().map(|key| key.chars().take(PREFIX_LEN).collect::<String>());
        Ok(json!({
            "api_key_prefix": prefix,
            "group_id": self.group,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "max_tokens": self.max_tokens,
            "stream": self.stream,
            "user": self.user,
        }))
    }
}

fn show(model: &str, answer: &Value) -> anyhow::Result<()> {
    say(&sentence(model, answer))?;
    show_limits(answer)
}

/// Every limit with what it says of the call, and what may surprise about them.
pub(super) fn show_limits(answer: &Value) -> anyhow::Result<()> {
    let limits = answer["limits"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !limits.is_empty() {
        let row = |(nth, limit): (usize, &Value)| {
            let verdict = match (&limit["fits"], answer["binding"] == nth) {
                (Value::Bool(true), _) => "fits",
                (_, true) => "refuses, binds",
                (_, false) => "refuses",
            };
            vec![
                window(limit),
                text(&limit["scope"]),
                set_by(limit),
                live(limit),
                text(&limit["remaining"]),
                verdict.to_owned(),
                text(&limit["passes_at"]),
            ]
        };
        let rows: Vec<_> = limits.iter().enumerate().map(row).collect();
        say_table(&["LIMIT", "SCOPE", "SET BY", "USED", "LEFT", "THE CALL", "PASSES AT"], &rows)?;
    }
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    warnings.map(|warning| format!("warning: {}", text(warning))).try_for_each(|line| say(&line))
}

/// What a call holds beside its request: tokens, and dollars where it costs any.
pub(super) fn held(answer: &Value) -> String {
    let hold = &answer["hold"];
    let tokens = format!("{} tokens", text(&hold["tokens"]));
    let usd = hold["usd"].as_f64().filter(|usd| *usd > 0.0);
    usd.map_or(tokens.clone(), |_| format!("{tokens} ({} USD)", text(&hold["usd"])))
}

/// What would happen, and until when.
fn sentence(model: &str, answer: &Value) -> String {
    let (mode, held) = (text(&answer["mode"]), held(answer));
    if answer["admitted"] == true {
        return format!("would be admitted now, holding 1 request and {held} (mode {mode})");
    }
    let refused = format!("would be refused now: {} {}", text(&answer["status"]), text(&answer["code"]));
    match binding(answer).map(|limit| (limit, Remedy::of(limit, answer))) {
        Some((limit, Remedy::Raise)) => format!("{refused}, since {} lets no call pass", ceiling(limit)),
        Some((limit, Remedy::Less)) => {
            format!("{refused}, since {held} never fit {}; it passes when it asks for less", ceiling(limit))
        }
        Some((limit, Remedy::Other)) => {
            format!(
                "{refused}, by {} {}; another limit never lets it pass, so it has to ask for less",
                window(limit),
                live(limit)
            )
        }
        Some((limit, Remedy::Calls)) => {
            format!(
                "{refused}, by {} {}; passes as soon as one of these calls ends",
                window(limit),
                live(limit)
            )
        }
        Some((limit, Remedy::Time(time))) => {
            format!("{refused}, by {} {}; passes at {time}", window(limit), live(limit))
        }
        None => format!("{refused}: {}", turned_away(model, &answer["code"])),
    }
}

/// Why no limit was looked at.
fn turned_away(model: &str, code: &Value) -> String {
    match code.as_str() {
        Some("model_not_allowed") => format!("its group does not list {model}"),
        Some("model_unpriced") => format!("a budget applies to it, and {model} has no price"),
        Some("missing_user") => "it would have to say for which end user it is made".to_owned(),
        _ => format!("no endpoint of its workspace serves {model}"),
    }
}

/// What would let a refused call pass.
pub(super) enum Remedy {
    /// Another threshold: this one is 0.
    Raise,
    /// A smaller call.
    Less,
    /// The same, since another limit than the one that binds never lets it pass.
    Other,
    /// The end of a call in flight, which no clock knows.
    Calls,
    /// So much time.
    Time(String),
}

impl Remedy {
    /// The remedy for a call that `limit` refuses.
    pub(super) fn of(limit: &Value, answer: &Value) -> Self {
        let time = &answer["passes_at"];
        if limit["threshold"] == 0 {
            Self::Raise
        } else if time.is_null() && !limit["passes_at"].is_null() {
            Self::Other
        } else if time.is_null() {
            Self::Less
        } else if limit["type"] == "CONCURRENCY" {
            Self::Calls
        } else {
            Self::Time(text(time))
        }
    }
}

/// A limit without what is used of it.
pub(super) fn ceiling(limit: &Value) -> String {
    format!("{} {}", window(limit), text(&limit["threshold"]))
}

/// The limit that refuses the call.
pub(super) fn binding(answer: &Value) -> Option<&Value> {
    let nth = answer["binding"].as_u64().and_then(|nth| usize::try_from(nth).ok())?;
    answer["limits"].get(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_and_until_when() {
        let limit = json!({"type": "TOKEN", "unit": "DAY", "threshold": 100, "used": 90, "pending": 5});
        let refused = |code: &str, passes_at: Value| {
            json!({
                "admitted": false, "status": 429, "code": code, "mode": "estimate", "hold": {"tokens": 12},
                "limits": [limit], "binding": 0, "passes_at": passes_at,
            })
        };
        assert_eq!(
            sentence("acme/chat", &refused("usage_limit_exceeded", "2026-05-14T00:00:00.000Z".into())),
            "would be refused now: 429 usage_limit_exceeded, by TOKEN/DAY 90+5/100; passes at 2026-05-14T00:00:00.000Z"
        );
        assert_eq!(
            sentence("acme/chat", &refused("request_exceeds_limit", Value::Null)),
            "would be refused now: 429 request_exceeds_limit, since 12 tokens never fit TOKEN/DAY 100; \
             it passes when it asks for less"
        );
        let budget = json!({
            "type": "USD", "unit": "PERIOD", "window": "1d", "threshold": 10, "used": 9.6, "pending": 0.2,
            "passes_at": "2026-05-14T00:00:00.000Z",
        });
        let blocked = json!({
            "admitted": false, "status": 402, "code": "budget_exceeded", "mode": "estimate",
            "hold": {"tokens": 12, "usd": 0.6}, "limits": [budget], "binding": 0, "passes_at": null,
        });
        assert_eq!(
            sentence("acme/chat", &blocked),
            "would be refused now: 402 budget_exceeded, by USD/1d 9.6+0.2/10; another limit never lets it pass, so it \
             has to ask for less"
        );
        assert_eq!(held(&blocked), "12 tokens (0.6 USD)");
        let by = |limit: Value, passes_at: Value| {
            json!({
                "admitted": false, "status": 429, "code": "x", "mode": "estimate", "hold": {"tokens": 12},
                "limits": [limit], "binding": 0, "passes_at": passes_at,
            })
        };
        let calls = json!({"type": "CONCURRENCY", "unit": null, "threshold": 1, "used": 0, "pending": 1});
        assert_eq!(
            sentence("acme/chat", &by(calls, "2026-05-14T00:00:00.000Z".into())),
            "would be refused now: 429 x, by CONCURRENCY 0+1/1; passes as soon as one of these calls ends"
        );
        let closed = json!({"type": "REQUEST", "unit": "DAY", "threshold": 0, "used": 0, "pending": 0});
        assert_eq!(
            sentence("acme/chat", &by(closed, Value::Null)),
            "would be refused now: 429 x, since REQUEST/DAY 0 lets no call pass"
        );
        for (code, end) in [
            ("model_not_allowed", "its group does not list acme/chat"),
            ("model_not_found", "serves acme/chat"),
            ("model_unpriced", "acme/chat has no price"),
            ("missing_user", "for which end user it is made"),
        ] {
            let answer =
                json!({"admitted": false, "status": 403, "code": code, "binding": null, "passes_at": null});
            assert!(sentence("acme/chat", &answer).ends_with(end));
        }
    }
}
