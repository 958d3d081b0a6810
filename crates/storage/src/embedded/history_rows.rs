//! Sums by the hour, read back step by step.
//!
//! Begins at [`read`].

use std::collections::BTreeMap;

use domain::GroupId;
use rusqlite::{Connection, Row, params};

use super::fields::{count, id, read_count, read_id};
use crate::history::{
    HISTORY_GROUPS_MAX, History, HistoryPlace, HistoryQuery, HistoryRow, UsageBy, UsageSums,
};

/// Rows that one page may read. The stretch in which it is passed is still finished.
const ROWS_MAX: usize = 32_768;

/// Hours that are read at once: whole steps, whichever they are.
const STRETCH: u64 = 24;

/// Sums by the first hour of a step, and by name.
type Named = BTreeMap<(u64, String), UsageSums>;

/// A table of sums, and whose rows of it are wanted.
struct Source {
    table: Table,
    group: GroupId,
}

#[derive(Debug, Clone, Copy)]
enum Table {
    Own,
    Below,
    Refusals { below: bool },
}

/// Answers a question about the past.
pub(crate) fn read(reader: &Connection, query: &HistoryQuery) -> rusqlite::Result<History> {
    let Some(sources) = sources(reader, query)? else { return Ok(History::TooManyGroups) };
    let length = query.step.hours();
    let (mut rows, mut read, mut hour) = (Vec::new(), 0, query.from.hour);
    while let Some(used) = next_hour(reader, &sources, hour)?.filter(|used| *used < query.until_hour) {
        if read >= ROWS_MAX {
            return Ok(History::Page {
                rows,
                rest: Some(HistoryPlace { hour: used - used % length, after: None }),
            });
        }
        let start = used - used % length;
        hour = start.saturating_add(STRETCH);
        let (mut named, until) = (Named::new(), hour.min(query.until_hour));
        for source in &sources {
            read += add(reader, source, (start, until), (query, &mut named))?;
        }
        let after = |hour| query.from.after.as_deref().filter(|_| hour == query.from.hour);
        let fresh = named
            .into_iter()
            .filter(|((hour, name), _)| after(*hour).is_none_or(|after| name.as_str() > after));
        rows.extend(fresh.map(|((hour, name), sums)| HistoryRow { hour, name, sums }));
        if rows.len() > query.most {
            rows.truncate(query.most);
            let last =
                rows.last().map(|last| HistoryPlace { hour: last.hour, after: Some(last.name.clone()) });
            return Ok(History::Page { rows, rest: last });
        }
    }
    Ok(History::Page { rows, rest: None })
}

/// Where the sums are; nowhere, if in too many places.
fn sources(reader: &Connection, query: &HistoryQuery) -> rusqlite::Result<Option<Vec<Source>>> {
    let source = |table| Source { table, group: query.group };
    let by_key = query.by == UsageBy::Key;
    if by_key && query.subtree {
        let groups = subtree(reader, query.group)?;
        let sources = groups.iter().map(|group| Source { table: Table::Own, group: *group });
        return Ok((groups.len() <= HISTORY_GROUPS_MAX).then(|| sources.collect()));
    }
    let mut sources = vec![source(Table::Own)];
    let refusals = matches!(query.by, UsageBy::All | UsageBy::Slug);
    sources.extend(refusals.then(|| source(Table::Refusals { below: false })));
    if query.subtree {
        sources.push(source(Table::Below));
        sources.extend(refusals.then(|| source(Table::Refusals { below: true })));
    }
    Ok(Some(sources))
}

/// A group and what lies below it, deleted groups too; one more than may be asked for, where there are more.
fn subtree(reader: &Connection, group: GroupId) -> rusqlite::Result<Vec<GroupId>> {
    let sql = "WITH RECURSIVE below (id) AS (
                   VALUES (?1) UNION ALL SELECT groups.id FROM groups JOIN below ON groups.parent = below.id)
               SELECT id FROM below LIMIT ?2";
    let mut ask = reader.prepare_cached(sql)?;
    let most = HISTORY_GROUPS_MAX.saturating_add(1);
    let groups = ask.query_map(params![id(group.0), i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        read_id(row, 0).map(GroupId)
    })?;
    groups.collect()
}

/// The first hour from this one on in which there is anything.
fn next_hour(reader: &Connection, sources: &[Source], hour: u64) -> rusqlite::Result<Option<u64>> {
    let mut first: Option<u64> = None;
    for Source { table, group } in sources {
        let sql = match table {
            Table::Own => "SELECT min(hour) FROM rollups WHERE group_id = ?1 AND hour >= ?2",
            Table::Below => "SELECT min(hour) FROM subtree_rollups WHERE group_id = ?1 AND hour >= ?2",
            Table::Refusals { below: false } => {
                "SELECT min(hour) FROM refusals WHERE group_id = ?1 AND below = 0 AND hour >= ?2"
            }
            Table::Refusals { below: true } => {
                "SELECT min(hour) FROM refusals WHERE group_id = ?1 AND below = 1 AND hour >= ?2"
            }
        };
        let mut ask = reader.prepare_cached(sql)?;
        let found: Option<i64> = ask.query_row([id(group.0), count(hour)], |row| row.get(0))?;
        first = first.into_iter().chain(found.map(i64::cast_unsigned)).min();
    }
    Ok(first)
}

/// Adds what a table says of these hours. Answers how many rows that were.
fn add(
    reader: &Connection,
    Source { table, group }: &Source,
    (from, until): (u64, u64),
    (query, named): (&HistoryQuery, &mut Named),
) -> rusqlite::Result<usize> {
    let name = match query.by {
        UsageBy::All => "''",
        UsageBy::Slug => "slug",
        UsageBy::Key => "key_prefix",
        UsageBy::Provider => "provider",
    };
    let (columns, table, of) = match table {
        Table::Own => (SUMS, "rollups", ""),
        Table::Below => (SUMS, "subtree_rollups", ""),
        Table::Refusals { below: false } => ("count", "refusals", "below = 0 AND "),
        Table::Refusals { below: true } => ("count", "refusals", "below = 1 AND "),
    };
    let sql = format!(
        "SELECT hour, {name}, {columns} FROM {table} WHERE group_id = ?1 AND {of}hour >= ?2 AND hour < ?3"
    );
    let mut ask = reader.prepare_cached(&sql)?;
    let mut rows = ask.query(params![id(group.0), count(from), count(until)])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let sums = if columns == SUMS { sums(row)? } else { refused(row)? };
        let hour = read_count(row, 0)?;
        let known = named.entry((hour - hour % query.step.hours(), row.get(1)?)).or_default();
        *known = known.plus(sums);
        read += 1;
    }
    Ok(read)
}

const SUMS: &str = "requests, input_tokens, output_tokens, cached_tokens, cost_nano_usd";

fn sums(row: &Row<'_>) -> rusqlite::Result<UsageSums> {
    Ok(UsageSums {
        requests: read_count(row, 2)?,
        input: read_count(row, 3)?,
        output: read_count(row, 4)?,
        cached: read_count(row, 5)?,
        cost_nano_usd: read_count(row, 6)?,
        refusals: 0,
    })
}

fn refused(row: &Row<'_>) -> rusqlite::Result<UsageSums> {
    Ok(UsageSums { refusals: read_count(row, 2)?, ..UsageSums::default() })
}
