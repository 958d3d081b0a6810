//! What an edit does to the use of lines: openings, resets, and another cycle of what is used already.
//!
//! The ledger and the live counters are told the same: a reset says how much the counter forgot, and the ledger subtracts
//! just that, so calls that were settled before the reset and are written after it still add up.
//!
//! Begins at [`write()`]; then [`Lines::put`] and [`retire`], or [`Lines::take_back`] if the disk refused.

use domain::{Change, ConfigScope, Line, ModelConfig, Now, Record, Snapshot, Version};
use limits::{CounterKey, CounterScope, Engine, Home, Measure, Owner, PathLimit, PathSpec, Shown};
use rusqlite::Transaction;

use super::ledger_rows::{LineRecord, delete_line_use, write_line_record, write_line_use};
use super::span_rows::{self, Cause};
use crate::compile::{line_limit, path_epoch};
use crate::line_use::{LineKey, LineUse, Spent};

/// What was written, and what has to follow it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Configs before and after the edit, with the use of their lines.
    edited: Vec<Edited>,
    /// Counters that have forgotten something, and how much.
    forgotten: Vec<Forgotten>,
}

#[derive(Debug)]
struct Edited {
    before: Option<std::sync::Arc<ModelConfig>>,
    after: Option<std::sync::Arc<ModelConfig>>,
    spent: Vec<(LineKey, Spent)>,
    home: Option<Home>,
}

#[derive(Debug)]
struct Forgotten {
    line: LineKey,
    home: Option<Home>,
    used: u64,
    /// When, in milliseconds since 1970 UTC: by the counter's own time, the period in which it was used.
    at_ms: u64,
    /// Whether it was a counter that forgot it.
    was_open: bool,
    spent: Option<Spent>,
}

/// Counters of lines that an edit took away.
pub(crate) type Gone = Vec<(Home, CounterKey)>;

/// Whether a record changes what lines have used.
pub(crate) fn is_about_lines(record: &Record) -> bool {
    matches!(
        record,
        Record::ModelConfig { .. } | Record::ModelConfigDeleted { .. } | Record::LineReset { .. }
    )
}

/// Ends counters whose lines are gone: a side of a rate limit may come back under the same id.
pub(crate) fn retire(gone: &Gone, engine: &Engine) {
    gone.iter().for_each(|(home, key)| engine.retire(*home, key));
}

/// Where the counters of a config's lines are; none if the key or group it is about is gone.
pub(crate) fn home(snapshot: &Snapshot, config: &ModelConfig) -> Option<Home> {
    let group = match &config.identity.scope {
        ConfigScope::Global | ConfigScope::User(_) => return Some(Home::Workspace(config.workspace)),
        ConfigScope::Group(group) => *group,
        ConfigScope::VirtualKey(prefix) => snapshot.key_by_prefix(config.workspace, prefix)?.group,
    };
    snapshot.group(group).map(|group| Home::Tree(group.root))
}

/// What the counter of a line is found by.
pub(crate) fn counter((line, meter): LineKey) -> CounterKey {
    CounterKey { owner: Owner::Line(line), measure: Measure::Spend(meter) }
}

/// Writes what a change does to the use of lines. Counters forget right before the transaction ends; which ones is in
/// `lines` also where the disk refuses half way.
pub(crate) fn write(
    tx: &Transaction<'_>,
    (before, change): (&Snapshot, &Change),
    (engine, line_use): (&Engine, &LineUse),
    (lines, now): (&mut Lines, Now),
) -> rusqlite::Result<()> {
    for record in &change.records {
        lines.edited.extend(write_edited(tx, (before, change.version), record, (engine, line_use), now)?);
        if let Record::LineReset { config, line } = record {
            for line in config.lines().filter(|its| its.id == *line) {
                lines.forgotten.push(forget((before, config), &line, (engine, line_use), now));
            }
        }
    }
    lines.forgotten.iter().try_for_each(|forgotten| write_forgotten(tx, forgotten, change.version))
}

fn write_edited(
    tx: &Transaction<'_>,
    (snapshot, version): (&Snapshot, Version),
    record: &Record,
    (engine, line_use): (&Engine, &LineUse),
    now: Now,
) -> rusqlite::Result<Option<Edited>> {
    let (id, after, inherits) = if let Record::ModelConfig { config, inherits } = record {
        (config.id, Some(config), inherits.as_slice())
    } else if let Record::ModelConfigDeleted { id } = record {
        (*id, None, &[][..])
    } else {
        return Ok(None);
    };
    let before = snapshot.config(id).cloned();
    let home = after.or(before.as_ref()).and_then(|config| home(snapshot, config));
    // The edit may have waited while calls went on into the next period: their time is the line's.
    let now = home.map_or(now, |home| engine.present(home, now));
    let opening = |(line, meter): LineKey| {
        let from = inherits.iter().find(|inherits| inherits.line == line).map(|inherits| inherits.from);
        from.map_or(0, |from| line_use.used((from, meter), now.wall_ms))
    };
    let spent = after.map(|after| line_use.after_edit(after, now.wall_ms, opening)).unwrap_or_default();
    for line in before.iter().flat_map(|before| before.lines()) {
        delete_line_use(tx, (line.id, line.meter))?;
    }
    for (key, spent) in &spent {
        write_line_use(tx, *key, spent)?;
        match line_use.get(*key) {
            None => span_rows::write(tx, (*key, version), Cause::Made, spent)?,
            Some(was) if was.cycle != spent.cycle => {
                span_rows::write(tx, (*key, version), Cause::Moved, spent)?;
            }
            Some(_) => {}
        }
        let used = opening(*key);
        if used > 0 {
            write_line_record(tx, LineRecord::Opening, *key, (version, used, now.wall_ms))?;
        }
    }
    Ok(Some(Edited { before, after: after.cloned(), spent, home }))
}

/// A counter that is not open is opened first: a call that looked at the ledger before the reset would open it with what
/// is forgotten here.
fn forget(
    (snapshot, config): (&Snapshot, &ModelConfig),
    line: &Line<'_>,
    (engine, line_use): (&Engine, &LineUse),
    now: Now,
) -> Forgotten {
    let key = (line.id, line.meter);
    let opening = line_use.used(key, now.wall_ms);
    let home = home(snapshot, config);
    if let Some(home) = home.filter(|_| opening > 0) {
        let limit = line_limit(config, line, CounterScope::SharedConfig, opening);
        open(engine, (snapshot, config), (home, limit), now);
    }
    let by_counter = home.and_then(|home| engine.reset(home, &counter(key), now));
    let (used, at) = by_counter.unwrap_or((opening, now));
    let spent = line_use.get(key).map(|mut spent| {
        spent.forget(at.wall_ms, used);
        spent
    });
    // Entries of a later period may have been written while the edit waited: it is their period that forgets.
    let at_ms = spent.map_or(at.wall_ms, |spent| at.wall_ms.max(spent.start_ms));
    Forgotten { line: key, home, used, at_ms, was_open: by_counter.is_some(), spent }
}

/// Opens the counter of a limit as the path of a call would, if there is a group that could call.
fn open(
    engine: &Engine,
    (snapshot, config): (&Snapshot, &ModelConfig),
    (home, limit): (Home, PathLimit),
    now: Now,
) {
    let workspace = config.workspace;
    let (root, limits, shared) = match home {
        Home::Tree(root) => (Some(root), vec![limit], Vec::new()),
        Home::Workspace(_) => {
            let any = snapshot.groups_after(workspace, Version::default()).next();
            (any.map(|group| group.root), Vec::new(), vec![limit])
        }
    };
    let Some(root) = root else { return };
    let epoch = path_epoch(snapshot, root, workspace);
    drop(engine.bind(PathSpec { root, workspace, epoch, shown: Shown::Own, limits, shared }, now));
}

fn write_forgotten(tx: &Transaction<'_>, forgotten: &Forgotten, version: Version) -> rusqlite::Result<()> {
    let Forgotten { line, used, at_ms, spent, .. } = forgotten;
    write_line_record(tx, LineRecord::Reset, *line, (version, *used, *at_ms))?;
    spent.as_ref().map_or(Ok(()), |spent| write_line_use(tx, *line, spent))
}

impl Lines {
    /// Shows what was written, and moves the live counters of lines whose cycle was edited. What is answered goes to
    /// [`retire`] once no call is admitted by the former configuration.
    pub(crate) fn put(self, engine: &Engine, line_use: &LineUse, (version, now): (Version, Now)) -> Gone {
        let mut gone = Gone::new();
        for Edited { before, after, spent, home } in self.edited {
            line_use.replace(before.as_deref(), spent);
            let (Some(before), Some(home)) = (before, home) else { continue };
            for was in before.lines() {
                let key = (was.id, was.meter);
                let now_is =
                    after.iter().flat_map(|after| after.lines()).find(|line| (line.id, line.meter) == key);
                match now_is {
                    None => gone.push((home, counter(key))),
                    Some(line) if line.cycle != was.cycle => {
                        engine.recycle(home, &counter(key), line.cycle, version, now);
                    }
                    Some(_) => {}
                }
            }
        }
        let forgotten = self.forgotten.into_iter();
        line_use.put(forgotten.filter_map(|Forgotten { line, spent, .. }| Some((line, spent?))));
        gone
    }

    /// The disk refused: counters remember what they had forgotten.
    pub(crate) fn take_back(self, engine: &Engine, now: Now) {
        for Forgotten { line, home, used, was_open, .. } in self.forgotten {
            if let Some(home) = home.filter(|_| was_open) {
                engine.remember(home, &counter(line), used, now);
            }
        }
    }
}
