//! Entries and corrections folded by what sums tell apart, in temporary tables.

use domain::GroupId;
use rusqlite::{Connection, params};

use crate::embedded::entry_rows::GroupPath;
use crate::embedded::fields::{Parsed, id};

/// The groups of each path: the caller is at depth 0.
const MEMBERS: &str = "CREATE TEMP TABLE members (
    terms INTEGER NOT NULL, depth INTEGER NOT NULL, group_id INTEGER NOT NULL, PRIMARY KEY (terms, depth)
) WITHOUT ROWID";

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
    FROM main.entries GROUP BY 1, 2, 3, 4"
);

/// A correction changes the sums of the hour in which the call that it corrects was settled.
const CORRECTIONS: &str = "INSERT INTO folded
    SELECT e.terms, e.key_prefix, e.settled_ms / 3600000, e.admitted_ms / 86400000, 1,
        0, c.input_tokens, c.output_tokens, 0, ifnull(c.cost_nano_usd, 0)
    FROM main.corrections AS c JOIN main.entries AS e ON e.request_id = c.corrects";

/// Folds the ledger. Answers how many entries there are.
pub(super) fn fold(reader: &Connection) -> rusqlite::Result<u64> {
    drop_folded(reader)?;
    reader.execute(MEMBERS, [])?;
    write_members(reader)?;
    reader.execute(FOLDED, [])?;
    reader.execute(CORRECTIONS, [])?;
    let sql = "SELECT ifnull(sum(requests), 0) FROM folded";
    reader.query_row(sql, [], |row| row.get(0)).map(i64::cast_unsigned)
}

/// Gives the disk back what folding took.
pub(super) fn drop_folded(reader: &Connection) -> rusqlite::Result<()> {
    reader.execute_batch("DROP TABLE IF EXISTS temp.members; DROP TABLE IF EXISTS temp.folded;")
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
