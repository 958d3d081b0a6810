//! `tollgate prices`: what tokens cost where an endpoint's target does not say.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;

use super::client::{Client, Form, escaped};
use super::output::{say, say_json, say_table, text};

const PATH: &str = "/v1/prices";

#[derive(Debug, Subcommand)]
pub(super) enum PricesCommand {
    /// Take a price map in the place of all prices that were imported before.
    Import {
        /// The widely used JSON price map: model to `input_cost_per_token` and so on (`-`: standard input).
        file: PathBuf,
    },
    /// List prices, in USD for a million tokens. What stands first of two for one model is in force.
    List {
        /// Those of this provider alone, such as `openai`.
        #[arg(long)]
        provider: Option<String>,
        /// Those of models with this very name alone.
        #[arg(long)]
        model: Option<String>,
    },
    /// Delete all prices that were imported.
    Delete,
}

pub(super) async fn run(client: &Client, command: PricesCommand) -> anyhow::Result<()> {
    match command {
        PricesCommand::Import { file } => {
            let map = read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let done = client.put_as_it_is(PATH, map.into()).await?;
            let (imported, skipped) = (&done["imported"], &done["skipped"]);
            show(client, &done, &format!("prices imported: {imported}, entries skipped: {skipped}"))
        }
        PricesCommand::List { provider, model } => list(client, provider, model).await,
        PricesCommand::Delete => {
            let done = client.delete(PATH).await?;
            show(client, &done, &format!("imported prices deleted: {}", done["deleted"]))
        }
    }
}

/// As it is: numbers that went through a floating-point number would be others.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes)?,
        false => std::fs::File::open(file)?.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

fn show(client: &Client, done: &Value, line: &str) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(done),
        Form::Table => say(line),
    }
}

async fn list(client: &Client, provider: Option<String>, model: Option<String>) -> anyhow::Result<()> {
    let filters = [("provider", provider), ("model", model)];
    let filters =
        filters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))));
    let query = filters.collect::<Vec<_>>().join("&");
    let path = if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") };
    let prices = client.list(&path).await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(prices));
    }
    let rows: Vec<_> = prices.iter().flat_map(rows).collect();
    say_table(&["PROVIDER", "MODEL", "ABOVE", "INPUT", "OUTPUT", "CACHED", "CACHE WRITE", "SOURCE"], &rows)
}

/// One for the price, and one for each of its tiers, by the prompt tokens they begin above.
fn rows(price: &Value) -> Vec<Vec<String>> {
    let tiers = price["tiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |rates: &Value| {
        vec![
            text(&price["provider"]),
            text(&price["model"]),
            text(&rates["above_input_tokens"]),
            text(&rates["input_per_million"]),
            text(&rates["output_per_million"]),
            text(&rates["cached_input_per_million"]),
            text(&rates["cache_write_per_million"]),
            text(&price["source"]),
        ]
    };
    std::iter::once(price).chain(tiers).map(row).collect()
}
