//! The configuration as rows: what a change writes.

use domain::{
    Change, ConfigId, ConfigIdentity, Endpoint, Group, Key, KeyHash, ManagementKey, ModelConfig, Prefix,
    Prefixes, PriceBook, PriceSource, Record, Secret, Version, Workspace,
};
use rusqlite::{Connection, Transaction, params};

use super::fields::{count, id, json, word};
use super::webhook_rows;
use crate::vault::Vault;

/// Writes a change and its version.
pub(crate) fn write(tx: &Transaction<'_>, vault: &Vault, change: &Change) -> rusqlite::Result<()> {
    for record in &change.records {
        write_record(tx, vault, record)?;
    }
    write_version(tx, change.version)
}

/// Writes which version the rows make up.
pub(crate) fn write_version(tx: &Transaction<'_>, version: Version) -> rusqlite::Result<()> {
    let sql = "INSERT INTO config VALUES ('version', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    tx.prepare_cached(sql)?.execute([count(version.0)]).map(drop)
}

/// Writes one object.
pub(crate) fn write_record(tx: &Transaction<'_>, vault: &Vault, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Workspace(workspace) => write_workspace(tx, workspace),
        Record::Group(group) => write_group(tx, group),
        Record::GroupDeleted { id: group, at_s } => {
            let sql = "UPDATE groups SET deleted_s = ?2 WHERE id = ?1";
            tx.prepare_cached(sql)?.execute(params![id(group.0), count(*at_s)]).map(drop)
        }
        Record::Key(key) => write_key(tx, key),
        Record::KeyRevoked { hash, at_s } => {
            let sql = "UPDATE keys SET revoked_s = ?2 WHERE hash = ?1";
            tx.prepare_cached(sql)?.execute(params![hash.0, count(*at_s)]).map(drop)
        }
        Record::ManagementKey(key) => write_management_key(tx, key),
        Record::ManagementKeyDeleted { hash, at_s } => {
            let sql = "UPDATE management_keys SET deleted_s = ?2 WHERE hash = ?1";
            tx.prepare_cached(sql)?.execute(params![hash.0, count(*at_s)]).map(drop)
        }
        Record::Endpoint(endpoint) => write_endpoint(tx, endpoint),
        Record::EndpointDeleted { id: endpoint } => tx
            .prepare_cached("DELETE FROM endpoints WHERE id = ?1")?
            .execute(params![id(endpoint.0)])
            .map(drop),
        Record::Secret(secret) => write_secret(tx, vault, secret),
        Record::SecretDeleted { workspace, name } => {
            let sql = "DELETE FROM secrets WHERE workspace = ?1 AND name = ?2";
            tx.prepare_cached(sql)?.execute(params![id(workspace.0), name]).map(drop)
        }
        Record::Webhook(webhook) => webhook_rows::write(tx, vault, webhook),
        Record::WebhookDeleted { workspace, at_ms } => webhook_rows::delete(tx, *workspace, *at_ms),
        Record::ModelConfig { config, .. } => write_model_config(tx, config),
        Record::ModelConfigDeleted { id } => delete_model_config(tx, *id),
        Record::Prices { source, book } => write_prices(tx, *source, book),
        // Only the ledger knows what a line has used.
        Record::LineReset { .. } => Ok(()),
    }
}

/// Writes when management keys were last used, all in one transaction.
pub(crate) fn write_last_used(connection: &Connection, uses: &[(KeyHash, u64)]) -> rusqlite::Result<()> {
    let tx = connection.unchecked_transaction()?;
    let mut write = tx.prepare_cached("UPDATE management_keys SET last_used_s = ?2 WHERE hash = ?1")?;
    for (hash, at_s) in uses {
        write.execute(params![hash.0, count(*at_s)])?;
    }
    drop(write);
    tx.commit()
}

fn write_workspace(tx: &Transaction<'_>, workspace: &Workspace) -> rusqlite::Result<()> {
    let Workspace { id: workspace, name, onboarded, org_prefixes, ed25519_public_key, serial, created_s } =
        workspace;
    let prefixes = match org_prefixes {
        Prefixes::Rest => None,
        Prefixes::Listed(list) => Some(json(&list.iter().map(Prefix::as_str).collect::<Vec<_>>())?),
    };
    let sql =
        "INSERT INTO workspaces (id, name, onboarded, org_prefixes, ed25519_public_key, serial, created_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, onboarded = excluded.onboarded,
                   org_prefixes = excluded.org_prefixes, ed25519_public_key = excluded.ed25519_public_key";
    let values = params![
        id(workspace.0),
        name,
        onboarded,
        prefixes,
        ed25519_public_key,
        count(serial.0),
        count(*created_s)
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn write_group(tx: &Transaction<'_>, group: &Group) -> rusqlite::Result<()> {
    let Group { id: group, workspace, serial, metadata, models, enforcement, parent, root, level, created_s } =
        group;
    let sql =
        "INSERT INTO groups (id, workspace, serial, name, external_entity_id, models, enforcement, parent,
                   root, level, created_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name,
                   external_entity_id = excluded.external_entity_id, models = excluded.models,
                   enforcement = excluded.enforcement";
    let values = params![
        id(group.0),
        id(workspace.0),
        count(serial.0),
        metadata.name,
        metadata.external_entity_id,
        json(models)?,
        word(enforcement)?,
        parent.map(|parent| id(parent.0)),
        id(root.0),
        level,
        count(*created_s),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// A key is only ever added: one that was revoked cannot come back.
fn write_key(tx: &Transaction<'_>, key: &Key) -> rusqlite::Result<()> {
    let Key { prefix, hash, workspace, group, name, user_id, serial, created_s } = key;
    let sql = "INSERT INTO keys (hash, workspace, prefix, group_id, name, user_id, serial, created_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (workspace, group) = (id(workspace.0), id(group.0));
    let values = params![hash.0, workspace, prefix, group, name, user_id, count(serial.0), count(*created_s)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// One that was deleted is put in force again only where the environment gives it again: no other edit brings a key
/// that somebody else chose.
fn write_management_key(tx: &Transaction<'_>, key: &ManagementKey) -> rusqlite::Result<()> {
    let ManagementKey { id: key, name, prefix, hash, workspace, scope, from_environment, serial, created_s } =
        key;
    let sql =
        "INSERT INTO management_keys (hash, id, name, prefix, workspace, scope, from_environment, serial,
                   created_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
               ON CONFLICT (hash) DO UPDATE SET id = excluded.id, name = excluded.name,
                   workspace = excluded.workspace, scope = excluded.scope,
                   from_environment = excluded.from_environment, serial = excluded.serial,
                   created_s = excluded.created_s, deleted_s = NULL, last_used_s = NULL";
    let values = params![
        hash.0,
        id(key.0),
        name,
        prefix,
        id(workspace.0),
        word(scope)?,
        from_environment,
        count(serial.0),
        count(*created_s)
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn write_endpoint(tx: &Transaction<'_>, endpoint: &Endpoint) -> rusqlite::Result<()> {
    let Endpoint {
        id: endpoint,
        workspace,
        serial,
        slug,
        region,
        target,
        admission,
        private_allowed,
        created_s,
        updated_s,
    } = endpoint;
    let sql =
        "INSERT INTO endpoints (id, workspace, serial, slug, region, target, admission, private_allowed,
                   created_s, updated_s)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
               ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, region = excluded.region,
                   target = excluded.target, admission = excluded.admission,
                   private_allowed = excluded.private_allowed, updated_s = excluded.updated_s";
    let values = params![
        id(endpoint.0),
        id(workspace.0),
        count(serial.0),
        slug.as_str(),
        word(region)?,
        json(target)?,
        word(admission)?,
        private_allowed,
        count(*created_s),
        count(*updated_s),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn write_secret(tx: &Transaction<'_>, vault: &Vault, secret: &Secret) -> rusqlite::Result<()> {
    let Secret { workspace, name, value, created_s } = secret;
    let sealed = vault.seal(*workspace, name, value.expose());
    let sql = "INSERT INTO secrets (workspace, name, sealed, created_s) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (workspace, name) DO UPDATE SET sealed = excluded.sealed, created_s = excluded.created_s";
    tx.prepare_cached(sql)?.execute(params![id(workspace.0), name, sealed, count(*created_s)]).map(drop)
}

fn write_model_config(tx: &Transaction<'_>, config: &ModelConfig) -> rusqlite::Result<()> {
    let ModelConfig {
        id: config,
        workspace,
        serial,
        identity,
        calendar_aligned,
        budgets,
        rate_limits,
        created_ms,
        updated_ms,
    } = config;
    let ConfigIdentity { scope, model_name, provider } = identity;
    let sql = "INSERT INTO model_configs (id, workspace, serial, scope, scope_id, model_name, provider, calendar_aligned,
                   budgets, rate_limits, created_ms, updated_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
               ON CONFLICT (id) DO UPDATE SET model_name = excluded.model_name, provider = excluded.provider,
                   calendar_aligned = excluded.calendar_aligned, budgets = excluded.budgets,
                   rate_limits = excluded.rate_limits, updated_ms = excluded.updated_ms";
    let values = params![
        config.as_bytes(),
        id(workspace.0),
        count(serial.0),
        scope.name(),
        scope.id(),
        model_name,
        provider,
        calendar_aligned,
        json(budgets)?,
        json(rate_limits)?,
        count(*created_ms),
        count(*updated_ms),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn delete_model_config(tx: &Transaction<'_>, config: ConfigId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM model_configs WHERE id = ?1")?.execute([config.as_bytes()]).map(drop)
}

fn write_prices(
    tx: &Transaction<'_>,
    source: PriceSource,
    PriceBook(prices): &PriceBook,
) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM prices WHERE source = ?1", [source.name()])?;
    let mut write = tx.prepare_cached("INSERT INTO prices VALUES (?1, ?2, ?3, ?4)")?;
    for ((provider, model), pricing) in prices {
        write.execute(params![source.name(), provider, model, json(pricing)?])?;
    }
    Ok(())
}
