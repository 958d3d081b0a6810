//! The ledger as rows: entries, the sums they change, openings and resets.
//!
//! Sums are added up in memory for a whole batch first, so a busy group costs one row per batch, not one per call.

use std::collections::HashMap;

use domain::{Day, Entry, GroupId, LimitType, Slug, Version};
use rusqlite::{Connection, Transaction, params};

use super::event_rows::{Sequences, Tells};
use super::fields::{count, id, plus};
use super::rollup_rows::{self, Rollups};
use super::terms::Terms;
use crate::line_use::{Charge, LineKey, LineUse, Spent};
use crate::today::{Use, UseKey, UseScope};

/// What a batch adds.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) day_use: HashMap<UseKey, Use, foldhash::fast::RandomState>,
    /// The lines that were charged, as they stand then.
    pub(crate) lines: HashMap<LineKey, Spent, foldhash::fast::RandomState>,
    rollups: Rollups,
    latest_ms: u64,
    /// Entries that were not there before.
    pub(crate) fresh: u64,
}

/// What entries are written with: where terms stand, and which sequences come next.
type Dictionary<'a> = (&'a mut Terms, &'a mut Sequences);

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

/// Writes entries and what they add to the sums. An entry that is there already adds nothing.
pub(crate) fn write(tx: &Transaction<'_>, entries: &[Entry], line_use: &LineUse) -> rusqlite::Result<Sums> {
    let mut sums = Sums::default();
    let (mut terms, mut sequences) = (Terms::default(), Sequences::default());
    for entry in entries {
        if insert(tx, entry, (&mut terms, &mut sequences))? {
            sums.add(entry, line_use);
            sums.fresh += 1;
        }
    }
    sequences.write(tx)?;
    for (key, spent) in &sums.lines {
        write_line_use(tx, *key, spent)?;
    }
    for (key, used) in &sums.day_use {
        add_day_use(tx, key, *used)?;
    }
    rollup_rows::write(tx, &sums.rollups)?;
    raise_last_recorded(tx, sums.latest_ms)?;
    Ok(sums)
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

/// Whether a group ever used a slug.
pub(crate) fn ever_used(
    reader: &Connection,
    group: GroupId,
    scope: UseScope,
    slug: &Slug,
) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM day_use WHERE group_id = ?1 AND scope = ?2 AND slug = ?3)";
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_row(params![id(group.0), scope.name(), slug.as_str()], |row| row.get(0))
}

impl UseScope {
    /// The word in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Subtree => "subtree",
        }
    }
}

impl Sums {
    fn add(&mut self, entry: &Entry, line_use: &LineUse) {
        self.latest_ms = self.latest_ms.max(entry.settled.wall_ms);
        self.add_lines(entry, line_use);
        let Some(caller) = entry.group() else { return };
        self.add_day_use(caller, UseScope::Own, entry);
        for group in entry.terms.groups.iter() {
            self.add_day_use(*group, UseScope::Subtree, entry);
        }
        self.rollups.add(entry);
    }

    /// A line that was removed since the call was admitted counts nothing any more.
    fn add_lines(&mut self, entry: &Entry, line_use: &LineUse) {
        for key in entry.terms.lines.iter() {
            let known = self.lines.get(key).copied().or_else(|| line_use.get(*key));
            let Some(mut spent) = known else { continue };
            let (at_ms, amount) = entry.charge(key.1);
            let (admitted_ms, settled_ms) = (entry.admitted.wall_ms, entry.settled.wall_ms);
            spent.charge(Charge { admitted_ms, settled_ms, at_ms, amount: count(amount) });
            self.lines.insert(*key, spent);
        }
    }

    /// The request belongs to the day of admission, the tokens to that of settlement.
    fn add_day_use(&mut self, group: GroupId, scope: UseScope, entry: &Entry) {
        let mut add = |at_ms, more| {
            let key = UseKey { group, scope, slug: entry.terms.slug.clone(), day: Day::of(at_ms) };
            let used = self.day_use.entry(key).or_default();
            *used = used.plus(more);
        };
        add(entry.admitted.wall_ms, Use { requests: 1, tokens: 0 });
        add(entry.settled.wall_ms, Use { requests: 0, tokens: entry.usage.total() });
    }
}

/// Writes an entry and, if it is billed, its event. Answers whether it was new.
fn insert(tx: &Transaction<'_>, entry: &Entry, (terms, sequences): Dictionary<'_>) -> rusqlite::Result<bool> {
    let Entry {
        request_id,
        admitted,
        settled,
        terms: of_many,
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
    let at = terms.place(tx, of_many)?;
    let sequence =
        entry.is_event().then(|| sequences.next(tx, of_many.workspace, settled.wall_ms)).transpose()?;
    let sql = "INSERT OR IGNORE INTO entries (request_id, terms, admitted_ms, settled_ms, key_prefix, route, attempts,
                   input_tokens, output_tokens, cached_tokens, cache_written_tokens, usage_source, outcome,
                   upstream_status, first_byte_ms, metadata, user_id, cost_nano_usd, sequence)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let written = tx.prepare_cached(sql)?.execute(params![
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
        sequence.map(|next| count(next.sequence)),
    ])?;
    if let (1, Some(next)) = (written, sequence) {
        sequences.take(tx, of_many.workspace, next, (request_id, at, Tells::Entry))?;
    }
    Ok(written == 1)
}

fn add_day_use(tx: &Transaction<'_>, key: &UseKey, used: Use) -> rusqlite::Result<()> {
    let UseKey { group, scope, slug, day } = key;
    let Use { requests, tokens } = used;
    let sql = concat!(
        "INSERT INTO day_use (group_id, scope, slug, day, requests, tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET ",
        plus!("requests"),
        ", ",
        plus!("tokens")
    );
    let values = params![id(group.0), scope.name(), slug.as_str(), day.0, count(requests), count(tokens)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn raise_last_recorded(tx: &Transaction<'_>, latest_ms: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO config VALUES ('last_recorded_ms', ?1)
               ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
    tx.prepare_cached(sql)?.execute([count(latest_ms)]).map(drop)
}
