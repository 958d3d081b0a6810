//! The ledger as rows: entries, openings and resets. Sums are written later, by `late_sums`.

use std::sync::LazyLock;

use domain::{Day, Entry, GroupId, LimitType, Slug, Version};
use rusqlite::{Statement, Transaction, params};

use super::event_rows::{Blocks, Sequences, Tells};
use super::fields::{count, id};
use super::terms::Terms;
use crate::line_use::{LineKey, Spent};

/// How often a batch lets others go first, at most.
const PAUSES_MAX: usize = 16;
/// Entries between two of these pauses, at least: some hundred microseconds of work.
const PAUSE_ENTRIES: usize = 64;

/// An entry that was not there before, and where its terms stand.
pub(crate) type Fresh<'a> = (&'a Entry, i64);

/// What is known to stand on the disk.
#[derive(Debug, Default)]
pub(crate) struct Known {
    terms: Terms,
    blocks: Blocks,
}

/// What a newly declared DAY limit starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) version: Version,
    pub(crate) group: GroupId,
    pub(crate) slug: Slug,
    pub(crate) kind: LimitType,
    pub(crate) day: Day,
    pub(crate) used: u64,
    pub(crate) at_ms: u64,
}

/// What an edit does to the use of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineRecord {
    /// It is new and begins with what another has used.
    Opening,
    /// It forgets what it has used.
    Reset,
}

impl Known {
    /// What was written may be rolled back, or gone.
    pub(crate) fn forget(&mut self) {
        self.terms.forget();
        self.blocks.forget();
    }
}

/// Writes entries, with their events, many rows at a time. None if one of them was there already: what was written until
/// then is to be rolled back, and all of them written [one by one](write_each).
pub(crate) fn write<'a>(
    tx: &Transaction<'_>,
    entries: &'a [Entry],
    Known { terms, blocks }: &mut Known,
) -> rusqlite::Result<Option<Vec<Fresh<'a>>>> {
    static MANY: LazyLock<String> = LazyLock::new(|| rows(AT_ONCE));
    let mut fresh = Vec::with_capacity(entries.len());
    let mut sequences = Sequences::begin(tx, blocks)?;
    let (mut many, mut one) = (tx.prepare_cached(&MANY)?, tx.prepare_cached(&rows(1))?);
    for (chunk, nth) in entries.chunks(AT_ONCE).zip(1..) {
        let is_whole = chunk.len() == AT_ONCE;
        for (entry, nth) in chunk.iter().zip(0..) {
            let at = terms.place(tx, &entry.terms)?;
            let sequence = take_sequence((entry, at), &mut sequences)?;
            if is_whole {
                bind(&mut many, nth, (entry, at), sequence)?;
            } else {
                bind(&mut one, 0, (entry, at), sequence)?;
                if one.raw_execute()? < 1 {
                    return Ok(None);
                }
            }
            fresh.push((entry, at));
        }
        if is_whole && many.raw_execute()? < AT_ONCE {
            return Ok(None);
        }
        let_others_go_first(nth, entries.len());
    }
    sequences.write()?;
    raise_last_recorded(tx, &fresh)?;
    Ok(Some(fresh))
}

/// Nobody waits for a batch, and callers wait for whoever serves them, perhaps on this very processor. A processor with no
/// pause to give gives back a whole turn for each, so there is a bound: a batch must end.
fn let_others_go_first(chunk: usize, entries: usize) {
    let between = (entries / PAUSES_MAX).max(PAUSE_ENTRIES) / AT_ONCE;
    if chunk.is_multiple_of(between) {
        std::thread::yield_now();
    }
}

/// The same where some are there already, as after a start. Answers those that were not.
pub(crate) fn write_each<'a>(
    tx: &Transaction<'_>,
    entries: &'a [Entry],
    Known { terms, blocks }: &mut Known,
) -> rusqlite::Result<Vec<Fresh<'a>>> {
    let mut fresh = Vec::with_capacity(entries.len());
    let mut sequences = Sequences::begin(tx, blocks)?;
    let mut is_there = tx.prepare_cached("SELECT 1 FROM entries WHERE request_id = ?1")?;
    let mut one = tx.prepare_cached(&rows(1))?;
    for entry in entries {
        if is_there.exists([entry.request_id.as_bytes()])? {
            continue;
        }
        let at = terms.place(tx, &entry.terms)?;
        let sequence = take_sequence((entry, at), &mut sequences)?;
        bind(&mut one, 0, (entry, at), sequence)?;
        let rows = one.raw_execute()?;
        if rows != 1 {
            // It has its event already: without its line, nothing of this batch may stand.
            return Err(rusqlite::Error::StatementChangedRows(rows));
        }
        fresh.push((entry, at));
    }
    sequences.write()?;
    raise_last_recorded(tx, &fresh)?;
    Ok(fresh)
}

/// Writes an opening.
pub(crate) fn write_opening(tx: &Transaction<'_>, opening: &Opening) -> rusqlite::Result<()> {
    let Opening { version, group, slug, kind, day, used, at_ms } = opening;
    let sql = "INSERT INTO openings (version, group_id, slug, type, day, used, at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        count(version.0),
        id(group.0),
        slug.as_str(),
        kind.name(),
        day.0,
        count(*used),
        count(*at_ms),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Writes what an edit does to the use of a line.
pub(crate) fn write_line_record(
    tx: &Transaction<'_>,
    record: LineRecord,
    (line, meter): LineKey,
    (version, used, at_ms): (Version, u64, u64),
) -> rusqlite::Result<()> {
    let sql = match record {
        LineRecord::Opening => {
            "INSERT INTO line_openings (version, line, meter, used, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        }
        LineRecord::Reset => {
            "INSERT INTO line_resets (version, line, meter, used, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        }
    };
    let values = params![count(version.0), line.as_bytes(), meter.word(), count(used), count(at_ms)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Writes what a line has used in the latest of its periods.
pub(crate) fn write_line_use(
    tx: &Transaction<'_>,
    (line, meter): LineKey,
    spent: &Spent,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO line_use (line, meter, start_ms, used) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET start_ms = excluded.start_ms, used = excluded.used";
    let values = params![line.as_bytes(), meter.word(), count(spent.start_ms), spent.used];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Drops what a line has used: it is no more.
pub(crate) fn delete_line_use(tx: &Transaction<'_>, (line, meter): LineKey) -> rusqlite::Result<()> {
    let sql = "DELETE FROM line_use WHERE line = ?1 AND meter = ?2";
    tx.prepare_cached(sql)?.execute(params![line.as_bytes(), meter.word()]).map(drop)
}

/// Rows of one statement: finding the end of the table and running a statement cost more than a row does.
const AT_ONCE: usize = 16;
const COLUMNS: usize = 19;

/// A statement for so many entries.
fn rows(many: usize) -> String {
    let insert = "INSERT OR IGNORE INTO entries (request_id, terms, admitted_ms, settled_ms, key_prefix, route, attempts,
        input_tokens, output_tokens, cached_tokens, cache_written_tokens, usage_source, outcome, upstream_status,
        first_byte_ms, metadata, user_id, cost_nano_usd, sequence) VALUES ";
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!("{insert}{}", vec![row; many].join(", "))
}

/// Writes the event of an entry, if it is billed, and answers its place.
fn take_sequence((entry, at): Fresh<'_>, sequences: &mut Sequences<'_>) -> rusqlite::Result<Option<u64>> {
    if !entry.is_event() {
        return Ok(None);
    }
    let workspace = entry.terms.workspace;
    let place = sequences.next(workspace, entry.settled.wall_ms)?;
    sequences.take(workspace, place, (&entry.request_id, at, Tells::Entry))?;
    Ok(Some(place.sequence))
}

/// Puts an entry into its row of the statement, the first of which is 0.
fn bind(
    statement: &mut Statement<'_>,
    row: usize,
    (entry, at): Fresh<'_>,
    sequence: Option<u64>,
) -> rusqlite::Result<()> {
    let Entry {
        request_id,
        admitted,
        settled,
        terms: _,
        key_prefix,
        route,
        attempts,
        usage,
        late: _,
        outcome,
        upstream_status,
        first_byte_ms,
        metadata,
        user,
        cost,
    } = entry;
    let values = params![
        request_id.as_bytes(),
        at,
        count(admitted.wall_ms),
        count(settled.wall_ms),
        key_prefix,
        route,
        attempts,
        count(usage.input),
        count(usage.output),
        count(usage.cached),
        count(usage.cache_written),
        usage.source.name(),
        outcome.name(),
        upstream_status,
        first_byte_ms.map(count),
        metadata,
        user,
        cost.map(|cost| count(cost.0)),
        sequence.map(count),
    ];
    let places = (1..).skip(row * COLUMNS);
    values.iter().zip(places).try_for_each(|(value, place)| statement.raw_bind_parameter(place, value))
}

fn raise_last_recorded(tx: &Transaction<'_>, fresh: &[Fresh<'_>]) -> rusqlite::Result<()> {
    let latest_ms = fresh.iter().map(|(entry, _)| entry.settled.wall_ms).max();
    let Some(latest_ms) = latest_ms else { return Ok(()) };
    let sql = "INSERT INTO config VALUES ('last_recorded_ms', ?1)
               ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
    tx.prepare_cached(sql)?.execute([count(latest_ms)]).map(drop)
}
