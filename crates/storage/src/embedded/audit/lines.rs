//! What lines of model configs have used against entries, openings and resets.
//!
//! A line has used what its entries say in its present period, and what openings say less what resets say.

use std::collections::{BTreeMap, HashMap};

use domain::{Cycle, LineId, Meter, Snapshot};
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::Audit;
use crate::embedded::entry_rows::Lines;
use crate::embedded::fields::{Parsed, count, read_count};
use crate::embedded::late_sums::{Batch, drawer_of_line};
use crate::embedded::replay::Watermarks;
use crate::embedded::span_rows;
use crate::line_use::LineKey;

/// A line of a config as it is kept, and what is found of it in the ledger.
#[derive(Debug)]
struct Tally {
    /// Calls that were admitted before are not its own.
    made_ms: i64,
    /// Charges before are not of its present period.
    since_ms: i64,
    used: i64,
    expected: i128,
}

type Tallies = BTreeMap<LineKey, Tally>;

/// Compares every line of a config. Where the wall clock was set back in its present period, what is kept cannot be
/// recomputed: it depends on the order in which entries were written.
pub(super) fn compare(
    reader: &Connection,
    snapshot: &Snapshot,
    set_back_ms: Option<i64>,
    audit: &mut Audit,
) -> rusqlite::Result<()> {
    let mut tallies = tallies(reader, snapshot, audit)?;
    strangers(reader, &tallies, audit)?;
    add_entries(reader, &mut tallies)?;
    for (key, tally) in &tallies {
        audit.compared = audit.compared.saturating_add(1);
        // What is too much for a column is kept as the most that it can hold.
        let expected = i64::try_from(tally.expected).unwrap_or(i64::MAX);
        if tally.used == expected {
            continue;
        }
        if set_back_ms.is_some_and(|ms| ms >= tally.since_ms) {
            audit
                .skip(|| format!("line_use of {}: the clock was set back in its present period", name(*key)));
        } else {
            audit.differ("line_use.used", || name(*key), (&expected, &tally.used));
        }
    }
    Ok(())
}

/// Every line of the configuration, with its openings and resets.
fn tallies(reader: &Connection, snapshot: &Snapshot, audit: &mut Audit) -> rusqlite::Result<Tallies> {
    let mut tallies = Tallies::new();
    for config in snapshot.configs() {
        for line in config.lines() {
            let key = (line.id, line.meter);
            tallies.insert(key, tally(reader, key, line.cycle, audit)?);
        }
    }
    Ok(tallies)
}

fn tally(reader: &Connection, key: LineKey, cycle: Cycle, audit: &mut Audit) -> rusqlite::Result<Tally> {
    let (line, meter) = key;
    let sql = "SELECT start_ms, used FROM main.line_use WHERE line = ?1 AND meter = ?2";
    let mut ask = reader.prepare_cached(sql)?;
    let kept = ask
        .query_row(params![line.as_bytes(), meter.word()], |row| Ok((read_count(row, 0)?, row.get(1)?)))
        .optional()?;
    let (start_ms, used): (u64, i64) = kept.unwrap_or_default();
    let due_ms = cycle.period(start_ms).start_ms;
    if kept.is_some() && due_ms != start_ms {
        audit.differ("line_use.start_ms", || name(key), (&due_ms, &start_ms));
    }
    let span = span_rows::latest(reader, key)?.unwrap_or_default();
    let since_ms = count(span.since(start_ms));
    let expected = edits(reader, key, since_ms)?;
    Ok(Tally { made_ms: count(span.made_ms), since_ms, used, expected })
}

/// What edits gave a line in its present period, less what they took.
fn edits(reader: &Connection, key: LineKey, since_ms: i64) -> rusqlite::Result<i128> {
    let (line, meter) = key;
    let made_by = span_rows::made_by(reader, key)?;
    let sum = |table: &str| -> rusqlite::Result<i64> {
        let sql = format!(
            "SELECT ifnull({}, 0) FROM main.{table}
             WHERE line = ?1 AND meter = ?2 AND version >= ?3 AND at_ms >= ?4",
            total!("used")
        );
        let values = params![line.as_bytes(), meter.word(), count(made_by.0), since_ms];
        reader.prepare_cached(&sql)?.query_row(values, |row| row.get(0))
    };
    Ok(i128::from(sum("line_openings")?) - i128::from(sum("line_resets")?))
}

/// Use of lines that no config has.
fn strangers(reader: &Connection, tallies: &Tallies, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut ask = reader.prepare("SELECT line, meter, used FROM main.line_use")?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let Parsed::<Meter>(meter) = row.get(1)?;
        let key = (LineId::from_bytes(row.get(0)?), meter);
        if !tallies.contains_key(&key) {
            let used: i64 = row.get(2)?;
            audit.differ("line_use", || name(key), (&"no such line", &used));
        }
    }
    Ok(())
}

/// Adds what every call was charged. Entries name their lines by sets, of which there are few.
fn add_entries(reader: &Connection, tallies: &mut Tallies) -> rusqlite::Result<()> {
    let sets = sets(reader, tallies)?;
    if sets.is_empty() {
        return Ok(());
    }
    let sql = "SELECT t.lines, e.admitted_ms, e.settled_ms, e.input_tokens, e.output_tokens,
            ifnull(e.cost_nano_usd, 0), ifnull(w.batch, 0)
        FROM main.entries AS e JOIN main.terms AS t ON t.id = e.terms
            LEFT JOIN waiting AS w ON w.request_id = e.request_id
        WHERE t.lines != 0";
    let watermarks = Watermarks::read(reader)?;
    let mut ask = reader.prepare(sql)?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let Some(lines) = sets.get(&row.get(0)?) else { continue };
        let (admitted_ms, settled_ms): (i64, i64) = (row.get(1)?, row.get(2)?);
        let (input, output, cost): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let batch: Batch = row.get(6)?;
        for key in lines {
            // Not in the sum yet.
            if batch > 0 && !watermarks.have(drawer_of_line(*key), batch) {
                continue;
            }
            let Some(tally) = tallies.get_mut(key) else { continue };
            let (at_ms, amount) = match key.1 {
                Meter::Requests => (admitted_ms, 1),
                Meter::Tokens => (settled_ms, input.saturating_add(output)),
                Meter::Usd => (settled_ms, cost),
            };
            if at_ms >= tally.since_ms && admitted_ms >= tally.made_ms {
                tally.expected += i128::from(amount);
            }
        }
    }
    Ok(())
}

/// The lines that are looked at, of each set of lines that entries name.
fn sets(reader: &Connection, tallies: &Tallies) -> rusqlite::Result<HashMap<i64, Box<[LineKey]>>> {
    let mut sets = HashMap::new();
    let mut ask = reader.prepare("SELECT id, text FROM main.entry_lines")?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let Parsed(Lines(lines)) = row.get(1)?;
        let lines: Box<[_]> = lines.into_iter().filter(|line| tallies.contains_key(line)).collect();
        if !lines.is_empty() {
            sets.insert(row.get(0)?, lines);
        }
    }
    Ok(sets)
}

fn name((line, meter): LineKey) -> String {
    format!("line {line}, {}", meter.word())
}
