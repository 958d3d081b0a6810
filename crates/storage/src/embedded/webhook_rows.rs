//! Webhooks as rows. Secrets lie sealed; the cursor is set when a webhook is made, and moved by what is delivered.

use std::sync::Arc;

use domain::{PreviousSecret, Record, SecretValue, Webhook, WorkspaceId};
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};

use super::delivery_rows;
use super::fields::{Parsed, count, id, read_count, read_id};
use crate::vault::Vault;

/// What the secrets are sealed as. No secret of a workspace can have such a name.
const NEWEST: &str = "webhook secret";
const PREVIOUS: &str = "webhook secret before";

/// Writes a webhook. A new one begins with the next event.
pub(crate) fn write(tx: &Transaction<'_>, vault: &Vault, webhook: &Webhook) -> rusqlite::Result<()> {
    let Webhook { workspace, url, description, batch_max, secret, previous, created_s, updated_s } = webhook;
    let sealed_previous =
        previous.as_ref().map(|previous| vault.seal(*workspace, PREVIOUS, previous.secret.expose()));
    let next = delivery_rows::last_sequence(tx, *workspace)?.saturating_add(1);
    let sql = "INSERT INTO webhooks (workspace, url, description, batch_max, sealed, previous_sealed, previous_until_s,
                   next_sequence, created_s, updated_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
               ON CONFLICT (workspace) DO UPDATE SET url = excluded.url, description = excluded.description,
                   batch_max = excluded.batch_max, sealed = excluded.sealed,
                   previous_sealed = excluded.previous_sealed, previous_until_s = excluded.previous_until_s,
                   updated_s = excluded.updated_s";
    let values = params![
        id(workspace.0),
        url.as_str(),
        description,
        batch_max,
        vault.seal(*workspace, NEWEST, secret.expose()),
        sealed_previous,
        previous.as_ref().map(|previous| count(previous.until_s)),
        count(next),
        count(*created_s),
        count(*updated_s),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Deletes a webhook. What it has not delivered becomes dead letters.
pub(crate) fn delete(tx: &Transaction<'_>, workspace: WorkspaceId, at_ms: u64) -> rusqlite::Result<()> {
    delivery_rows::bury(tx, workspace, at_ms)?;
    tx.prepare_cached("DELETE FROM webhooks WHERE workspace = ?1")?.execute([id(workspace.0)]).map(drop)
}

/// A webhook as it is loaded.
pub(crate) fn read(row: &Row<'_>, vault: &Vault) -> rusqlite::Result<Record> {
    let workspace = WorkspaceId(read_id(row, "workspace")?);
    let opened = |name: &str, sealed: &[u8]| {
        let plain = vault.open(workspace, name, sealed).ok_or_else(|| {
            let why = "the secret of a webhook does not open: its row was changed";
            rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, why.into())
        })?;
        Ok::<_, rusqlite::Error>(SecretValue::new(&plain))
    };
    let sealed: Vec<u8> = row.get("sealed")?;
    let previous: Option<Vec<u8>> = row.get("previous_sealed")?;
    let until_s = row.get::<_, Option<i64>>("previous_until_s")?.unwrap_or(0);
    let previous = previous.map(|sealed| {
        let secret = opened(PREVIOUS, &sealed)?;
        Ok::<_, rusqlite::Error>(PreviousSecret { secret, until_s: u64::try_from(until_s).unwrap_or(0) })
    });
    let Parsed(url) = row.get("url")?;
    Ok(Record::Webhook(Arc::new(Webhook {
        workspace,
        url,
        description: row.get("description")?,
        batch_max: row.get("batch_max")?,
        secret: opened(NEWEST, &sealed)?,
        previous: previous.transpose()?,
        created_s: read_count(row, "created_s")?,
        updated_s: read_count(row, "updated_s")?,
    })))
}
