//! `tollgate secrets`: credentials for model servers. Values go in and never come out.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Form, escaped};
use super::output::{say, say_json, say_table, text};

#[derive(Debug, Subcommand)]
pub(super) enum SecretsCommand {
    /// Create a secret or replace its value. The value is read from standard input, so that no shell remembers it.
    Put {
        /// Its name; targets refer to it.
        name: String,
        /// Read the value from this file instead.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// List the names.
    List,
    /// Delete a secret that no endpoint uses.
    Delete {
        /// Its name.
        name: String,
    },
}

pub(super) async fn run(client: &Client, command: SecretsCommand) -> anyhow::Result<()> {
    match command {
        SecretsCommand::Put { name, file } => {
            let value = read_value(file.as_deref())?;
            let put = client.post("/v1/secrets", &json!({ "name": name, "value": value.trim_end() })).await?;
            show(client, &put)
        }
        SecretsCommand::List => {
            let secrets = client.list("/v1/secrets").await?;
            if client.form == Form::Json {
                return say_json(&Value::Array(secrets));
            }
            let rows: Vec<_> =
                secrets.iter().map(|s| vec![text(&s["name"]), text(&s["created_at"])]).collect();
            say_table(&["NAME", "CREATED"], &rows)
        }
        SecretsCommand::Delete { name } => {
            show(client, &client.delete(&format!("/v1/secrets/{}", escaped(&name))).await?)
        }
    }
}

fn read_value(file: Option<&std::path::Path>) -> anyhow::Result<String> {
    if let Some(file) = file {
        return std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    }
    if std::io::stdin().is_terminal() {
        say("Value, then Ctrl-D:")?;
    }
    Ok(std::io::read_to_string(std::io::stdin())?)
}

fn show(client: &Client, secret: &Value) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(secret),
        Form::Table => say(&text(&secret["name"])),
    }
}
