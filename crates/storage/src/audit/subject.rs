//! One number that is kept in memory: whose it is, what memory and disk say of it, and what that means.

use std::sync::Arc;

use domain::{
    Cycle, Day, Group, GroupId, LimitType, ModelConfig, Now, Slug, Snapshot, Unit, Version, binding_limits,
};
use limits::{CounterKey, Home, Measure, Owner};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Audit, Watch};
use crate::embedded::{count, id, line_counter, line_home, read_count};
use crate::line_use::LineKey;
use crate::store::Store;
use crate::today::{Use, UseScope};

/// Groups, or model configs, whose counters are looked at together.
const BATCH_MAX: usize = 512;
/// So many quiet looks make a difference: a call may have ended in the engine and not yet in the ledger.
const PROOFS: u32 = 2;

/// Something that is kept in memory.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) home: Option<Home>,
    kept: Kept,
    /// Quiet looks that found a difference.
    proofs: u32,
}

#[derive(Debug, Clone)]
enum Kept {
    /// What a group may use of a model by the day.
    Day { group: GroupId, slug: Slug, scope: UseScope, kind: LimitType, since: Version },
    /// What a line of a model config has used.
    Line { key: LineKey, cycle: Cycle },
}

/// What memory holds of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// What its counter has used, if it is open.
    counter: Option<u64>,
    /// What calls in flight hold of it.
    pub(super) pending: u64,
    /// What a counter would open with.
    opening: u64,
}

/// What came of a look.
pub(super) enum Verdict {
    Same,
    /// It is as it should be as far as anybody can tell.
    Unclear(String),
    Again,
    Differs,
}

impl Subject {
    pub(super) fn held(&self, store: &Store, now: Now) -> Held {
        let engine = store.engine();
        let present = self.home.map_or(now, |home| engine.present(home, now));
        let (counter, since, opening) = match &self.kept {
            Kept::Day { group, slug, scope, kind, since } => {
                let owner = Owner::Model(*group, slug.clone());
                let counter = CounterKey { owner, measure: Measure::Use(*kind, Unit::Day) };
                (counter, *since, store.used_today(*group, *scope, slug, present.day()).of(*kind))
            }
            Kept::Line { key, .. } => {
                (line_counter(*key), Version::default(), store.ledger_line_use(*key, present.wall_ms))
            }
        };
        let reading = self.home.and_then(|home| engine.peek(home, &counter, since, now));
        Held {
            counter: reading.map(|reading| reading.used),
            pending: reading.map_or(0, |reading| reading.pending),
            opening,
        }
    }

    pub(super) fn on_disk(&self, reader: &Connection, present: Now) -> rusqlite::Result<u64> {
        match &self.kept {
            Kept::Day { group, slug, scope, kind, .. } => {
                day_use(reader, (*group, *scope, slug), present.day()).map(|used| used.of(*kind))
            }
            Kept::Line { key, cycle } => line_use(reader, *key, cycle.period(present.wall_ms).start_ms),
        }
    }

    pub(super) fn verdict(
        &mut self,
        watch: &Watch,
        held: Held,
        disk: u64,
        (stands, is_proof): (bool, bool),
    ) -> Verdict {
        let counter = held.counter.unwrap_or(disk);
        if stands && held.opening == disk && counter == disk {
            return Verdict::Same;
        }
        if let Kept::Day { since, .. } = &self.kept
            && stands
            && held.opening == disk
            && counter < disk
            && *since > watch.started_at
        {
            return Verdict::Unclear(format!("{}: declared while calls were under way", self.name()));
        }
        self.proofs = if is_proof { self.proofs.saturating_add(1) } else { 0 };
        if self.proofs >= PROOFS { Verdict::Differs } else { Verdict::Again }
    }

    pub(super) fn tell(&self, held: Held, disk: u64, audit: &mut Audit) {
        audit.compared = audit.compared.saturating_add(1);
        if held.opening != disk {
            audit.differ("memory", || self.name(), (&disk, &held.opening));
        }
        if let Some(counter) = held.counter.filter(|counter| *counter != disk) {
            audit.differ("counter", || self.name(), (&disk, &counter));
        }
    }

    pub(super) fn name(&self) -> String {
        match &self.kept {
            Kept::Day { group, slug, kind, .. } => {
                format!("group {group}, slug {slug}, {} per DAY", kind.name())
            }
            Kept::Line { key: (line, meter), .. } => format!("line {line}, {}", meter.word()),
        }
    }
}

/// Everything of which memory holds a number, as much at once as a few groups or configs have.
pub(super) fn batches(snapshot: &Snapshot) -> impl Iterator<Item = Vec<Subject>> {
    let mut groups = snapshot
        .workspaces()
        .flat_map(|workspace| snapshot.groups_after(workspace.id, Version::default()))
        .peekable();
    let mut configs = snapshot.configs().peekable();
    std::iter::from_fn(move || {
        if groups.peek().is_some() {
            return Some(groups.by_ref().take(BATCH_MAX).flat_map(|group| days(snapshot, group)).collect());
        }
        configs.peek()?;
        Some(configs.by_ref().take(BATCH_MAX).flat_map(|config| lines(snapshot, config)).collect())
    })
}

/// DAY counters of a group's own.
fn days<'a>(snapshot: &'a Snapshot, group: &'a Arc<Group>) -> impl Iterator<Item = Subject> + 'a {
    let scope = UseScope::of(group.enforcement);
    group.models.iter().flat_map(move |model| {
        let binding = binding_limits(snapshot, group, model.slug.as_str()).into_iter();
        let own = binding.filter(|its| its.owner == group.id && its.limit.unit == Unit::Day);
        own.map(move |its| {
            let (kind, since) = (its.limit.kind, its.limit.since);
            let kept = Kept::Day { group: group.id, slug: model.slug.clone(), scope, kind, since };
            Subject { home: Some(Home::Tree(group.root)), kept, proofs: 0 }
        })
    })
}

fn lines<'a>(snapshot: &Snapshot, config: &'a ModelConfig) -> impl Iterator<Item = Subject> + use<'a> {
    let home = line_home(snapshot, config);
    config.lines().map(move |line| {
        let kept = Kept::Line { key: (line.id, line.meter), cycle: line.cycle };
        Subject { home, kept, proofs: 0 }
    })
}

fn day_use(
    reader: &Connection,
    (group, scope, slug): (GroupId, UseScope, &Slug),
    day: Day,
) -> rusqlite::Result<Use> {
    let sql =
        "SELECT requests, tokens FROM day_use WHERE group_id = ?1 AND scope = ?2 AND slug = ?3 AND day = ?4";
    let values = params![id(group.0), scope.name(), slug.as_str(), day.0];
    let used =
        |row: &rusqlite::Row<'_>| Ok(Use { requests: read_count(row, 0)?, tokens: read_count(row, 1)? });
    Ok(reader.prepare_cached(sql)?.query_row(values, used).optional()?.unwrap_or_default())
}

/// What a line has used in the period that begins at `start_ms`, or in one that the clock has not come to.
fn line_use(reader: &Connection, (line, meter): LineKey, start_ms: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT used FROM line_use WHERE line = ?1 AND meter = ?2 AND start_ms >= ?3";
    let values = params![line.as_bytes(), meter.word(), count(start_ms)];
    let used: Option<i64> = reader.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    Ok(used.map_or(0, |used| u64::try_from(used).unwrap_or(0)))
}
