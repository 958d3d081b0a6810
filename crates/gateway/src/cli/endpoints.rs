//! `tollgate endpoints`: public model names and where they go.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Usage;
use super::client::{Client, Form, escaped};
use super::groups::read_body;
use super::output::{say, say_json, say_table, text};

/// For options about a target that is not all there.
const INCOMPLETE: &str = "a target is written whole: say also where it goes, with --base-url or --provider, or give all of it with --target";

#[derive(Debug, Subcommand)]
pub(super) enum EndpointsCommand {
    /// List every endpoint.
    List,
    /// Show one endpoint.
    Get {
        /// The endpoint's id.
        id: String,
    },
    /// Create an endpoint.
    Create {
        /// The public name: prefix/name.
        slug: String,
        #[command(flatten)]
        target: Box<TargetArgs>,
    },
    /// Point an endpoint elsewhere, or rename it.
    Update {
        /// The endpoint's id.
        id: String,
        /// A new public name.
        #[arg(long)]
        slug: Option<String>,
        #[command(flatten)]
        target: Box<TargetArgs>,
    },
    /// Delete an endpoint.
    Delete {
        /// The endpoint's id.
        id: String,
    },
    /// Send one call to an endpoint's target, charged to nobody.
    Test {
        /// The endpoint's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// The target as JSON, from this file (`-`: standard input), instead of the options below.
    #[arg(long)]
    target: Option<PathBuf>,
    /// Who serves it: `OPENAI_COMPATIBLE`, `OPENAI`, `BASETEN`, `BASETEN_MODEL_API`, `ANTHROPIC`, `VERTEX`.
    #[arg(long)]
    provider: Option<String>,
    /// Root of an OpenAI-compatible server, such as `http://10.0.0.5:8000/v1`.
    #[arg(long)]
    base_url: Option<String>,
    /// The model name sent upstream.
    #[arg(long)]
    target_model: Option<String>,
    /// Name of the secret to call it with.
    #[arg(long)]
    secret: Option<String>,
    /// Baseten's model id.
    #[arg(long)]
    model_id: Option<String>,
    /// Baseten's environment.
    #[arg(long)]
    environment: Option<String>,
    /// How prompts are counted: `o200k`, `cl100k`, `bytes`; by default the name of the model decides.
    #[arg(long)]
    tokenizer: Option<String>,
    /// The most tokens that the model writes in one answer.
    #[arg(long, value_name = "N")]
    max_output_tokens: Option<u64>,
    /// The model writes what its streams do not show, such as reasoning.
    #[arg(long)]
    hidden_output: bool,
    /// Who serves it by the name that model configs and prices have for it, such as `groq`.
    #[arg(long, value_name = "NAME")]
    provider_name: Option<String>,
    #[command(flatten)]
    price: PriceArgs,
}

#[derive(Debug, clap::Args)]
struct PriceArgs {
    /// What a million prompt tokens cost, in USD. Other rates for long prompts (`tiers`) are for the API or `--target`.
    #[arg(long, value_name = "USD_PER_MILLION", requires = "output_price")]
    input_price: Option<String>,
    /// What a million completion tokens cost.
    #[arg(long, value_name = "USD_PER_MILLION", requires = "input_price")]
    output_price: Option<String>,
    /// What a million prompt tokens cost that the server had in its cache; by default as much as others.
    #[arg(long, value_name = "USD_PER_MILLION", requires = "input_price")]
    cached_input_price: Option<String>,
    /// What a million prompt tokens cost that the server put into its cache; by default as much as others.
    #[arg(long, value_name = "USD_PER_MILLION", requires = "input_price")]
    cache_write_price: Option<String>,
}

pub(super) async fn run(client: &Client, command: EndpointsCommand) -> anyhow::Result<()> {
    match command {
        EndpointsCommand::List => list(client).await,
        EndpointsCommand::Get { id } => say_json(&client.get(&path(&id)).await?),
        EndpointsCommand::Create { slug, target } => {
            let Some(target) = target.read()? else {
                bail!("say where it goes: --base-url, --provider or --target")
            };
            let body = json!({ "slug": slug, "targets": [target] });
            show(client, &client.post("/v1/gateway/endpoints", &body).await?)
        }
        EndpointsCommand::Update { id, slug, target } => {
            let mut body = Map::new();
            if let Some(slug) = slug {
                body.insert("slug".into(), slug.into());
            }
            if let Some(target) = target.read()? {
                body.insert("targets".into(), json!([target]));
            }
            show(client, &client.patch(&path(&id), &Value::Object(body)).await?)
        }
        EndpointsCommand::Delete { id } => show(client, &client.delete(&path(&id)).await?),
        EndpointsCommand::Test { id } => test(client, &id).await,
    }
}

impl TargetArgs {
    /// The target, if anything was said about it.
    fn read(self) -> anyhow::Result<Option<Value>> {
        if let Some(file) = &self.target {
            return read_body(file).map(Some);
        }
        let openai_compatible = self.base_url.as_ref().map(|_| "OPENAI_COMPATIBLE");
        let provider = self.provider.as_deref().or(openai_compatible).map(str::to_ascii_uppercase);
        let mut target = self.members();
        match provider {
            None if target.is_empty() => Ok(None),
            None => Err(Usage(INCOMPLETE.to_owned()).into()),
            Some(provider) => {
                target.insert("provider".to_owned(), provider.into());
                Ok(Some(Value::Object(target)))
            }
        }
    }

    /// Everything but the provider.
    fn members(self) -> Map<String, Value> {
        let fields = [
            ("base_url", self.base_url),
            ("target_model", self.target_model),
            ("secret_id", self.secret),
            ("model_id", self.model_id),
            ("environment_name", self.environment),
            ("tokenizer", self.tokenizer),
            ("provider_name", self.provider_name),
        ];
        let mut target = given(fields);
        target.extend(self.max_output_tokens.map(|tokens| ("max_output_tokens".to_owned(), tokens.into())));
        target.extend(self.hidden_output.then(|| ("hidden_output".to_owned(), true.into())));
        let price = self.price.members();
        target.extend((!price.is_empty()).then(|| ("pricing".to_owned(), Value::Object(price))));
        target
    }
}

impl PriceArgs {
    /// Amounts go as they were typed: the gateway reads them without rounding.
    fn members(self) -> Map<String, Value> {
        given([
            ("input_per_million", self.input_price),
            ("output_per_million", self.output_price),
            ("cached_input_per_million", self.cached_input_price),
            ("cache_write_per_million", self.cache_write_price),
        ])
    }
}

/// Those that were given.
fn given<const N: usize>(fields: [(&str, Option<String>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

fn path(id: &str) -> String {
    format!("/v1/gateway/endpoints/{}", escaped(id))
}

fn show(client: &Client, endpoint: &Value) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(endpoint),
        Form::Table => say(&format!("{}  {}", text(&endpoint["id"]), text(&endpoint["slug"]))),
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let endpoints = client.list("/v1/gateway/endpoints").await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(endpoints));
    }
    let row = |endpoint: &Value| {
        let target = &endpoint["targets"][0];
        let place = target.get("base_url").or_else(|| target.get("model_id")).unwrap_or(&Value::Null);
        let model = target.get("target_model").unwrap_or(&Value::Null);
        vec![
            text(&endpoint["id"]),
            text(&endpoint["slug"]),
            provider(target),
            text(place),
            text(model),
            price(&target["pricing"]),
        ]
    };
    let rows: Vec<_> = endpoints.iter().map(row).collect();
    say_table(&["ID", "SLUG", "PROVIDER", "WHERE", "MODEL", "USD/M IN/OUT"], &rows)
}

/// The provider, with the name that prices and model configs have for it where that is its own: `VERTEX (gemini)`.
fn provider(target: &Value) -> String {
    let provider = text(&target["provider"]);
    match target["provider_name"].as_str() {
        Some(name) => format!("{provider} ({name})"),
        None => provider,
    }
}

/// What a million prompt and completion tokens cost: `2.5/10`, and `2.5/10 +2 tiers` where it depends on the prompt.
fn price(pricing: &Value) -> String {
    if pricing.is_null() {
        return text(pricing);
    }
    let flat = format!("{}/{}", text(&pricing["input_per_million"]), text(&pricing["output_per_million"]));
    match pricing["tiers"].as_array().map_or(0, Vec::len) {
        0 => flat,
        1 => format!("{flat} +1 tier"),
        more => format!("{flat} +{more} tiers"),
    }
}

async fn test(client: &Client, id: &str) -> anyhow::Result<()> {
    let probed = client.post(&format!("{}/test", path(id)), &json!({})).await?;
    if client.form == Form::Json {
        say_json(&probed)?;
    }
    match (&probed["status"], &probed["error"]) {
        (status, Value::Null) if client.form == Form::Table => {
            say(&format!("{} after {} ms", text(status), text(&probed["ttft_ms"])))
        }
        (_, Value::Null) => Ok(()),
        (_, error) => bail!("the target does not answer as it should: {}", text(error)),
    }
}
