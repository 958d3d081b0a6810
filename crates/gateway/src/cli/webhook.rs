//! `tollgate webhook`: where billing events are sent, and what could not be delivered.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::{Client, Form};
use super::output::{say, say_json, say_table, text};

const WEBHOOK: &str = "/v1/gateway/webhook";
const DEAD_LETTERS: &str = "/v1/gateway/webhook/dead_letters";

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Make the webhook of the workspace, or change it. The signing secret is shown when it is made, and never again.
    Set {
        /// Where events are sent: https, unless `webhooks.allow_private` is on.
        #[arg(value_name = "RECEIVER")]
        receiver: String,
        /// For people.
        #[arg(long)]
        description: Option<String>,
        /// Most events of one delivery, 1 to 1000.
        #[arg(long, default_value_t = 1)]
        batch_max: u16,
    },
    /// Show the webhook, without its secret.
    Get,
    /// Delete the webhook; what it has not delivered becomes dead letters.
    Delete,
    /// Replace the signing secret. Events are signed with the former one as well for 24 hours.
    RotateSecret,
    /// Send a signed sample event and show what came of it.
    Test,
    /// List deliveries that were given up.
    DeadLetters,
    /// Deliver dead letters once more: all, or those with these ids.
    Redrive {
        /// Ids of dead letters.
        ids: Vec<String>,
    },
}

pub(super) async fn run(client: &Client, command: WebhookCommand) -> anyhow::Result<()> {
    match command {
        WebhookCommand::Set { receiver, description, batch_max } => {
            let body = json!({ "url": receiver, "description": description, "batch_max": batch_max });
            show(client, &client.put(WEBHOOK, &body).await?)
        }
        WebhookCommand::Get => show(client, &client.get(WEBHOOK).await?),
        WebhookCommand::Delete => show(client, &client.delete(WEBHOOK).await?),
        WebhookCommand::RotateSecret => {
            show(client, &client.post(&format!("{WEBHOOK}/rotate_secret"), &json!({})).await?)
        }
        WebhookCommand::Test => test(client).await,
        WebhookCommand::DeadLetters => dead_letters(client).await,
        WebhookCommand::Redrive { ids } => {
            let body = if ids.is_empty() { json!({}) } else { json!({ "ids": ids }) };
            show(client, &client.post(&format!("{DEAD_LETTERS}/redrive"), &body).await?)
        }
    }
}

/// A receiver that does not take the sample is a problem that was found.
async fn test(client: &Client) -> anyhow::Result<()> {
    let tested = client.post(&format!("{WEBHOOK}/test"), &json!({})).await?;
    show(client, &tested)?;
    match tested["error"].as_str() {
        Some(error) => anyhow::bail!("the receiver did not take the sample: {error}"),
        None => Ok(()),
    }
}

async fn dead_letters(client: &Client) -> anyhow::Result<()> {
    let letters = client.list(DEAD_LETTERS).await?;
    if client.form == Form::Json {
        return say_json(&Value::Array(letters));
    }
    let fields = ["id", "events", "attempts", "last_attempt_at", "last_status", "last_error"];
    let rows: Vec<_> =
        letters.iter().map(|letter| fields.map(|field| text(&letter[field])).to_vec()).collect();
    say_table(&["ID", "EVENTS", "ATTEMPTS", "LAST ATTEMPT", "STATUS", "ERROR"], &rows)
}

/// One field on a line.
fn show(client: &Client, answer: &Value) -> anyhow::Result<()> {
    if client.form == Form::Json {
        return say_json(answer);
    }
    let fields = answer.as_object().map(Map::iter).into_iter().flatten();
    let width = fields.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields {
        say(format!("{name:<width$}  {}", text(value)).trim_end())?;
    }
    Ok(())
}
