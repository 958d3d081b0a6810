//! `tollgate groups history`: what a group used, hour by hour or day by day.

use serde_json::{Value, json};

use super::client::{Client, Form, escaped};
use super::groups::path;
use super::output::{say_json, say_table, text};
use super::span::ago;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The group's id.
    id: String,
    /// From so long ago.
    #[arg(long, value_name = "DURATION", default_value = "30d", conflicts_with = "from")]
    since: String,
    /// From this time on, in ISO 8601 and UTC, cut to a whole step.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time, which is not included; otherwise the present step is the last.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// `hour` or `day`.
    #[arg(long, default_value = "day")]
    step: String,
    /// `slug`, `key` or `provider`: a line for each of these.
    #[arg(long)]
    by: Option<String>,
    /// Count everything below the group as well.
    #[arg(long)]
    subtree: bool,
}

pub(super) async fn run(client: &Client, args: HistoryArgs) -> anyhow::Result<()> {
    let items = client.list(&format!("{}/usage/history?{}", path(&args.id), args.query()?)).await?;
    match client.form {
        Form::Json => say_json(&json!(items)),
        Form::Table => {
            let headings = ["START", "OF", "REQUESTS", "INPUT", "OUTPUT", "CACHED", "USD", "REFUSED"];
            say_table(&headings, &items.iter().map(row).collect::<Vec<_>>())
        }
    }
}

impl HistoryArgs {
    fn query(&self) -> anyhow::Result<String> {
        let from = match &self.from {
            Some(from) => from.clone(),
            None => ago("--since", &self.since)?,
        };
        let given = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("&{name}={}", escaped(value))).unwrap_or_default()
        };
        let (to, by) = (given("to", &self.to), given("by", &self.by));
        Ok(format!("from={}&step={}&subtree={}{to}{by}", escaped(&from), escaped(&self.step), self.subtree))
    }
}

fn row(item: &Value) -> Vec<String> {
    let of = ["slug", "key", "provider"].into_iter().find_map(|name| item.get(name)).unwrap_or(&Value::Null);
    let fields = ["requests", "input_tokens", "output_tokens", "cached_input_tokens", "cost_usd", "refusals"];
    let fields = fields.into_iter().map(|name| item.get(name).unwrap_or(&Value::Null));
    [&item["start"], of].into_iter().chain(fields).map(text).collect()
}
