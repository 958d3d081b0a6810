//! Deliveries as rows: what is leased, how it ended, and which are dead.
//!
//! Guarantees: an event is in one delivery at a time that is not over; a delivery keeps its id and its events until it
//! is over, whatever happens in between.
//! Begins at [`lease`].

use domain::{DeliveryId, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::fields::{count, id, read_count};
use crate::deliveries::{
    DEAD_RANGE_MAX, Delivery, DeliveryLine, DeliveryState, Lane, OutboxNumbers, Report, Then, Wanted,
};
use crate::random::random_bytes;

/// How an attempt ended. One that ended well is over even if it had been given up meanwhile.
pub(crate) fn report(tx: &Transaction<'_>, report: &Report) -> rusqlite::Result<()> {
    let Report { id, ended_ms, status, error, then } = report;
    let (state, next, only) = match then {
        Then::Done => ("done", None, "state IN ('under_way', 'dead')"),
        Then::Again { at_ms } => ("pending", Some(count(*at_ms)), "state = 'under_way'"),
        Then::Dead => ("dead", None, "state = 'under_way'"),
    };
    let sql = format!(
        "UPDATE deliveries SET state = ?2, next_attempt_ms = ?3, attempts = attempts + 1, last_attempt_ms = ?4,
             last_status = ?5, last_error = ?6 WHERE id = ?1 AND {only}"
    );
    let values = params![id.as_bytes(), state, next, count(*ended_ms), status, error];
    tx.prepare_cached(&sql)?.execute(values).map(drop)
}

/// Takes what is due in a workspace, retries first, and makes deliveries of new events; no more than is wanted.
pub(crate) fn lease(tx: &Transaction<'_>, wanted: Wanted, now_ms: u64) -> rusqlite::Result<Lane> {
    let Wanted { workspace, most } = wanted;
    let mut deliveries = due(tx, wanted, now_ms)?;
    while deliveries.len() < usize::from(most) {
        let Some(fresh) = make_next(tx, workspace, now_ms)? else { break };
        deliveries.push(fresh);
    }
    let next_due_ms =
        if deliveries.len() == usize::from(most) { Some(now_ms) } else { next_due(tx, workspace)? };
    Ok(Lane { workspace, deliveries, next_due_ms })
}

fn due(tx: &Transaction<'_>, wanted: Wanted, now_ms: u64) -> rusqlite::Result<Vec<Delivery>> {
    let sql = "SELECT * FROM deliveries WHERE workspace = ?1 AND next_attempt_ms <= ?2
               ORDER BY next_attempt_ms LIMIT ?3";
    let mut ask = tx.prepare_cached(sql)?;
    let values = params![id(wanted.workspace.0), count(now_ms), wanted.most];
    let found: Vec<Delivery> =
        ask.query_map(values, |row| delivery(row, now_ms))?.collect::<rusqlite::Result<_>>()?;
    let sql = "UPDATE deliveries SET state = 'under_way', next_attempt_ms = NULL,
                   first_attempt_ms = ifnull(first_attempt_ms, ?2) WHERE id = ?1";
    let mut take = tx.prepare_cached(sql)?;
    for delivery in &found {
        take.execute(params![delivery.id.as_bytes(), count(now_ms)])?;
    }
    Ok(found)
}

/// A delivery of the next events of a workspace, as many as there are and its webhook takes at once.
fn make_next(
    tx: &Transaction<'_>,
    workspace: WorkspaceId,
    now_ms: u64,
) -> rusqlite::Result<Option<Delivery>> {
    let Some((next, batch_max)) = cursor(tx, workspace)? else { return Ok(None) };
    let last = last_sequence(tx, workspace)?.min(next.saturating_add(batch_max).saturating_sub(1));
    if last < next {
        return Ok(None);
    }
    let made = Delivery {
        id: fresh_id(now_ms),
        workspace,
        first_sequence: next,
        last_sequence: last,
        attempts: 0,
        first_attempt_ms: now_ms,
    };
    let sql = "INSERT INTO deliveries (id, workspace, first_sequence, last_sequence, state, attempts, first_attempt_ms)
               VALUES (?1, ?2, ?3, ?4, 'under_way', 0, ?5)";
    let values = params![made.id.as_bytes(), id(workspace.0), count(next), count(last), count(now_ms)];
    tx.prepare_cached(sql)?.execute(values)?;
    let sql = "UPDATE webhooks SET next_sequence = ?2 WHERE workspace = ?1";
    tx.prepare_cached(sql)?.execute(params![id(workspace.0), count(last.saturating_add(1))])?;
    Ok(Some(made))
}

/// What was under way when the process ended is made again, at once.
pub(crate) fn reclaim(tx: &Transaction<'_>, now_ms: u64) -> rusqlite::Result<usize> {
    let sql = "UPDATE deliveries SET state = 'pending', next_attempt_ms = ?1 WHERE state = 'under_way'";
    tx.execute(sql, [count(now_ms)])
}

/// The webhook of a workspace goes: what it has not delivered is dead, what no delivery was made of as well.
pub(crate) fn bury(tx: &Transaction<'_>, workspace: WorkspaceId, at_ms: u64) -> rusqlite::Result<()> {
    const WHY: &str = "the webhook was deleted";
    for waiting in ["next_attempt_ms IS NOT NULL", "state = 'under_way'"] {
        let sql = format!(
            "UPDATE deliveries SET state = 'dead', next_attempt_ms = NULL, last_error = ifnull(last_error, ?2)
             WHERE workspace = ?1 AND {waiting}"
        );
        tx.execute(&sql, params![id(workspace.0), WHY])?;
    }
    let Some((mut next, _)) = cursor(tx, workspace)? else { return Ok(()) };
    let end = last_sequence(tx, workspace)?;
    let sql =
        "INSERT INTO deliveries (id, workspace, first_sequence, last_sequence, state, attempts, last_error)
               VALUES (?1, ?2, ?3, ?4, 'dead', 0, ?5)";
    while next <= end {
        let last = end.min(next.saturating_add(DEAD_RANGE_MAX - 1));
        let made = fresh_id(at_ms);
        let values = params![made.as_bytes(), id(workspace.0), count(next), count(last), WHY];
        tx.prepare_cached(sql)?.execute(values)?;
        next = last.saturating_add(1);
    }
    Ok(())
}

/// Makes new deliveries of dead ones, each of as many events as the webhook takes at once. Without a webhook
/// none are made. Answers how many dead ones are none any more.
pub(crate) fn redrive(tx: &Transaction<'_>, dead: &[DeliveryLine], now_ms: u64) -> rusqlite::Result<u64> {
    let mut redriven = 0_u64;
    let sql = "INSERT INTO deliveries (id, workspace, first_sequence, last_sequence, state, attempts, next_attempt_ms)
               VALUES (?1, ?2, ?3, ?4, 'pending', 0, ?5)";
    for letter in dead {
        let Some((_, batch_max)) = cursor(tx, letter.workspace)? else { continue };
        let mut next = letter.first_sequence;
        while next <= letter.last_sequence {
            let last = letter.last_sequence.min(next.saturating_add(batch_max).saturating_sub(1));
            let id_of = fresh_id(now_ms);
            let values =
                params![id_of.as_bytes(), id(letter.workspace.0), count(next), count(last), count(now_ms)];
            tx.prepare_cached(sql)?.execute(values)?;
            next = last.saturating_add(1);
        }
        let sql = "UPDATE deliveries SET state = 'redriven' WHERE id = ?1";
        tx.prepare_cached(sql)?.execute([letter.id.as_bytes()])?;
        redriven = redriven.saturating_add(1);
    }
    Ok(redriven)
}

/// The dead letter with this id, of this workspace.
pub(crate) fn dead_letter(
    reader: &Connection,
    workspace: WorkspaceId,
    letter: DeliveryId,
) -> rusqlite::Result<Option<DeliveryLine>> {
    let sql = "SELECT * FROM deliveries WHERE id = ?1 AND workspace = ?2 AND state = 'dead'";
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_row(params![letter.as_bytes(), id(workspace.0)], line).optional()
}

/// Dead letters of a workspace in order of making, those after `after` only; no more than `most`.
pub(crate) fn dead_letters(
    reader: &Connection,
    workspace: WorkspaceId,
    after: Option<DeliveryId>,
    most: usize,
) -> rusqlite::Result<Vec<DeliveryLine>> {
    let sql =
        "SELECT * FROM deliveries WHERE workspace = ?1 AND state = 'dead' AND id > ?2 ORDER BY id LIMIT ?3";
    let after = after.unwrap_or(DeliveryId::from_bytes([0; 16]));
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_map(params![id(workspace.0), after.as_bytes(), most], line)?.collect()
}

/// The deliveries that an event was in, in order of making.
pub(crate) fn of_event(
    reader: &Connection,
    workspace: WorkspaceId,
    sequence: u64,
) -> rusqlite::Result<Vec<DeliveryLine>> {
    let sql = "SELECT * FROM deliveries WHERE workspace = ?1 AND first_sequence BETWEEN ?2 AND ?3
                   AND last_sequence >= ?3 ORDER BY id";
    let from = sequence.saturating_sub(DEAD_RANGE_MAX);
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_map(params![id(workspace.0), count(from), count(sequence)], line)?.collect()
}

/// Forgets deliveries that were made before this time and are over, dead ones aside; no more than `most`.
pub(crate) fn prune(tx: &Transaction<'_>, before_ms: u64, most: u16) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
                   WHERE state IN ('done', 'redriven') AND id < ?1 ORDER BY id LIMIT ?2)";
    let before = DeliveryId::new(before_ms, [0; 10]);
    tx.prepare_cached(sql)?.execute(params![before.as_bytes(), most])
}

/// How much there is to deliver, and how much was given up, over all workspaces.
pub(crate) fn numbers(reader: &Connection) -> rusqlite::Result<OutboxNumbers> {
    let unmade = "SELECT sum(s.sequence - w.next_sequence + 1), min(e.at_ms)
                  FROM webhooks AS w JOIN sequences AS s ON s.workspace = w.workspace
                      LEFT JOIN events AS e ON e.workspace = w.workspace AND e.sequence = w.next_sequence";
    let waiting = "SELECT sum(d.last_sequence - d.first_sequence + 1), min(e.at_ms)
                   FROM deliveries AS d LEFT JOIN events AS e
                       ON e.workspace = d.workspace AND e.sequence = d.first_sequence WHERE ";
    let (mut undelivered, mut oldest_ms) = (0_u64, None);
    for sql in [
        unmade.to_owned(),
        format!("{waiting} d.next_attempt_ms IS NOT NULL"),
        format!("{waiting} d.state = 'under_way'"),
    ] {
        let (events, at_ms) = reader
            .query_row(&sql, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        undelivered =
            undelivered.saturating_add(events.map_or(0, |events| u64::try_from(events).unwrap_or(0)));
        let at_ms = at_ms.map(|at_ms| u64::try_from(at_ms).unwrap_or(0));
        oldest_ms = [oldest_ms, at_ms].into_iter().flatten().min();
    }
    let dead = reader
        .query_row("SELECT count(*) FROM deliveries WHERE state = 'dead'", [], |row| read_count(row, 0))?;
    Ok(OutboxNumbers { undelivered, oldest_ms, dead_letters: dead })
}

fn next_due(tx: &Transaction<'_>, workspace: WorkspaceId) -> rusqlite::Result<Option<u64>> {
    let sql =
        "SELECT min(next_attempt_ms) FROM deliveries WHERE workspace = ?1 AND next_attempt_ms IS NOT NULL";
    let mut ask = tx.prepare_cached(sql)?;
    let at_ms: Option<i64> = ask.query_row([id(workspace.0)], |row| row.get(0))?;
    Ok(at_ms.map(|at_ms| u64::try_from(at_ms).unwrap_or(0)))
}

/// The first event that no delivery was made of, and how many a delivery may have. None without a webhook.
fn cursor(tx: &Transaction<'_>, workspace: WorkspaceId) -> rusqlite::Result<Option<(u64, u64)>> {
    let sql = "SELECT next_sequence, batch_max FROM webhooks WHERE workspace = ?1";
    let mut ask = tx.prepare_cached(sql)?;
    let cursor = |row: &Row<'_>| Ok((read_count(row, 0)?, read_count(row, 1)?.max(1)));
    ask.query_row([id(workspace.0)], cursor).optional()
}

/// The last event of a workspace; 0 if there was none.
pub(crate) fn last_sequence(tx: &Transaction<'_>, workspace: WorkspaceId) -> rusqlite::Result<u64> {
    let sql = "SELECT sequence FROM sequences WHERE workspace = ?1";
    let mut ask = tx.prepare_cached(sql)?;
    Ok(ask.query_row([id(workspace.0)], |row| read_count(row, 0)).optional()?.unwrap_or(0))
}

fn fresh_id(at_ms: u64) -> DeliveryId {
    DeliveryId::new(at_ms, random_bytes())
}

fn delivery(row: &Row<'_>, now_ms: u64) -> rusqlite::Result<Delivery> {
    let line = line(row)?;
    Ok(Delivery {
        id: line.id,
        workspace: line.workspace,
        first_sequence: line.first_sequence,
        last_sequence: line.last_sequence,
        attempts: line.attempts,
        first_attempt_ms: line.first_attempt_ms.unwrap_or(now_ms),
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<DeliveryLine> {
    let optional = |name: &str| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(name)?.map(|ms| u64::try_from(ms).unwrap_or(0)))
    };
    Ok(DeliveryLine {
        id: DeliveryId::from_bytes(row.get("id")?),
        workspace: WorkspaceId(super::fields::read_id(row, "workspace")?),
        first_sequence: read_count(row, "first_sequence")?,
        last_sequence: read_count(row, "last_sequence")?,
        state: row.get::<_, super::fields::Parsed<DeliveryState>>("state")?.0,
        attempts: row.get("attempts")?,
        first_attempt_ms: optional("first_attempt_ms")?,
        last_attempt_ms: optional("last_attempt_ms")?,
        next_attempt_ms: optional("next_attempt_ms")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
    })
}
