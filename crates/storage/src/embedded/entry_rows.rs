//! One line of the ledger as it is read back: for operators and tests, never on the way of a call.

use domain::{
    GroupId, LineId, Meter, Outcome, Pricing, RequestId, Slug, UnknownWord, Usage, UsageSource, Usd,
    WorkspaceId,
};
use rusqlite::{Connection, OptionalExtension, Row};

use super::fields::{Json, Parsed, read_count, read_id};

/// One line of the ledger, as [`domain::Entry`] was written. Holds no prompt and no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// The call.
    pub request_id: RequestId,
    /// Milliseconds since 1970 UTC.
    pub admitted_ms: u64,
    /// Milliseconds since 1970 UTC.
    pub settled_ms: u64,
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The calling group first, then its ancestors up to the root, as they were at admission.
    pub groups: Vec<GroupId>,
    /// The calling group's identifier at admission.
    pub external_entity_id: String,
    /// The key used.
    pub key_prefix: String,
    /// The slug called.
    pub slug: Slug,
    /// Who served it.
    pub provider: String,
    /// The model name sent upstream.
    pub upstream_model: String,
    /// The path called.
    pub route: String,
    /// How often it was sent upstream.
    pub attempts: u8,
    /// What it used.
    pub usage: Usage,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the upstream's answer, if there was one.
    pub upstream_status: Option<u16>,
    /// Milliseconds from admission to the first byte of the answer, if there was one.
    pub first_byte_ms: Option<u64>,
    /// The call's own `metadata` object as JSON text, if it had one.
    pub metadata: Option<String>,
    /// The end user it was made for, if that was known.
    pub user: Option<String>,
    /// What it cost; none where its route had no price.
    pub cost: Option<Usd>,
    /// The price that it cost so much by.
    pub price: Option<Pricing>,
    /// The lines of model configs that it was charged to.
    pub lines: Vec<(LineId, Meter)>,
    /// The sequence of its event; none where nothing is billed.
    pub sequence: Option<u64>,
}

/// An entry with what it says as others do.
const WHOLE: &str =
    "SELECT entries.*, terms.workspace, terms.group_path, terms.external_entity_id, terms.slug,
        terms.provider, terms.upstream_model, entry_prices.text AS price_text, entry_lines.text AS lines_text
    FROM entries JOIN terms ON terms.id = entries.terms
        LEFT JOIN entry_prices ON entry_prices.id = terms.price
        LEFT JOIN entry_lines ON entry_lines.id = terms.lines";

/// The entry of this call, if it has been written.
pub(crate) fn read(reader: &Connection, request: &RequestId) -> rusqlite::Result<Option<LedgerLine>> {
    let mut ask = reader.prepare_cached(&format!("{WHOLE} WHERE request_id = ?1"))?;
    ask.query_row([request.as_bytes()], line).optional()
}

/// The entries of the calls that arrived last, newest first; no more than `most`.
pub(crate) fn read_last(reader: &Connection, most: u16) -> rusqlite::Result<Vec<LedgerLine>> {
    let mut ask = reader.prepare_cached(&format!("{WHOLE} ORDER BY request_id DESC LIMIT ?1"))?;
    ask.query_map([most], line)?.collect()
}

/// The entries of calls whose ids follow this one, in the order of ids; no more than `most`.
pub(crate) fn read_after(
    reader: &Connection,
    after: &RequestId,
    most: u16,
) -> rusqlite::Result<Vec<LedgerLine>> {
    let sql = format!("{WHOLE} WHERE request_id > ?1 ORDER BY request_id LIMIT ?2");
    let mut ask = reader.prepare_cached(&sql)?;
    ask.query_map((after.as_bytes(), most), line)?.collect()
}

fn line(row: &Row<'_>) -> rusqlite::Result<LedgerLine> {
    Ok(LedgerLine {
        request_id: RequestId::from_bytes(row.get("request_id")?),
        admitted_ms: read_count(row, "admitted_ms")?,
        settled_ms: read_count(row, "settled_ms")?,
        workspace: WorkspaceId(read_id(row, "workspace")?),
        groups: row.get::<_, Parsed<GroupPath>>("group_path")?.0.0,
        external_entity_id: row.get("external_entity_id")?,
        key_prefix: row.get("key_prefix")?,
        slug: row.get::<_, Parsed<Slug>>("slug")?.0,
        provider: row.get("provider")?,
        upstream_model: row.get("upstream_model")?,
        route: row.get("route")?,
        attempts: row.get("attempts")?,
        usage: usage(row)?,
        outcome: row.get::<_, Parsed<Outcome>>("outcome")?.0,
        upstream_status: row.get("upstream_status")?,
        first_byte_ms: first_byte_ms(row)?,
        metadata: row.get("metadata")?,
        user: row.get("user_id")?,
        cost: row.get::<_, Option<i64>>("cost_nano_usd")?.map(|cost| Usd(u64::try_from(cost).unwrap_or(0))),
        price: row.get::<_, Option<Json<Pricing>>>("price_text")?.map(|Json(price)| price),
        lines: row.get::<_, Option<Parsed<Lines>>>("lines_text")?.map(|lines| lines.0.0).unwrap_or_default(),
        sequence: row.get::<_, Option<i64>>("sequence")?.map(i64::cast_unsigned),
    })
}

fn usage(row: &Row<'_>) -> rusqlite::Result<Usage> {
    Ok(Usage {
        input: read_count(row, "input_tokens")?,
        output: read_count(row, "output_tokens")?,
        cached: read_count(row, "cached_tokens")?,
        cache_written: read_count(row, "cache_written_tokens")?,
        source: row.get::<_, Parsed<UsageSource>>("usage_source")?.0,
    })
}

fn first_byte_ms(row: &Row<'_>) -> rusqlite::Result<Option<u64>> {
    let ms: Option<i64> = row.get("first_byte_ms")?;
    Ok(ms.map(|ms| u64::try_from(ms).unwrap_or(0)))
}

/// Ids as they stand in `group_path`.
pub(crate) struct GroupPath(pub(crate) Vec<GroupId>);

impl std::str::FromStr for GroupPath {
    type Err = <GroupId as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('/').filter(|id| !id.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Lines as they stand in `entry_lines`.
pub(crate) struct Lines(pub(crate) Vec<(LineId, Meter)>);

impl std::str::FromStr for Lines {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let line = |word: &str| {
            let (line, meter) = word.split_once(':').ok_or(UnknownWord)?;
            Ok((line.parse().map_err(|_| UnknownWord)?, meter.parse()?))
        };
        text.split(' ').map(line).collect::<Result<_, _>>().map(Self)
    }
}
