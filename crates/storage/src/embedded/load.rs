//! What a start reads: the configuration as one snapshot, and today's use.

use std::sync::Arc;

use domain::{
    ConfigId, ConfigIdentity, ConfigScope, Day, Endpoint, EndpointId, GroupId, LineId, ManagementKey,
    ManagementKeyId, Meter, ModelConfig, Prefix, Prefixes, PriceBook, PriceSource, Record, Secret,
    SecretValue, Slug, Snapshot, Stored, Version, Workspace, WorkspaceId,
};
use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, OptionalExtension, Row};

use super::customer_rows::Customers;
use super::fields::{Json, Parsed, Word, read_count, read_hash, read_id};
use super::{customer_rows, span_rows, webhook_rows};
use crate::error::OpenError;
use crate::last_used::LastUsed;
use crate::line_use::{LineUse, Written};
use crate::today::{Today, Use, UseKey, UseScope};
use crate::vault::{CheckValue, Vault};

/// Checks that this store was made with this master key.
pub(crate) fn check_master_key(connection: &Connection, vault: &Vault) -> Result<(), OpenError> {
    let stored: Option<CheckValue> =
        config(connection, "check").map_err(OpenError::database("reading the check value"))?;
    match stored {
        Some(stored) if stored != vault.check_value() => Err(OpenError::WrongMasterKey),
        _ => Ok(()),
    }
}

/// Lets a new store know its master key.
pub(crate) fn keep_check_value(connection: &Connection, vault: &Vault) -> rusqlite::Result<()> {
    let sql = "INSERT INTO config VALUES ('check', ?1) ON CONFLICT DO NOTHING";
    connection.execute(sql, [vault.check_value()]).map(drop)
}

/// The configuration in force: customers as they were read, and all the rest.
pub(crate) fn snapshot(
    connection: &Connection,
    vault: &Vault,
    (groups, keys): Customers,
) -> rusqlite::Result<Snapshot> {
    let others = [
        read(connection, "SELECT * FROM workspaces", workspace)?,
        read(connection, "SELECT * FROM management_keys WHERE deleted_s IS NULL", management_key)?,
        read(connection, "SELECT * FROM secrets", |row| secret(row, vault))?,
        read(connection, "SELECT * FROM webhooks", |row| webhook_rows::read(row, vault))?,
        read(connection, "SELECT * FROM endpoints", endpoint)?,
        read(connection, "SELECT * FROM model_configs", model_config)?,
        prices(connection)?,
    ];
    let version = config(connection, "version")?.map_or(0, i64::cast_unsigned);
    let others = others.into_iter().flatten().collect();
    Ok(Snapshot::load(Stored { version: Version(version), groups, keys, others }))
}

/// Groups, endpoints, model configs and prices alone.
pub(crate) fn outline(connection: &Connection) -> rusqlite::Result<Snapshot> {
    let mut others = read(connection, "SELECT * FROM workspaces", workspace)?;
    others.extend(read(connection, "SELECT * FROM endpoints", endpoint)?);
    others.extend(read(connection, "SELECT * FROM model_configs", model_config)?);
    others.extend(prices(connection)?);
    Ok(Snapshot::load(Stored { groups: customer_rows::groups(connection)?, others, ..Stored::default() }))
}

/// What was used on `day`. Later days are read too, in case the clock was wrong, but `day` last, so that it stays.
pub(crate) fn today(connection: &Connection, day: Day) -> rusqlite::Result<Today> {
    let today = Today::default();
    let sql = "SELECT * FROM day_use WHERE day >= ?1 ORDER BY day DESC";
    let mut statement = connection.prepare(sql)?;
    for row in statement.query_map([day.0], day_use)? {
        today.add([row?]);
    }
    Ok(today)
}

/// When management keys in force were last used.
pub(crate) fn last_used(connection: &Connection) -> rusqlite::Result<LastUsed> {
    let sql =
        "SELECT hash, last_used_s FROM management_keys WHERE deleted_s IS NULL AND last_used_s IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let uses = statement.query_map([], |row| Ok((read_hash(row, 0)?, read_count(row, 1)?)))?;
    Ok(LastUsed::load(uses.collect::<rusqlite::Result<Vec<_>>>()?))
}

/// The latest time of settlement in the ledger; 0 if it is empty.
pub(crate) fn last_recorded_ms(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(config(connection, "last_recorded_ms")?.map_or(0, i64::cast_unsigned))
}

/// The latest settlement among the entries that retention took out; none where it took out none.
pub(crate) fn pruned_ms(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    Ok(config(connection, "pruned_ms")?.map(i64::cast_unsigned))
}

fn read(
    connection: &Connection,
    sql: &str,
    record: impl FnMut(&Row<'_>) -> rusqlite::Result<Record>,
) -> rusqlite::Result<Vec<Record>> {
    connection.prepare(sql)?.query_map([], record)?.collect()
}

fn config<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    connection.query_row("SELECT value FROM config WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn workspace(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record::Workspace(Arc::new(Workspace {
        id: WorkspaceId(read_id(row, "id")?),
        name: row.get("name")?,
        onboarded: row.get("onboarded")?,
        org_prefixes: prefixes(row.get("org_prefixes")?)?,
        ed25519_public_key: row.get("ed25519_public_key")?,
        serial: Version(read_count(row, "serial")?),
        created_s: read_count(row, "created_s")?,
    })))
}

fn prefixes(listed: Option<Json<Vec<String>>>) -> rusqlite::Result<Prefixes> {
    let Some(Json(listed)) = listed else { return Ok(Prefixes::Rest) };
    let prefix = |text: String| text.parse::<Prefix>();
    let prefixes = listed.into_iter().map(prefix).collect::<Result<_, _>>();
    prefixes.map(Prefixes::Listed).map_err(|_| {
        let why = "a prefix of a workspace cannot stand in a slug: its row was changed";
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into())
    })
}

fn management_key(row: &Row<'_>) -> rusqlite::Result<Record> {
    let Word(scope) = row.get("scope")?;
    Ok(Record::ManagementKey(Arc::new(ManagementKey {
        id: ManagementKeyId(read_id(row, "id")?),
        name: row.get("name")?,
        prefix: row.get("prefix")?,
        hash: read_hash(row, "hash")?,
        workspace: WorkspaceId(read_id(row, "workspace")?),
        scope,
        from_environment: row.get("from_environment")?,
        serial: Version(read_count(row, "serial")?),
        created_s: read_count(row, "created_s")?,
    })))
}

fn secret(row: &Row<'_>, vault: &Vault) -> rusqlite::Result<Record> {
    let workspace = WorkspaceId(read_id(row, "workspace")?);
    let name: Arc<str> = row.get("name")?;
    let sealed: Vec<u8> = row.get("sealed")?;
    let plain = vault.open(workspace, &name, &sealed).ok_or_else(|| {
        let why = format!("the secret `{name}` does not open: its row was changed");
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, why.into())
    })?;
    let value = SecretValue::new(&plain);
    Ok(Record::Secret(Arc::new(Secret { workspace, name, value, created_s: read_count(row, "created_s")? })))
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<Record> {
    let Parsed(slug) = row.get("slug")?;
    let Word(region) = row.get("region")?;
    let Json(target) = row.get("target")?;
    let admission: Option<Word<_>> = row.get("admission")?;
    Ok(Record::Endpoint(Arc::new(Endpoint {
        id: EndpointId(read_id(row, "id")?),
        workspace: WorkspaceId(read_id(row, "workspace")?),
        serial: Version(read_count(row, "serial")?),
        slug,
        region,
        target,
        admission: admission.map(|Word(admission)| admission),
        private_allowed: row.get("private_allowed")?,
        created_s: read_count(row, "created_s")?,
        updated_s: read_count(row, "updated_s")?,
    })))
}

fn model_config(row: &Row<'_>) -> rusqlite::Result<Record> {
    let Json(budgets) = row.get("budgets")?;
    let Json(rate_limits) = row.get("rate_limits")?;
    let config = Arc::new(ModelConfig {
        id: ConfigId::from_bytes(row.get("id")?),
        workspace: WorkspaceId(read_id(row, "workspace")?),
        serial: Version(read_count(row, "serial")?),
        identity: ConfigIdentity {
            scope: config_scope(row)?,
            model_name: row.get("model_name")?,
            provider: row.get("provider")?,
        },
        calendar_aligned: row.get("calendar_aligned")?,
        budgets,
        rate_limits,
        created_ms: read_count(row, "created_ms")?,
        updated_ms: read_count(row, "updated_ms")?,
    });
    Ok(Record::ModelConfig { config, inherits: Vec::new() })
}

fn config_scope(row: &Row<'_>) -> rusqlite::Result<ConfigScope> {
    let scope: Box<str> = row.get("scope")?;
    match &*scope {
        "global" => Ok(ConfigScope::Global),
        "virtual_key" => row.get("scope_id").map(ConfigScope::VirtualKey),
        "user" => row.get("scope_id").map(ConfigScope::User),
        "group" => row.get::<_, Parsed<GroupId>>("scope_id").map(|Parsed(id)| ConfigScope::Group(id)),
        _ => {
            let why = "a model config has a scope that this program does not know: its row was changed";
            Err(rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into()))
        }
    }
}

/// Every price, source by source.
fn prices(connection: &Connection) -> rusqlite::Result<Vec<Record>> {
    let mut ask = connection.prepare("SELECT provider, model, pricing FROM prices WHERE source = ?1")?;
    let mut of = |source: PriceSource| {
        let price = |row: &Row<'_>| {
            let Json(pricing) = row.get(2)?;
            Ok(((row.get(0)?, row.get(1)?), Arc::new(pricing)))
        };
        let book = ask.query_map([source.name()], price)?.collect::<rusqlite::Result<_>>()?;
        Ok(Record::Prices { source, book: Arc::new(PriceBook(book)) })
    };
    PriceSource::ALL.into_iter().map(&mut of).collect()
}

/// What each line of these configs has used by the ledger.
pub(crate) fn line_use(connection: &Connection, snapshot: &Snapshot) -> rusqlite::Result<LineUse> {
    let use_of_lines = LineUse::of(snapshot);
    let mut ask = connection.prepare("SELECT line, meter, start_ms, used FROM line_use")?;
    let rows = ask.query_map([], |row| {
        let Parsed::<Meter>(meter) = row.get(1)?;
        let key = (LineId::from_bytes(row.get(0)?), meter);
        Ok((key, read_count(row, 2)?, row.get::<_, i64>(3)?))
    })?;
    for row in rows {
        let (key, start_ms, used) = row?;
        let span = span_rows::latest(connection, key)?.unwrap_or_default();
        let (made_ms, since_ms) = (span.made_ms, span.since(start_ms));
        use_of_lines.load(key, Written { made_ms, start_ms, since_ms, used });
    }
    Ok(use_of_lines)
}

fn day_use(row: &Row<'_>) -> rusqlite::Result<(UseKey, Use)> {
    let Parsed::<Slug>(slug) = row.get("slug")?;
    let scope: Box<str> = row.get("scope")?;
    let scope = if &*scope == UseScope::Own.name() { UseScope::Own } else { UseScope::Subtree };
    let key = UseKey { group: GroupId(read_id(row, "group_id")?), scope, slug, day: Day(row.get("day")?) };
    Ok((key, Use { requests: read_count(row, "requests")?, tokens: read_count(row, "tokens")? }))
}
