//! Events against the lines that they tell of: none missing, none twice, in order and without a gap.

use domain::{EventId, RequestId, WorkspaceId};
use rusqlite::{Connection, Row};

use super::time;
use crate::audit::Audit;
use crate::embedded::event_rows::BLOCK;
use crate::embedded::fields::count;

/// By how much an event may be later than what it tells of, because another that ended later was written before it. If
/// it is more, the wall clock was set back.
const LATE_MAX_MS: i64 = 60_000;

/// Every event in its order, with the line that it tells of, as far as that is there.
const EVENTS: &str = "SELECT ev.workspace, ev.sequence, ev.at_ms, ev.line, ev.corrects, ev.terms,
        ifnull(e.sequence, c.sequence) AS line_sequence, ifnull(e.settled_ms, c.at_ms) AS line_ms,
        ifnull(e.terms, corrected.terms) AS line_terms, t.workspace AS line_workspace
    FROM main.events AS ev
        LEFT JOIN main.entries AS e ON ev.corrects = 0 AND e.request_id = ev.line
        LEFT JOIN main.corrections AS c ON ev.corrects = 1 AND c.id = ev.line
        LEFT JOIN main.entries AS corrected ON corrected.request_id = c.corrects
        LEFT JOIN main.terms AS t ON t.id = ev.terms
    ORDER BY ev.workspace, ev.sequence";

/// Lines whose event is not there.
const LOST: &str = "SELECT t.workspace, e.sequence, e.request_id AS line FROM main.entries AS e
        JOIN main.terms AS t ON t.id = e.terms
    WHERE e.sequence IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM main.events AS ev
        WHERE ev.workspace = t.workspace AND ev.sequence = e.sequence AND ev.line = e.request_id)
    UNION ALL SELECT t.workspace, c.sequence, c.id FROM main.corrections AS c
        JOIN main.entries AS e ON e.request_id = c.corrects JOIN main.terms AS t ON t.id = e.terms
    WHERE NOT EXISTS (
        SELECT 1 FROM main.events AS ev
        WHERE ev.workspace = t.workspace AND ev.sequence = c.sequence AND ev.line = c.id)";

/// Entries that are billed and should not be, or the other way round (see [`domain::is_billed`]).
const WRONGLY_BILLED: &str = "SELECT request_id AS line, sequence IS NOT NULL AS billed FROM main.entries
    WHERE (sequence IS NOT NULL) != (input_tokens + output_tokens > 0 OR ifnull(upstream_status, 0) BETWEEN 200 AND 299)";

/// Stretches of events that whoever asks for the events of one group would pass over, and ones that are looked through in
/// vain.
const BLOCKS: &str = "SELECT terms, block, 1 AS is_due FROM (
        SELECT DISTINCT terms, sequence / ?1 AS block FROM main.events
        EXCEPT SELECT terms, block FROM main.event_blocks)
    UNION ALL SELECT terms, block, 0 FROM (
        SELECT terms, block FROM main.event_blocks
        EXCEPT SELECT DISTINCT terms, sequence / ?1 FROM main.events)";

/// How far each workspace has come, by its events and by what is kept.
const LAST: &str =
    "SELECT w.workspace, s.sequence AS kept, s.at_ms AS kept_ms, ev.sequence AS last, ev.at_ms AS last_ms
    FROM (SELECT workspace FROM main.sequences UNION SELECT DISTINCT workspace FROM main.events) AS w
        LEFT JOIN main.sequences AS s ON s.workspace = w.workspace
        LEFT JOIN main.events AS ev ON ev.workspace = w.workspace
            AND ev.sequence = (SELECT max(sequence) FROM main.events WHERE workspace = w.workspace)";

#[derive(Debug, Clone, Copy)]
struct Event {
    workspace: i64,
    sequence: i64,
    at_ms: i64,
}

/// Compares all of them. Answers until when the wall clock had been set back, as far as events show it.
pub(super) fn compare(
    reader: &Connection,
    pruned_ms: Option<i64>,
    audit: &mut Audit,
) -> rusqlite::Result<Option<i64>> {
    let set_back_ms = in_order(reader, pruned_ms, audit)?;
    lost(reader, audit)?;
    wrongly_billed(reader, audit)?;
    blocks(reader, audit)?;
    last(reader, pruned_ms, audit)?;
    Ok(set_back_ms)
}

fn in_order(reader: &Connection, pruned_ms: Option<i64>, audit: &mut Audit) -> rusqlite::Result<Option<i64>> {
    let mut ask = reader.prepare(EVENTS)?;
    let mut rows = ask.query([])?;
    let (mut before, mut set_back_ms): (Option<Event>, _) = (None, None);
    while let Some(row) = rows.next()? {
        audit.compared = audit.compared.saturating_add(1);
        let event = Event {
            workspace: row.get("workspace")?,
            sequence: row.get("sequence")?,
            at_ms: row.get("at_ms")?,
        };
        let former = before.filter(|before| before.workspace == event.workspace);
        // The first one that is left is whatever pruning left.
        let due = match former {
            Some(former) => former.sequence.saturating_add(1),
            None if pruned_ms.is_some() => event.sequence,
            None => 1,
        };
        if event.sequence != due {
            audit.differ("events.sequence", || place(&event), (&due, &event.sequence));
        }
        let not_before = former.map_or(event.at_ms, |former| former.at_ms);
        if event.at_ms < not_before {
            let (due, found) = (time(reader, not_before), time(reader, event.at_ms));
            audit.differ("events.at_ms", || place(&event), (&due, &found));
        }
        if let Some(ms) = told(row, &event, audit)?
            && event.at_ms > ms.saturating_add(LATE_MAX_MS)
        {
            set_back_ms = set_back_ms.max(Some(event.at_ms));
        }
        before = Some(event);
    }
    Ok(set_back_ms)
}

/// Compares an event with its line. Answers the time of that.
fn told(row: &Row<'_>, event: &Event, audit: &mut Audit) -> rusqlite::Result<Option<i64>> {
    let line = EventId::of(RequestId::from_bytes(row.get("line")?));
    let sequence: Option<i64> = row.get("line_sequence")?;
    let Some(sequence) = sequence else {
        audit.differ(
            "events.line",
            || place(event),
            (&"the line that it tells of", &format!("no line {line}")),
        );
        return Ok(None);
    };
    if sequence != event.sequence {
        audit.differ("entries.sequence", || format!("event {line}"), (&event.sequence, &sequence));
    }
    let (terms, line_terms): (i64, Option<i64>) = (row.get("terms")?, row.get("line_terms")?);
    if let Some(line_terms) = line_terms.filter(|of_line| *of_line != terms) {
        audit.differ("events.terms", || place(event), (&line_terms, &terms));
    }
    let workspace: Option<i64> = row.get("line_workspace")?;
    if workspace != Some(event.workspace) {
        let found = WorkspaceId(event.workspace.cast_unsigned());
        let due =
            workspace.map_or_else(|| "none".to_owned(), |id| WorkspaceId(id.cast_unsigned()).to_string());
        audit.differ("events.workspace", || format!("event {line}"), (&due, &found));
    }
    let ms: Option<i64> = row.get("line_ms")?;
    let ms = ms.filter(|ms| {
        let early = event.at_ms < *ms;
        if early {
            audit.differ("events.at_ms", || place(event), (&format!("{ms} or later"), &event.at_ms));
        }
        !early
    });
    Ok(ms)
}

fn lost(reader: &Connection, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut ask = reader.prepare(LOST)?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let line = EventId::of(RequestId::from_bytes(row.get("line")?));
        let (workspace, sequence): (i64, Option<i64>) = (row.get("workspace")?, row.get("sequence")?);
        let event = Event { workspace, sequence: sequence.unwrap_or(0), at_ms: 0 };
        audit.differ("events", || place(&event), (&format!("event {line}"), &"none that tells of it"));
    }
    Ok(())
}

fn wrongly_billed(reader: &Connection, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut ask = reader.prepare(WRONGLY_BILLED)?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let line = RequestId::from_bytes(row.get("line")?);
        let words = |billed| if billed { "an event" } else { "no event" };
        let billed: bool = row.get("billed")?;
        audit.differ("entries.sequence", || format!("call {line}"), (&words(!billed), &words(billed)));
    }
    Ok(())
}

fn blocks(reader: &Connection, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut ask = reader.prepare(BLOCKS)?;
    let mut rows = ask.query([count(BLOCK)])?;
    while let Some(row) = rows.next()? {
        let (terms, block): (i64, i64) = (row.get("terms")?, row.get("block")?);
        let words = |there| if there { "events of these terms" } else { "none" };
        let is_due: bool = row.get("is_due")?;
        let place = || format!("terms {terms}, block {block}");
        audit.differ("event_blocks", place, (&words(is_due), &words(!is_due)));
    }
    Ok(())
}

fn last(reader: &Connection, pruned_ms: Option<i64>, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut ask = reader.prepare(LAST)?;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let workspace: i64 = row.get("workspace")?;
        let kept: (Option<i64>, Option<i64>) = (row.get("kept")?, row.get("kept_ms")?);
        let last: (Option<i64>, Option<i64>) = (row.get("last")?, row.get("last_ms")?);
        // All of its events may have been pruned.
        let known = last.0.is_some() || pruned_ms.is_none();
        if known && kept != last {
            let shown = |(sequence, at_ms): (Option<i64>, Option<i64>)| match (sequence, at_ms) {
                (Some(sequence), Some(at_ms)) => format!("{sequence} at {}", time(reader, at_ms)),
                (Some(_) | None, _) => "none".to_owned(),
            };
            let place = || format!("workspace {}", WorkspaceId(workspace.cast_unsigned()));
            audit.differ("sequences", place, (&shown(last), &shown(kept)));
        }
    }
    Ok(())
}

fn place(event: &Event) -> String {
    format!("workspace {}, sequence {}", WorkspaceId(event.workspace.cast_unsigned()), event.sequence)
}
