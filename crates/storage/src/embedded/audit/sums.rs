//! Daily and hourly sums against the folded ledger: both in the order of their keys, side by side.

use std::cmp::Ordering;

use domain::GroupId;
use rusqlite::{Connection, Row, Rows};

use super::{said, time};
use crate::audit::Audit;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// One kind of sum: the same columns twice, added up again and as kept, each in the order of its keys.
#[derive(Debug, Clone, Copy)]
struct Kind {
    what: &'static str,
    keys: &'static [Key],
    numbers: &'static [&'static str],
    /// How long the time is that a row is about. `?1` in both questions is the last such time of which entries were
    /// pruned.
    span_ms: i64,
    expected: &'static str,
    found: &'static str,
}

/// What a column of a key says.
#[derive(Debug, Clone, Copy)]
enum Key {
    Group,
    /// Counted in spans since 1970 UTC.
    Time,
    Text(&'static str),
}

/// A value of a key, in the order that SQLite sorts by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(i64),
    Text(String),
}

#[derive(Debug)]
struct Sum {
    key: Vec<Part>,
    numbers: Vec<i64>,
}

const CALLS: &[&str] = &["requests", "input_tokens", "output_tokens", "cached_tokens", "cost_nano_usd"];

/// The sums of [`CALLS`].
macro_rules! calls {
    () => {
        concat!(
            total!("f.requests"),
            ", ",
            total!("f.input_tokens"),
            ", ",
            total!("f.output_tokens"),
            ", ",
            total!("f.cached_tokens"),
            ", ",
            total!("f.cost_nano_usd")
        )
    };
}

const OWN_HOURS: Kind = Kind {
    what: "rollups",
    keys: &[Key::Group, Key::Time, Key::Text("slug"), Key::Text("key"), Key::Text("provider")],
    numbers: CALLS,
    span_ms: HOUR_MS,
    expected: concat!(
        "SELECT m.group_id, f.hour, t.slug, f.key_prefix, t.provider, ",
        calls!(),
        "
        FROM folded AS f JOIN main.terms AS t ON t.id = f.terms JOIN members AS m ON m.terms = f.terms AND m.depth = 0
        WHERE f.hour > ?1 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    ),
    found: "SELECT group_id, hour, slug, key_prefix, provider, requests, input_tokens, output_tokens, cached_tokens,
            cost_nano_usd
        FROM main.rollups WHERE hour > ?1 ORDER BY 1, 2, 3, 4, 5",
};

const HOURS_BELOW: Kind = Kind {
    what: "subtree_rollups",
    keys: &[Key::Group, Key::Time, Key::Text("slug"), Key::Text("provider")],
    numbers: CALLS,
    span_ms: HOUR_MS,
    expected: concat!(
        "SELECT m.group_id, f.hour, t.slug, t.provider, ",
        calls!(),
        "
        FROM folded AS f JOIN main.terms AS t ON t.id = f.terms JOIN members AS m ON m.terms = f.terms AND m.depth > 0
        WHERE f.hour > ?1 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    ),
    found: "SELECT group_id, hour, slug, provider, requests, input_tokens, output_tokens, cached_tokens, cost_nano_usd
        FROM main.subtree_rollups WHERE hour > ?1 ORDER BY 1, 2, 3, 4",
};

/// Requests by the day of admission, tokens by that of settlement.
macro_rules! days {
    ($what:literal, $scope:literal, $members:literal) => {
        Kind {
            what: $what,
            keys: &[Key::Group, Key::Text("slug"), Key::Time],
            numbers: &["requests", "tokens"],
            span_ms: DAY_MS,
            expected: concat!(
                "WITH charged AS (
                    SELECT terms, day, requests, 0 AS tokens FROM folded WHERE corrects = 0 AND day > ?1
                    UNION ALL SELECT terms, hour / 24, 0, input_tokens + output_tokens FROM folded
                        WHERE corrects = 0 AND hour / 24 > ?1
                )
                SELECT m.group_id, t.slug, c.day, ",
                total!("c.requests"),
                ", ",
                total!("c.tokens"),
                "
                FROM charged AS c JOIN main.terms AS t ON t.id = c.terms JOIN members AS m ON m.terms = c.terms AND ",
                $members,
                " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            ),
            found: concat!(
                "SELECT group_id, slug, day, requests, tokens FROM main.day_use WHERE scope = '",
                $scope,
                "' AND day > ?1 ORDER BY 1, 2, 3"
            ),
        }
    };
}

const OWN_DAYS: Kind = days!("day_use own", "own", "m.depth = 0");
const DAYS_OF_SUBTREE: Kind = days!("day_use subtree", "subtree", "1");

/// Compares every sum of a time of which no entry was pruned.
pub(super) fn compare(
    reader: &Connection,
    pruned_ms: Option<i64>,
    audit: &mut Audit,
) -> rusqlite::Result<()> {
    let below_ms = pruned_ms.max(said(reader, "not_summed_below_ms")?);
    compare_kind(reader, &OWN_HOURS, pruned_ms, audit)?;
    compare_kind(reader, &HOURS_BELOW, below_ms, audit)?;
    compare_kind(reader, &OWN_DAYS, pruned_ms, audit)?;
    compare_kind(reader, &DAYS_OF_SUBTREE, pruned_ms, audit)
}

fn compare_kind(
    reader: &Connection,
    kind: &Kind,
    pruned_ms: Option<i64>,
    audit: &mut Audit,
) -> rusqlite::Result<()> {
    let pruned = pruned_ms.map_or(-1, |ms| ms / kind.span_ms);
    let (mut expected, mut found) = (reader.prepare(kind.expected)?, reader.prepare(kind.found)?);
    let (mut expected, mut found) = (expected.query([pruned])?, found.query([pruned])?);
    let (mut due, mut kept) = (kind.next(&mut expected)?, kind.next(&mut found)?);
    loop {
        let order = match (&due, &kept) {
            (Some(due), Some(kept)) => due.key.cmp(&kept.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        audit.compared = audit.compared.saturating_add(1);
        // A row that is not there is one of noughts.
        kind.differ(
            reader,
            (due.as_ref().filter(|_| order.is_le()), kept.as_ref().filter(|_| order.is_ge())),
            audit,
        );
        if order.is_le() {
            due = kind.next(&mut expected)?;
        }
        if order.is_ge() {
            kept = kind.next(&mut found)?;
        }
    }
}

impl Kind {
    fn next(&self, rows: &mut Rows<'_>) -> rusqlite::Result<Option<Sum>> {
        rows.next()?.map(|row| self.sum(row)).transpose()
    }

    fn sum(&self, row: &Row<'_>) -> rusqlite::Result<Sum> {
        let part = |(at, key): (usize, &Key)| match key {
            Key::Group | Key::Time => row.get(at).map(Part::Number),
            Key::Text(_) => row.get(at).map(Part::Text),
        };
        let key = self.keys.iter().enumerate().map(part).collect::<Result<_, _>>()?;
        let numbers = (self.keys.len()..).take(self.numbers.len()).map(|at| row.get(at));
        Ok(Sum { key, numbers: numbers.collect::<Result<_, _>>()? })
    }

    fn differ(&self, reader: &Connection, (due, kept): (Option<&Sum>, Option<&Sum>), audit: &mut Audit) {
        let Some(Sum { key, .. }) = due.or(kept) else { return };
        let number =
            |sum: Option<&Sum>, at: usize| sum.and_then(|sum| sum.numbers.get(at)).copied().unwrap_or(0);
        for (at, name) in self.numbers.iter().enumerate() {
            let (expected, found) = (number(due, at), number(kept, at));
            if expected != found {
                let place = || self.place(reader, key);
                audit.differ(format_args!("{}.{name}", self.what), place, (&expected, &found));
            }
        }
    }

    fn place(&self, reader: &Connection, key: &[Part]) -> String {
        let word = |(kind, part): (&Key, &Part)| match (kind, part) {
            (Key::Group, Part::Number(id)) => format!("group {}", GroupId(id.cast_unsigned())),
            (Key::Time, Part::Number(at)) => time(reader, at.saturating_mul(self.span_ms)),
            (Key::Text(name), Part::Text(text)) => format!("{name} {text}"),
            (Key::Text(name), Part::Number(number)) => format!("{name} {number}"),
            (Key::Group | Key::Time, Part::Text(text)) => text.clone(),
        };
        self.keys.iter().zip(key).map(word).collect::<Vec<_>>().join(", ")
    }
}
