//! `tollgate model-configs`: what may be spent on a model, from a provider, within a scope.

mod table;

use std::path::PathBuf;

use clap::Subcommand;
use domain::{ResetDuration, Usd};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Usage;
use super::client::{Client, Form, Refused, escaped};
use super::groups::read_body;
use super::output::{say, say_json, text};

const ROOT: &str = "/api/governance";
/// Configs asked for at a time; the API's own maximum.
const PAGE: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum ModelConfigsCommand {
    /// List every config, a row for each of its limits, with what is used of it now.
    List,
    /// Show one config.
    Get {
        /// The config's id.
        id: String,
    },
    /// Create a config.
    Create(CreateArgs),
    /// Change a config. What is not given stays; limits that stay keep what is used of them.
    Update(UpdateArgs),
    /// Delete a config and all of its limits.
    Delete {
        /// The config's id.
        id: String,
    },
    /// Forget what is used of a budget or rate limit. What calls in flight hold stays held.
    Reset {
        /// The id of the budget or rate limit, as `list` shows it.
        line: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// The whole request as JSON, from this file (`-`: standard input), instead of the options below.
    #[arg(long, conflicts_with_all = ["model", "provider", "scope", "scope_id", "budget", "requests", "tokens", "aligned"])]
    body: Option<PathBuf>,
    /// A slug, a model's name at its provider, or `*` for all.
    #[arg(long, required_unless_present = "body")]
    model: Option<String>,
    /// Who serves it, such as `openai`; all providers without it.
    #[arg(long)]
    provider: Option<String>,
    /// Whose calls: `global`, `virtual_key`, `user` or `group`.
    #[arg(long)]
    scope: Option<String>,
    /// The key's prefix, the user or the group's id.
    #[arg(long, requires = "scope")]
    scope_id: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct UpdateArgs {
    /// The config's id.
    id: String,
    /// The whole request as JSON, from this file (`-`: standard input), instead of the options below.
    #[arg(long, conflicts_with_all = ["model", "provider", "budget", "requests", "tokens", "aligned", "no_budgets", "no_rate_limit"])]
    body: Option<PathBuf>,
    /// Another model.
    #[arg(long)]
    model: Option<String>,
    /// Another provider.
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Take all budgets away.
    #[arg(long, conflicts_with = "budget")]
    no_budgets: bool,
    /// Take the rate limit away.
    #[arg(long, conflicts_with_all = ["requests", "tokens"])]
    no_rate_limit: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LimitArgs {
    /// USD in a period: `10/1d`, `0.5/1h30m`, `100/1M`. Repeat for more; on an update they replace all that there are.
    #[arg(long, value_name = "USD/PERIOD")]
    budget: Vec<String>,
    /// Calls in a period: `100/1h`. On an update `--requests` and `--tokens` together replace the former rate limit.
    #[arg(long, value_name = "N/PERIOD")]
    requests: Option<String>,
    /// Tokens in a period: `1000000/1d`.
    #[arg(long, value_name = "N/PERIOD")]
    tokens: Option<String>,
    /// Whole days, weeks, months and years follow the calendar in UTC; `--aligned=false` on an update: no longer.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    aligned: Option<bool>,
}

pub(super) async fn run(client: &Client, command: ModelConfigsCommand) -> anyhow::Result<()> {
    match command {
        ModelConfigsCommand::List => list(client).await,
        ModelConfigsCommand::Get { id } => {
            let config = client.get(&path(&id)).await?["model_config"].take();
            match client.form {
                Form::Json => say_json(&config),
                Form::Table => table::say(&[config]),
            }
        }
        ModelConfigsCommand::Create(args) => {
            let body = args.body()?;
            written(client, client.post(&format!("{ROOT}/model-configs"), &body).await?)
        }
        ModelConfigsCommand::Update(args) => {
            let path = path(&args.id);
            let body = args.body()?;
            written(client, client.put(&path, &body).await?)
        }
        ModelConfigsCommand::Delete { id } => done(client, &client.delete(&path(&id)).await?),
        ModelConfigsCommand::Reset { line } => reset(client, &line).await,
    }
}

fn path(id: &str) -> String {
    format!("{ROOT}/model-configs/{}", escaped(id))
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let mut configs: Vec<Value> = Vec::new();
    loop {
        let offset = configs.len();
        let page = client.get(&format!("{ROOT}/model-configs?limit={PAGE}&offset={offset}")).await?;
        let found = page["model_configs"].as_array().cloned().unwrap_or_default();
        let is_last = found.is_empty();
        configs.extend(found);
        let total = page["total_count"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0);
        if is_last || configs.len() >= total {
            break;
        }
    }
    match client.form {
        Form::Json => say_json(&Value::Array(configs)),
        Form::Table => table::say(&configs),
    }
}

/// A budget and a rate limit never have the same id, so the one that there is is meant.
async fn reset(client: &Client, line: &str) -> anyhow::Result<()> {
    let path = |list: &str| format!("{ROOT}/{list}/{}/reset", escaped(line));
    let answer = match client.post(&path("budgets"), &json!({})).await {
        Err(error) if is_not_found(&error) => client.post(&path("rate-limits"), &json!({})).await,
        answer => answer,
    };
    match answer {
        Err(error) if is_not_found(&error) => {
            anyhow::bail!(
                "there is no budget and no rate limit {line}; `tollgate model-configs list` shows those there are"
            )
        }
        answer => done(client, &answer?),
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == StatusCode::NOT_FOUND)
}

fn written(client: &Client, mut answer: Value) -> anyhow::Result<()> {
    let config = answer["model_config"].take();
    match client.form {
        Form::Json => say_json(&config),
        Form::Table => say(&format!("{}  {}", text(&config["id"]), table::about(&config))),
    }
}

fn done(client: &Client, answer: &Value) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(answer),
        Form::Table => say(&text(&answer["message"])),
    }
}

impl CreateArgs {
    fn body(self) -> anyhow::Result<Value> {
        if let Some(file) = &self.body {
            return read_body(file);
        }
        let fields = [
            ("model_name", self.model),
            ("provider", self.provider),
            ("scope", self.scope),
            ("scope_id", self.scope_id),
        ];
        let mut body = of_text(fields);
        self.limits.put(&mut body)?;
        Ok(Value::Object(body))
    }
}

impl UpdateArgs {
    fn body(self) -> anyhow::Result<Value> {
        if let Some(file) = &self.body {
            return read_body(file);
        }
        let mut body = of_text([("model_name", self.model), ("provider", self.provider)]);
        self.limits.put(&mut body)?;
        if self.no_budgets {
            body.insert("budgets".into(), json!([]));
        }
        if self.no_rate_limit {
            body.insert("rate_limit".into(), json!({}));
        }
        if body.is_empty() {
            return Err(Usage("say what to change: --model, --provider, --budget, --requests, --tokens, --aligned, --no-budgets or --no-rate-limit".into()).into());
        }
        Ok(Value::Object(body))
    }
}

fn of_text<const N: usize>(fields: [(&str, Option<String>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

impl LimitArgs {
    /// Puts what is said into a body, and nothing else.
    fn put(&self, body: &mut Map<String, Value>) -> Result<(), Usage> {
        let budgets = self.budget.iter().map(|text| budget(text)).collect::<Result<Vec<_>, _>>()?;
        if !budgets.is_empty() {
            body.insert("budgets".into(), budgets.into());
        }
        let mut rate_limit = Map::new();
        for (option, side, text) in
            [("requests", "request", &self.requests), ("tokens", "token", &self.tokens)]
        {
            let Some(text) = text else { continue };
            let (max, period) = parts(option, text)?;
            let max: u64 = max.parse().map_err(|_| wrong(option, text, "100/1h"))?;
            rate_limit.insert(format!("{side}_max_limit"), max.into());
            rate_limit.insert(format!("{side}_reset_duration"), period.into());
        }
        if !rate_limit.is_empty() {
            body.insert("rate_limit".into(), rate_limit.into());
        }
        if let Some(aligned) = self.aligned {
            body.insert("calendar_aligned".into(), aligned.into());
        }
        Ok(())
    }
}

/// Reads `10.50/1d`. The amount goes as a number, as clients of this API write it.
fn budget(text: &str) -> Result<Value, Usage> {
    let (max, period) = parts("budget", text)?;
    let wrong = || wrong("budget", text, "10/1d");
    let usd: Usd = max.parse().map_err(|_| wrong())?;
    let max: Value = serde_json::from_str(&usd.to_string()).map_err(|_| wrong())?;
    Ok(json!({ "max_limit": max, "reset_duration": period }))
}

fn parts<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str), Usage> {
    let example = if option == "budget" { "10/1d" } else { "100/1h" };
    let parts = text.split_once('/').filter(|(_, period)| period.parse::<ResetDuration>().is_ok());
    parts.ok_or_else(|| wrong(option, text, example))
}

fn wrong(option: &str, text: &str, example: &str) -> Usage {
    Usage(format!(
        "--{option}: `{text}` is not a limit such as {example}; a period is 30s, 1h30m, 1d, 1w, 1M or 1Y"
    ))
}

#[cfg(test)]
mod tests;
