//! What edits did to the use of one line, read back: for operators and tests, never on the way of a call.

use domain::{LineId, Meter, Version};
use rusqlite::{Connection, params};

use super::fields::{Parsed, read_count};

/// An edit that changed what a line has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineEdit {
    /// The configuration that it made.
    pub version: Version,
    /// What the line counts.
    pub meter: Meter,
    /// What became of its use.
    pub change: UseChange,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// What an edit did to the use of a line, in requests, tokens or nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseChange {
    /// The line is new and began with so much.
    Opened(u64),
    /// The line forgot so much.
    Forgot(u64),
}

/// Every opening and every reset of a line, oldest first; no more than `most`.
pub(crate) fn read(reader: &Connection, line: LineId, most: u16) -> rusqlite::Result<Vec<LineEdit>> {
    let sql = "SELECT version, meter, used, at_ms, 0 AS forgot FROM line_openings WHERE line = ?1
               UNION ALL SELECT version, meter, used, at_ms, 1 FROM line_resets WHERE line = ?1
               ORDER BY version, meter LIMIT ?2";
    let mut ask = reader.prepare_cached(sql)?;
    let edits = ask.query_map(params![line.as_bytes(), most], |row| {
        let used = read_count(row, "used")?;
        let forgot: bool = row.get("forgot")?;
        Ok(LineEdit {
            version: Version(read_count(row, "version")?),
            meter: row.get::<_, Parsed<Meter>>("meter")?.0,
            change: if forgot { UseChange::Forgot(used) } else { UseChange::Opened(used) },
            at_ms: read_count(row, "at_ms")?,
        })
    })?;
    edits.collect()
}
