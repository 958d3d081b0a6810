//! `tollgate workspace keys`: who may manage a workspace. To rotate a key: mint, deploy, revoke.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Form, escaped};
use super::output::{say, say_json, say_table, text};
use super::workspace::path;

#[derive(Debug, Subcommand)]
pub(super) enum ManagementKeysCommand {
    /// Give a workspace one more management key. The key is shown this once.
    Mint {
        /// The workspace's id.
        #[arg(value_name = "WORKSPACE")]
        of: String,
        /// What it may do.
        #[arg(long)]
        scope: ScopeWord,
        /// A name for people.
        #[arg(long)]
        name: Option<String>,
    },
    /// List a workspace's management keys.
    List {
        /// The workspace's id.
        #[arg(value_name = "WORKSPACE")]
        of: String,
    },
    /// Revoke a management key for good.
    Revoke {
        /// The workspace's id.
        #[arg(value_name = "WORKSPACE")]
        of: String,
        /// The key's id.
        id: String,
    },
}

/// What a management key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScopeWord {
    /// Everything, in every workspace.
    Operator,
    /// Everything in its workspace.
    Manage,
    /// Reading, in its workspace.
    View,
    /// Nothing.
    None,
}

impl ScopeWord {
    fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Manage => "manage",
            Self::View => "view",
            Self::None => "none",
        }
    }
}

pub(super) async fn run(client: &Client, command: ManagementKeysCommand) -> anyhow::Result<()> {
    match command {
        ManagementKeysCommand::Mint { of, scope, name } => {
            let body = json!({ "name": name, "scope": scope.word() });
            let minted = client.post(&keys(&of), &body).await?;
            match client.form {
                Form::Json => say_json(&minted),
                Form::Table => say(&text(&minted["key"])),
            }
        }
        ManagementKeysCommand::List { of } => list(client, &of).await,
        ManagementKeysCommand::Revoke { of, id } => {
            let revoked = client.delete(&format!("{}/{}", keys(&of), escaped(&id))).await?;
            match client.form {
                Form::Json => say_json(&revoked),
                Form::Table => say(&format!("{} is revoked", text(&revoked["id"]))),
            }
        }
    }
}

async fn list(client: &Client, workspace: &str) -> anyhow::Result<()> {
    let listed = client.list(&keys(workspace)).await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(listed));
    }
    let fields = ["id", "name", "scope", "prefix", "created_at", "last_used_at"];
    let rows: Vec<_> =
        listed.iter().map(|key| fields.iter().map(|field| text(&key[*field])).collect()).collect();
    say_table(&["ID", "NAME", "SCOPE", "PREFIX", "CREATED", "LAST USED"], &rows)
}

fn keys(workspace: &str) -> String {
    format!("{}/management_keys", path(workspace))
}
