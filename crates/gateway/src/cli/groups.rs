//! `tollgate groups`: the customer tree.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Usage;
use super::client::{Client, Form, escaped};
use super::output::{live, say, say_json, say_table, set_by, text, window};
use super::{history, tree};

#[derive(Debug, Subcommand)]
pub(super) enum GroupsCommand {
    /// Draw the tree, or the part below one group, with what is used of each limit now.
    Tree {
        /// A group's id.
        id: Option<String>,
    },
    /// List every group.
    List,
    /// Show one group.
    Get {
        /// The group's id.
        id: String,
    },
    /// Create a group.
    Create(CreateArgs),
    /// Change a group's name or its complete set of models.
    Update(UpdateArgs),
    /// Delete a group, everything below it, and all their keys.
    Delete {
        /// The group's id.
        id: String,
    },
    /// What a group has used today of its DAY limits.
    Usage {
        /// The group's id.
        id: String,
    },
    /// What a group used, day by day or hour by hour.
    History(history::HistoryArgs),
    /// Every limit that binds a group, and how it stands now.
    Limits {
        /// The group's id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// The whole request as JSON, from this file (`-`: standard input), instead of the options below.
    #[arg(long, conflicts_with_all = ["external_id", "name", "parent", "mode", "model"])]
    body: Option<PathBuf>,
    /// The customer's identifier in your own systems.
    #[arg(long, required_unless_present = "body")]
    external_id: Option<String>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// The id of the group above.
    #[arg(long)]
    parent: Option<String>,
    /// INDEPENDENT or CASCADING; one for a whole tree.
    #[arg(long, default_value = "INDEPENDENT")]
    mode: String,
    /// A model and its limits: `acme/chat` or `acme/chat:REQUEST/MINUTE=100,TOKEN/DAY=1000000`; `CONCURRENCY=4` bounds the
    /// calls in flight, `ADMISSION=hard` says how calls are admitted. Repeat for more.
    #[arg(long, required_unless_present = "body")]
    model: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct UpdateArgs {
    /// The group's id.
    id: String,
    /// The whole request as JSON, from this file (`-`: standard input), instead of the options below.
    #[arg(long, conflicts_with_all = ["name", "model"])]
    body: Option<PathBuf>,
    /// A new name.
    #[arg(long)]
    name: Option<String>,
    /// A model and its limits, as for `create`. All of them together replace the former set.
    #[arg(long)]
    model: Vec<String>,
}

pub(super) async fn run(client: &Client, command: GroupsCommand) -> anyhow::Result<()> {
    match command {
        GroupsCommand::Tree { id } => tree::run(client, id.as_deref()).await,
        GroupsCommand::List => list(client).await,
        GroupsCommand::Get { id } => say_json(&client.get(&path(&id)).await?),
        GroupsCommand::Create(args) => {
            let created = client.post("/v1/gateway/groups", &create_body(args)?).await?;
            show(client, &created)
        }
        GroupsCommand::Update(args) => {
            let updated = client.patch(&path(&args.id), &update_body(&args)?).await?;
            show(client, &updated)
        }
        GroupsCommand::Delete { id } => {
            let deleted = client.delete(&path(&id)).await?;
            show(client, &deleted)
        }
        GroupsCommand::Usage { id } => usage(client, &id).await,
        GroupsCommand::History(args) => history::run(client, args).await,
        GroupsCommand::Limits { id } => limits(client, &id).await,
    }
}

pub(super) fn path(id: &str) -> String {
    format!("/v1/gateway/groups/{}", escaped(id))
}

fn show(client: &Client, group: &Value) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(group),
        Form::Table => {
            say(&format!("{}  {}", text(&group["id"]), text(&group["metadata"]["external_entity_id"])))
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let groups = client.list("/v1/gateway/groups").await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(groups));
    }
    let row = |group: &Value| {
        let models = group["models"].as_array().map(Vec::as_slice).unwrap_or_default();
        vec![
            text(&group["id"]),
            text(&group["metadata"]["external_entity_id"]),
            text(&group["metadata"]["name"]),
            text(&group["hierarchy"]["limit_enforcement"]),
            text(&group["hierarchy"]["parent_group_id"]),
            models.iter().map(|model| text(&model["slug"])).collect::<Vec<_>>().join(", "),
        ]
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    say_table(&["ID", "EXTERNAL ID", "NAME", "MODE", "PARENT", "MODELS"], &rows)
}

async fn usage(client: &Client, id: &str) -> anyhow::Result<()> {
    let usage = client.get(&format!("{}/usage", path(id))).await?;
    if client.form == Form::Json {
        return say_json(&usage);
    }
    let mut rows = Vec::new();
    for (slug, entries) in usage["usage"].as_object().into_iter().flatten() {
        for entry in entries.as_array().into_iter().flatten() {
            rows.push(vec![
                slug.clone(),
                window(entry),
                text(&entry["current_usage"]),
                text(&entry["threshold"]),
                text(&entry["reset_at"]),
            ]);
        }
    }
    say_table(&["MODEL", "LIMIT", "USED", "OF", "RESETS"], &rows)
}

async fn limits(client: &Client, id: &str) -> anyhow::Result<()> {
    let standing = client.get(&format!("{}/limits", path(id))).await?;
    if client.form == Form::Json {
        return say_json(&standing);
    }
    let row = |limit: &Value| {
        vec![
            text(&limit["slug"]),
            window(limit),
            text(&limit["scope"]),
            set_by(limit),
            live(limit),
            text(&limit["remaining"]),
            text(&limit["next_capacity_at"]),
            text(&limit["resets_at"]),
        ]
    };
    let rows: Vec<_> = standing["limits"].as_array().into_iter().flatten().map(row).collect();
    say_table(&["MODEL", "LIMIT", "SCOPE", "SET BY", "USED", "LEFT", "MORE AT", "ALL BACK AT"], &rows)
}

fn create_body(args: CreateArgs) -> anyhow::Result<Value> {
    if let Some(file) = args.body {
        return read_body(&file);
    }
    let models = read_models(&args.model)?;
    Ok(json!({
        "metadata": { "external_entity_id": args.external_id, "name": args.name },
        "models": models,
        "hierarchy": { "limit_enforcement": args.mode.to_ascii_uppercase(), "parent_group_id": args.parent },
    }))
}

fn update_body(args: &UpdateArgs) -> anyhow::Result<Value> {
    if let Some(file) = &args.body {
        return read_body(file);
    }
    let mut body = Map::new();
    if let Some(name) = &args.name {
        body.insert("metadata".into(), json!({ "name": name }));
    }
    if !args.model.is_empty() {
        let models = read_models(&args.model)?;
        body.insert("models".into(), models);
    }
    Ok(Value::Object(body))
}

/// Reads a request body from a file, or from standard input.
pub(super) fn read_body(file: &std::path::Path) -> anyhow::Result<Value> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn read_models(texts: &[String]) -> anyhow::Result<Value> {
    texts.iter().map(|text| read_model(text)).collect()
}

/// Reads `acme/chat:REQUEST/MINUTE=100,TOKEN/DAY=1000000,CONCURRENCY=4,ADMISSION=hard`.
fn read_model(text: &str) -> anyhow::Result<Value> {
    let (slug, parts) = text.split_once(':').unwrap_or((text, ""));
    let mut model = json!({ "slug": slug, "rate_limits": [], "usage_limits": [] });
    for part in parts.split(',').filter(|part| !part.is_empty()) {
        let wrong = || Usage(format!("--model: `{part}` is not a limit such as REQUEST/MINUTE=100"));
        let (name, value) = part.split_once('=').ok_or_else(wrong)?;
        let number = || value.parse::<u64>().map_err(|_| wrong());
        match name.to_ascii_uppercase().as_str() {
            "ADMISSION" => set_once(&mut model, "admission", value.to_ascii_lowercase().into())?,
            "CONCURRENCY" => set_once(&mut model, "max_concurrent_requests", number()?.into())?,
            window => {
                let (kind, unit) = window.split_once('/').ok_or_else(wrong)?;
                let limit = json!({ "type": kind, "unit": unit, "threshold": number()? });
                let list = if unit == "DAY" { "usage_limits" } else { "rate_limits" };
                model[list].as_array_mut().ok_or_else(wrong)?.push(limit);
            }
        }
    }
    Ok(model)
}

fn set_once(model: &mut Value, field: &str, value: Value) -> anyhow::Result<()> {
    if !model[field].is_null() {
        return Err(Usage(format!("--model: {field} of {} is given twice", text(&model["slug"]))).into());
    }
    model[field] = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_read_with_its_limits() {
        let model = read_model("acme/chat:request/minute=100,TOKEN/DAY=5").unwrap();
        assert_eq!(model["slug"], "acme/chat");
        assert_eq!(model["rate_limits"][0], json!({ "type": "REQUEST", "unit": "MINUTE", "threshold": 100 }));
        assert_eq!(model["usage_limits"][0], json!({ "type": "TOKEN", "unit": "DAY", "threshold": 5 }));
        let bounded = read_model("acme/chat:concurrency=4,ADMISSION=Hard").unwrap();
        assert_eq!((&bounded["max_concurrent_requests"], &bounded["admission"]), (&json!(4), &json!("hard")));
        assert!(read_model("acme/chat:CONCURRENCY=few").is_err());
        assert!(read_model("acme/chat:CONCURRENCY=4,CONCURRENCY=5").is_err());
        assert!(read_model("acme/chat:ADMISSION=hard,TOKEN/DAY=5,ADMISSION=estimate").is_err());
        assert!(read_model("acme/chat:REQUEST=1").is_err());
        assert!(read_model("acme/chat:REQUEST/MINUTE=many").is_err());
    }
}
