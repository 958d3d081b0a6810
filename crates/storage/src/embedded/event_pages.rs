//! Billing events, read back page by page.
//!
//! Times are found by halving, since no event is before the one before it. Where few events match, those that can be told
//! by their terms are found by block, so that little else is read; and no page reads more than [`WORK_MAX`].
//! Begins at [`page`].

use std::collections::HashSet;

use domain::{BillingEvent, RequestId, SignedUsd, Slug, UsageSource, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::event_rows::BLOCK;
use super::fields::{Parsed, count, id, read_count};
use crate::events::{EventFilter, EventPage, EventSpan, EventWindow};

/// What one page may cost: an event that is passed over is one, one that is looked at whole is [`WHOLE_COSTS`].
const WORK_MAX: u64 = 32_768;
/// An event lies in three tables.
const WHOLE_COSTS: u64 = 8;
/// Terms that are asked for the blocks of their events. Where more match, most blocks have one, so all are read.
const TERMS_ASKED_MAX: usize = 512;

/// Terms that match, and where their events are.
struct Matching {
    terms: HashSet<i64, foldhash::fast::RandomState>,
    workspace: WorkspaceId,
}

/// A window that is walked through.
struct Walk {
    at: u64,
    /// The end of the block that it is in.
    end: u64,
    until: u64,
    work: u64,
}

/// What a span comes to now.
pub(crate) fn window(
    reader: &Connection,
    workspace: WorkspaceId,
    span: EventSpan,
) -> rusqlite::Result<EventWindow> {
    match span {
        EventSpan::Window(window) => Ok(window),
        EventSpan::After(sequence) => {
            let until = last_sequence(reader, workspace)?.saturating_add(1);
            Ok(EventWindow { from: sequence.saturating_add(1), until })
        }
        EventSpan::Time { start_ms, end_ms } => {
            let from = first_since(reader, workspace, start_ms)?;
            Ok(EventWindow { from, until: first_since(reader, workspace, end_ms)? })
        }
    }
}

/// The first events of a window that match.
pub(crate) fn page(
    reader: &Connection,
    workspace: WorkspaceId,
    window: EventWindow,
    (filter, most): (&EventFilter, u16),
) -> rusqlite::Result<EventPage> {
    let (events, next) = if filter.is_empty() {
        let mut events = read(reader, workspace, window, most.saturating_add(1))?;
        let next = (events.len() > usize::from(most)).then(|| events.pop()).flatten();
        (events, next.map(|event| event.sequence))
    } else {
        let matching = Matching { terms: matching_terms(reader, workspace, filter)?, workspace };
        matching.walk(reader, window, (filter, most))?
    };
    let rest = next.filter(|next| *next < window.until);
    Ok(EventPage { events, rest: rest.map(|from| EventWindow { from, ..window }) })
}

/// The events of a window, in their order; no more than `most`.
pub(crate) fn read(
    reader: &Connection,
    workspace: WorkspaceId,
    window: EventWindow,
    most: u16,
) -> rusqlite::Result<Vec<BillingEvent>> {
    // A correction is of the key, the terms and the metadata of its entry, as long as that is kept.
    let sql = "SELECT v.sequence, v.at_ms, v.line, c.corrects, e.metadata, t.slug, t.external_entity_id,
            ifnull(c.key_prefix, e.key_prefix) AS key_prefix, ifnull(c.usage_source, e.usage_source) AS usage_source,
            iif(v.corrects, c.input_tokens, e.input_tokens) AS input_tokens,
            iif(v.corrects, c.output_tokens, e.output_tokens) AS output_tokens,
            iif(v.corrects, 0, e.cached_tokens) AS cached_tokens,
            iif(v.corrects, c.cost_nano_usd, e.cost_nano_usd) AS cost_nano_usd
        FROM events AS v JOIN terms AS t ON t.id = v.terms
            LEFT JOIN corrections AS c ON v.corrects AND c.id = v.line
            LEFT JOIN entries AS e ON e.request_id = ifnull(c.corrects, v.line)
        WHERE v.workspace = ?1 AND v.sequence >= ?2 AND v.sequence < ?3 ORDER BY v.sequence LIMIT ?4";
    let EventWindow { from, until } = window;
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_map(params![id(workspace.0), count(from), count(until), most], event)?.collect()
}

impl Matching {
    /// The events that match, and where to go on; nowhere once the window is walked through.
    fn walk(
        &self,
        reader: &Connection,
        window: EventWindow,
        (filter, most): (&EventFilter, u16),
    ) -> rusqlite::Result<(Vec<BillingEvent>, Option<u64>)> {
        let last = last_sequence(reader, self.workspace)?;
        let until = window.until.min(last.saturating_add(1));
        let mut walk = Walk { at: window.from, end: 0, until, work: 0 };
        let mut found = Vec::new();
        while walk.at < walk.until {
            if found.len() >= usize::from(most) || walk.work >= WORK_MAX {
                return Ok((found, Some(walk.at)));
            }
            let Some(sequence) = self.next(reader, &mut walk)? else { continue };
            walk.at = sequence.saturating_add(1);
            walk.work = walk.work.saturating_add(WHOLE_COSTS);
            let one = EventWindow { from: sequence, until: walk.at };
            let events = read(reader, self.workspace, one, 1)?;
            found.extend(events.into_iter().filter(|event| filter.takes_key(&event.key_prefix)));
        }
        Ok((found, None))
    }

    /// The next event on one of these terms in the block that is walked through; none if that has no more, and then the
    /// walk goes on at a later block.
    fn next(&self, reader: &Connection, walk: &mut Walk) -> rusqlite::Result<Option<u64>> {
        if walk.at >= walk.end {
            let Some(block) = self.block(reader, walk)? else {
                walk.at = walk.until;
                return Ok(None);
            };
            walk.at = walk.at.max(block.saturating_mul(BLOCK));
            walk.end = block.saturating_add(1).saturating_mul(BLOCK).min(walk.until);
        }
        let sql =
            "SELECT sequence, terms FROM events WHERE workspace = ?1 AND sequence >= ?2 AND sequence < ?3
                   ORDER BY sequence";
        let mut ask = reader.prepare_cached(sql)?;
        let mut rows = ask.query(params![id(self.workspace.0), count(walk.at), count(walk.end)])?;
        while let Some(row) = rows.next()? {
            walk.work = walk.work.saturating_add(1);
            if self.terms.contains(&row.get(1)?) {
                return read_count(row, 0).map(Some);
            }
        }
        walk.at = walk.end;
        Ok(None)
    }

    /// The first block from here on with an event on one of these terms.
    fn block(&self, reader: &Connection, walk: &mut Walk) -> rusqlite::Result<Option<u64>> {
        let here = walk.at / BLOCK;
        if self.terms.len() > TERMS_ASKED_MAX {
            return Ok(Some(here));
        }
        let sql = "SELECT min(block) FROM event_blocks WHERE terms = ?1 AND block >= ?2";
        let mut ask = reader.prepare_cached(sql)?;
        let mut first: Option<u64> = None;
        for terms in &self.terms {
            walk.work = walk.work.saturating_add(1);
            let block: Option<i64> = ask.query_row([*terms, count(here)], |row| row.get(0))?;
            let block = block.map(i64::cast_unsigned);
            if block == Some(here) {
                return Ok(block);
            }
            first = first.into_iter().chain(block).min();
        }
        Ok(first)
    }
}

impl EventFilter {
    fn takes_key(&self, prefix: &str) -> bool {
        self.key_prefixes.is_empty() || self.key_prefixes.iter().any(|wanted| wanted == prefix)
    }
}

/// The terms on which a matching event can be: those of the wanted groups, and of the groups of the wanted keys.
fn matching_terms(
    reader: &Connection,
    workspace: WorkspaceId,
    filter: &EventFilter,
) -> rusqlite::Result<HashSet<i64, foldhash::fast::RandomState>> {
    let EventFilter { key_prefixes, external_entity_ids } = filter;
    let of_groups = terms_of_all(reader, workspace, external_entity_ids, TERMS_OF_GROUP)?;
    let of_keys = terms_of_all(reader, workspace, key_prefixes, TERMS_OF_KEY)?;
    Ok(match (external_entity_ids.is_empty(), key_prefixes.is_empty()) {
        (false, false) => of_groups.intersection(&of_keys).copied().collect(),
        (false, true) => of_groups,
        (true, _) => of_keys,
    })
}

const TERMS_OF_GROUP: &str = "SELECT id FROM terms WHERE workspace = ?1 AND external_entity_id = ?2";
/// A key calls for one group all its life.
const TERMS_OF_KEY: &str = "SELECT terms.id FROM keys JOIN groups ON groups.id = keys.group_id
    JOIN terms ON terms.workspace = keys.workspace AND terms.external_entity_id = groups.external_entity_id
    WHERE keys.workspace = ?1 AND keys.prefix = ?2";

fn terms_of_all(
    reader: &Connection,
    workspace: WorkspaceId,
    names: &[String],
    sql: &str,
) -> rusqlite::Result<HashSet<i64, foldhash::fast::RandomState>> {
    let mut terms = HashSet::default();
    let mut ask = reader.prepare_cached(sql)?;
    for name in names {
        for found in ask.query_map(params![id(workspace.0), name], |row| row.get::<_, i64>(0))? {
            terms.insert(found?);
        }
    }
    Ok(terms)
}

/// The sequence of the last event; 0 where there has been none.
fn last_sequence(reader: &Connection, workspace: WorkspaceId) -> rusqlite::Result<u64> {
    let mut ask = reader.prepare_cached("SELECT sequence FROM sequences WHERE workspace = ?1")?;
    let last = ask.query_row([id(workspace.0)], |row| read_count(row, 0)).optional()?;
    Ok(last.unwrap_or(0))
}

/// The first sequence at this time or later: that of the next event, where there is none.
fn first_since(reader: &Connection, workspace: WorkspaceId, at_ms: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT at_ms FROM events WHERE workspace = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT 1";
    let mut ask = reader.prepare_cached(sql)?;
    // What is before `low` is earlier, what is from `high` on is not.
    let (mut low, mut high) = (1, last_sequence(reader, workspace)?.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found = ask.query_row(params![id(workspace.0), count(middle)], |row| read_count(row, 0));
        if found.optional()?.is_none_or(|found| found >= at_ms) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn event(row: &Row<'_>) -> rusqlite::Result<BillingEvent> {
    let corrects: Option<[u8; 16]> = row.get("corrects")?;
    Ok(BillingEvent {
        sequence: read_count(row, "sequence")?,
        at_ms: read_count(row, "at_ms")?,
        line: RequestId::from_bytes(row.get("line")?),
        corrects: corrects.map(RequestId::from_bytes),
        metadata: row.get("metadata")?,
        slug: row.get::<_, Parsed<Slug>>("slug")?.0,
        external_entity_id: row.get("external_entity_id")?,
        key_prefix: row.get("key_prefix")?,
        input: row.get("input_tokens")?,
        output: row.get("output_tokens")?,
        cached: row.get("cached_tokens")?,
        source: row.get::<_, Parsed<UsageSource>>("usage_source")?.0,
        cost: row.get::<_, Option<i64>>("cost_nano_usd")?.map(SignedUsd),
    })
}
