//! `tollgate ledger`: why a call was billed, and how that is put right.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Form, escaped};
use super::output::{say, say_json, say_table, text};

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Show the line about a call: who called what, what it used, what it cost, and what was put right since.
    Get {
        /// The id in `x-request-id` of the call's answer.
        request_id: String,
    },
    /// Put right what was billed for a call, by signed differences. For operators alone.
    Correct(CorrectArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CorrectArgs {
    /// The id in `x-request-id` of the call's answer.
    request_id: String,
    /// Prompt tokens more, or less: `--input-tokens=-10`.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    input_tokens: Option<i64>,
    /// Completion tokens more, or less.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    output_tokens: Option<i64>,
    /// Dollars more, or less.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    cost_usd: Option<String>,
    /// Why, for people.
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(client: &Client, command: LedgerCommand) -> anyhow::Result<()> {
    match command {
        LedgerCommand::Get { request_id } => {
            let line = client.get(&path(&request_id)).await?;
            match client.form {
                Form::Json => say_json(&line),
                Form::Table => show(&line),
            }
        }
        LedgerCommand::Correct(args) => {
            let body = json!({
                "input_tokens": args.input_tokens, "output_tokens": args.output_tokens,
                "cost_usd": args.cost_usd, "reason": args.reason,
            });
            let made = client.post(&format!("{}/corrections", path(&args.request_id)), &body).await?;
            match client.form {
                Form::Json => say_json(&made),
                Form::Table => say(&corrected(&made)),
            }
        }
    }
}

fn path(request_id: &str) -> String {
    format!("/v1/gateway/ledger/{}", escaped(request_id.trim()))
}

/// A line by line account: people read it from top to bottom.
fn show(line: &Value) -> anyhow::Result<()> {
    let (usage, field) = (&line["usage"], |name: &str| text(&line[name]));
    let groups: Vec<String> = line["groups"].as_array().into_iter().flatten().map(text).collect();
    let rows: Vec<Vec<String>> = [
        ("call", field("request_id")),
        ("event", format!("{}, sequence {}", field("idempotency_key"), field("sequence"))),
        ("admitted", field("admitted_at")),
        (
            "settled",
            format!(
                "{}, after {} ms, first byte after {} ms",
                field("settled_at"),
                field("duration_ms"),
                field("ttft_ms")
            ),
        ),
        (
            "customer",
            format!(
                "{}, key {}, user {}",
                field("external_entity_id"),
                field("api_key_prefix"),
                field("user")
            ),
        ),
        ("groups", groups.join(" < ")),
        (
            "model",
            format!("{}, served by {} as {}", field("model"), field("provider"), field("upstream_model")),
        ),
        ("route", format!("{}, sent {} time(s)", field("route"), field("attempts"))),
        ("outcome", format!("{}, status {}", field("outcome"), field("upstream_status"))),
        (
            "tokens",
            format!(
                "{} in ({} cached, {} written to the cache), {} out, {}",
                text(&usage["input_tokens"]),
                text(&usage["cached_input_tokens"]),
                text(&usage["cache_written_tokens"]),
                text(&usage["output_tokens"]),
                text(&usage["source"]),
            ),
        ),
        ("cost", format!("{} USD", field("cost_usd"))),
        ("price", price(&line["price"])),
        ("charged to", charged(&line["charged_to"])),
    ]
    .map(|(name, value)| vec![name.to_owned(), value])
    .into();
    say_table(&["", ""], &rows)?;
    let list = |name: &str| line[name].as_array().into_iter().flatten();
    list("deliveries").try_for_each(|made| say(&delivered(made)))?;
    list("corrections").try_for_each(|made| say(&corrected(made)))
}

/// As `input_per_million 0.15, output_per_million 0.6`.
fn price(price: &Value) -> String {
    let Some(rates) = price.as_object() else { return text(price) };
    let rates: Vec<String> = rates.iter().map(|(name, rate)| format!("{name} {}", text(rate))).collect();
    rates.join(", ")
}

/// The lines of model configs, each with what it counts.
fn charged(lines: &Value) -> String {
    let line = |line: &Value| format!("{} ({})", text(&line["line_id"]), text(&line["meter"]));
    let lines: Vec<String> = lines.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { "no model config".to_owned() } else { lines.join(", ") }
}

fn delivered(made: &Value) -> String {
    let field = |name: &str| text(&made[name]);
    format!(
        "delivery {} is {} after {} attempt(s), the last at {}, status {}, error {}",
        field("id"),
        field("state"),
        field("attempts"),
        field("last_attempt_at"),
        field("last_status"),
        field("last_error"),
    )
}

fn corrected(made: &Value) -> String {
    let field = |name: &str| text(&made[name]);
    format!(
        "corrected at {} by {} tokens in, {} out, {} USD (event {}, sequence {}): {}",
        field("at"),
        field("input_tokens"),
        field("output_tokens"),
        field("cost_usd"),
        field("idempotency_key"),
        field("sequence"),
        field("reason"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_and_what_a_call_was_charged_to_are_written_for_people() {
        let rates = json!({"input_per_million": "0.15", "output_per_million": "0.6"});
        assert_eq!(price(&rates), "input_per_million 0.15, output_per_million 0.6");
        assert_eq!(price(&Value::Null), "-");
        let lines = json!([{"line_id": "a1", "meter": "usd"}, {"line_id": "b2", "meter": "tokens"}]);
        assert_eq!(charged(&lines), "a1 (usd), b2 (tokens)");
        assert_eq!(charged(&json!([])), "no model config");
    }
}
