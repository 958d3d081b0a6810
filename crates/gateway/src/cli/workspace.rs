//! `tollgate workspace`: tenants, and the way back in when every operator's key is lost.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::{Access, Client, Form, escaped};
use super::management_keys::{self, ManagementKeysCommand};
use super::output::{say, say_json, say_table, text};
use super::recover::{self, RecoverArgs};

#[derive(Debug, Subcommand)]
pub(super) enum WorkspaceCommand {
    /// Create a workspace. Its first management key is shown this once.
    Create {
        /// A name for people.
        name: String,
        #[command(flatten)]
        fields: FieldArgs,
    },
    /// List every workspace.
    List,
    /// Change a workspace; what is not named stays.
    Set {
        /// The workspace's id.
        id: String,
        /// A new name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: FieldArgs,
        /// Own no slug prefix.
        #[arg(long, conflicts_with = "prefix")]
        no_prefixes: bool,
        /// Take no registered keys any more.
        #[arg(long, conflicts_with = "public_key")]
        no_public_key: bool,
    },
    /// Mint an operator's key on the machine itself, with the gateway running or not.
    Recover(RecoverArgs),
    /// Management keys.
    #[command(subcommand)]
    Keys(ManagementKeysCommand),
}

#[derive(Debug, clap::Args)]
pub(super) struct FieldArgs {
    /// A slug prefix it owns; `*` alone gives the first workspace every prefix that nobody else owns. Repeat for
    /// more; all of them together replace the former set.
    #[arg(long)]
    prefix: Vec<String>,
    /// Whether it may manage and call.
    #[arg(long)]
    onboarded: Option<bool>,
    /// The Ed25519 public key that registered keys are signed with: the base64 of its 32 bytes.
    #[arg(long)]
    public_key: Option<String>,
}

pub(super) async fn run(access: &Access, command: WorkspaceCommand) -> anyhow::Result<()> {
    match command {
        WorkspaceCommand::Recover(args) => recover::run(args).await,
        WorkspaceCommand::Create { name, fields } => create(&access.client()?, &name, fields).await,
        WorkspaceCommand::List => list(&access.client()?).await,
        WorkspaceCommand::Set { id, name, fields, no_prefixes, no_public_key } => {
            let mut body = fields.body();
            body.extend(name.map(|name| ("name".to_owned(), Value::from(name))));
            body.extend(no_prefixes.then(|| ("org_prefixes".to_owned(), json!([]))));
            body.extend(no_public_key.then(|| ("ed25519_public_key".to_owned(), Value::Null)));
            let client = access.client()?;
            let set = client.patch(&path(&id), &Value::Object(body)).await?;
            show(&client, &set)
        }
        WorkspaceCommand::Keys(command) => management_keys::run(&access.client()?, command).await,
    }
}

impl FieldArgs {
    /// What was said, and nothing else.
    fn body(self) -> Map<String, Value> {
        let prefixes = if self.prefix.is_empty() { None } else { Some(json!(self.prefix)) };
        let fields = [
            ("org_prefixes", prefixes),
            ("onboarded", self.onboarded.map(Value::from)),
            ("ed25519_public_key", self.public_key.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

pub(super) fn path(id: &str) -> String {
    format!("/v1/workspaces/{}", escaped(id))
}

async fn create(client: &Client, name: &str, fields: FieldArgs) -> anyhow::Result<()> {
    let mut body = fields.body();
    body.insert("name".to_owned(), name.into());
    let created = client.post("/v1/workspaces", &Value::Object(body)).await?;
    match client.form {
        Form::Json => say_json(&created),
        Form::Table => {
            show(client, &created)?;
            say(&text(&created["management_key"]))
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let workspaces = client.list("/v1/workspaces").await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(workspaces));
    }
    let row = |workspace: &Value| {
        let prefixes = workspace["org_prefixes"].as_array().map(Vec::as_slice).unwrap_or_default();
        vec![
            text(&workspace["id"]),
            text(&workspace["name"]),
            text(&workspace["onboarded"]),
            prefixes.iter().map(text).collect::<Vec<_>>().join(", "),
            text(&workspace["ed25519_public_key"]),
        ]
    };
    let rows: Vec<_> = workspaces.iter().map(row).collect();
    say_table(&["ID", "NAME", "ONBOARDED", "PREFIXES", "PUBLIC KEY"], &rows)
}

fn show(client: &Client, workspace: &Value) -> anyhow::Result<()> {
    match client.form {
        Form::Json => say_json(workspace),
        Form::Table => say(&format!("{}  {}", text(&workspace["id"]), text(&workspace["name"]))),
    }
}
