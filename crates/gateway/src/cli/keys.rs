//! `tollgate keys`: customers' API keys.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Form, escaped};
use super::output::{say, say_json, say_table, text};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Give a group one more key. The key is shown this once.
    Mint {
        /// The group's id.
        group: String,
        /// A name for people.
        #[arg(long)]
        name: Option<String>,
        /// The end user whose calls it makes, whatever calls say themselves.
        #[arg(long, value_name = "USER")]
        user_id: Option<String>,
    },
    /// List a group's keys.
    List {
        /// The group's id.
        group: String,
    },
    /// Revoke a key for good.
    Revoke {
        /// The group's id.
        group: String,
        /// The key's prefix.
        prefix: String,
    },
}

pub(super) async fn run(client: &Client, command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Mint { group, name, user_id } => {
            let body = json!({ "name": name, "user_id": user_id });
            let minted = client.post(&path(&group), &body).await?;
            match client.form {
                Form::Json => say_json(&minted),
                Form::Table => say(&text(&minted["api_key"])),
            }
        }
        KeysCommand::List { group } => {
            let keys = client.list(&path(&group)).await?;
            if client.form == Form::Json {
                return say_json(&Value::Array(keys));
            }
            let row = |key: &Value| ["prefix", "name", "user_id"].map(|member| text(&key[member])).to_vec();
            let rows: Vec<_> = keys.iter().map(row).collect();
            say_table(&["PREFIX", "NAME", "USER"], &rows)
        }
        KeysCommand::Revoke { group, prefix } => {
            let revoked = client.delete(&format!("{}/{}", path(&group), escaped(&prefix))).await?;
            match client.form {
                Form::Json => say_json(&revoked),
                Form::Table => say(&format!("{} is revoked", text(&revoked["prefix"]))),
            }
        }
    }
}

fn path(group: &str) -> String {
    format!("/v1/gateway/groups/{}/api_keys", escaped(group))
}
