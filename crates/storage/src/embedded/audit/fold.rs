//! Entries and corrections folded by what sums tell apart, in temporary tables.

use domain::GroupId;
use rusqlite::{Connection, params};

use crate::embedded::entry_rows::GroupPath;
use crate::embedded::fields::{Parsed, id};
use crate::embedded::late_sums::DRAWERS_I64;
use crate::embedded::replay;

/// The groups of each path: the caller is at depth 0.
const MEMBERS: &str = "CREATE TEMP TABLE members (
    terms INTEGER NOT NULL, depth INTEGER NOT NULL, group_id INTEGER NOT NULL, PRIMARY KEY (terms, depth)
) WITHOUT ROWID";

/// Entries that are not in every sum yet, and the batch in which they were written.
const WAITING: &str = "CREATE TEMP TABLE waiting (
    request_id BLOB PRIMARY KEY, batch INTEGER NOT NULL
) WITHOUT ROWID";

/// Those whose turn has not come: they are in no sum but those of lines, maybe.
macro_rules! is_late {
    () => {
        "w.batch > ifnull((SELECT batch FROM main.summed WHERE drawer = e.terms % ?1), 0)"
    };
}

/// Hours are those of settlement, days those of admission.
const FOLDED: &str = concat!(
    "CREATE TEMP TABLE folded AS
    SELECT terms, key_prefix, settled_ms / 3600000 AS hour, admitted_ms / 86400000 AS day, 0 AS corrects,
        count(*) AS requests, ",
    total!("input_tokens"),
    " AS input_tokens, ",
    total!("output_tokens"),
    " AS output_tokens, ",
    total!("cached_tokens"),
    " AS cached_tokens, ",
    total!("ifnull(cost_nano_usd, 0)"),
    " AS cost_nano_usd
    FROM main.entries AS e LEFT JOIN waiting AS w ON w.request_id = e.request_id
    WHERE NOT ifnull(",
    is_late!(),
    ", 0) GROUP BY 1, 2, 3, 4"
);

const LATE: &str = concat!(
    "SELECT count(*) FROM waiting AS w JOIN main.entries AS e ON e.request_id = w.request_id WHERE ",
    is_late!()
);

/// A correction changes the sums of the hour in which the call that it corrects was settled.
const CORRECTIONS: &str = "INSERT INTO folded
    SELECT e.terms, e.key_prefix, e.settled_ms / 3600000, e.admitted_ms / 86400000, 1,
        0, c.input_tokens, c.output_tokens, 0, ifnull(c.cost_nano_usd, 0)
    FROM main.corrections AS c JOIN main.entries AS e ON e.request_id = c.corrects";

/// Folds what is in the sums. Answers how many entries there are in all.
pub(super) fn fold(reader: &Connection) -> rusqlite::Result<u64> {
    drop_folded(reader)?;
    reader.execute(MEMBERS, [])?;
    write_members(reader)?;
    reader.execute(WAITING, [])?;
    write_waiting(reader)?;
    reader.execute(FOLDED, [DRAWERS_I64])?;
    reader.execute(CORRECTIONS, [])?;
    let sql = "SELECT ifnull(sum(requests), 0) FROM folded";
    let summed: i64 = reader.query_row(sql, [], |row| row.get(0))?;
    let late: i64 = reader.query_row(LATE, [DRAWERS_I64], |row| row.get(0))?;
    Ok(summed.saturating_add(late).cast_unsigned())
}

/// Gives the disk back what folding took.
pub(super) fn drop_folded(reader: &Connection) -> rusqlite::Result<()> {
    reader.execute_batch(
        "DROP TABLE IF EXISTS temp.members; DROP TABLE IF EXISTS temp.folded; DROP TABLE IF EXISTS temp.waiting;",
    )
}

fn write_waiting(reader: &Connection) -> rusqlite::Result<()> {
    let mut put = reader.prepare("INSERT INTO waiting (request_id, batch) VALUES (?1, ?2)")?;
    for batch in replay::batches(reader)? {
        for id in replay::entries_of(reader, batch)? {
            put.execute(params![id.as_bytes(), batch])?;
        }
    }
    Ok(())
}

fn write_members(reader: &Connection) -> rusqlite::Result<()> {
    let mut ask = reader.prepare("SELECT id, group_path FROM main.terms")?;
    let mut put = reader.prepare("INSERT INTO members (terms, depth, group_id) VALUES (?1, ?2, ?3)")?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let terms: i64 = row.get(0)?;
        let Parsed(GroupPath(groups)) = row.get(1)?;
        for (depth, GroupId(group)) in (0_i64..).zip(groups) {
            put.execute(params![terms, depth, id(group)])?;
        }
    }
    Ok(())
}
