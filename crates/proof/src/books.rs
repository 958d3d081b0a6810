//! When everything has come to rest: nothing is pending, and what counters and ledger say was used today lies between
//! what the calls must have used and what they can have used.

use std::collections::HashMap;

use domain::{Day, Enforcement, GroupId, LimitType, Slug};
use storage::{Store, UseScope};

use crate::clock::SteppedClock;
use crate::edits::{Edited, number, rows};
use crate::history::Call;
use crate::http::Desk;
use crate::judge::always_counted;
use crate::windows::Span;
use crate::world::{KINDS, Mode, SLUGS, Tree, World};

/// A group's use of a model: tree, group, slug.
type Place = (usize, usize, usize);

/// What was used today: at least, and at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    requests: (u64, u64),
    tokens: (u64, u64),
}

/// What a counter of the day shows in the end.
#[derive(Debug)]
pub struct Shown {
    place: Place,
    kind: usize,
    used: u64,
}

/// What the calls have used on the last day of a run.
#[must_use]
pub fn bounds(world: &World, calls: &[Call], clock: &SteppedClock) -> HashMap<Place, Bounds> {
    let now_us = clock.us();
    let today = clock.day(Span { earliest_us: now_us, latest_us: now_us });
    let mut bounds: HashMap<Place, Bounds> = HashMap::new();
    for call in calls {
        let until =
            |latest_us: u64| Span { earliest_us: call.span.earliest_us, latest_us: latest_us.min(now_us) };
        let admitted = day_is(clock.day(until(call.span.latest_us)), today);
        let settled = day_is(clock.day(until(call.settled_us)), today);
        let tree = usize::from(call.tree);
        for group in owners(&world.trees[tree], usize::from(call.group)) {
            let used = bounds.entry((tree, group, usize::from(call.slug))).or_default();
            used.requests.0 += u64::from(admitted == Some(true) && call.admitted);
            used.requests.1 += u64::from(admitted != Some(false));
            used.tokens.0 += if settled == Some(true) { call.tokens_min } else { 0 };
            used.tokens.1 += if settled == Some(false) { 0 } else { call.tokens_max };
        }
    }
    bounds
}

/// Whether a day is this one; `None` if it may be.
fn day_is(day: Option<Day>, today: Option<Day>) -> Option<bool> {
    day.map(|day| Some(day) == today)
}

/// Whose counters a group's call is charged to.
fn owners(tree: &Tree, group: usize) -> Vec<usize> {
    match tree.mode {
        Mode::Independent => vec![group],
        Mode::Cascading => tree.lineage(group).collect(),
    }
}

/// Asks how every limit stands. What the counters of the day show, and what is wrong with any.
///
/// # Errors
/// A gateway that does not answer.
pub async fn counters(
    world: &World,
    edited: &Edited,
    bounds: &HashMap<Place, Bounds>,
    mut desk: Desk,
) -> anyhow::Result<(Vec<Shown>, Vec<String>)> {
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    for (tree_at, tree) in world.trees.iter().enumerate() {
        for group in 0..tree.groups.len() {
            for row in rows(&mut desk, &tree.groups[group].id).await? {
                let [threshold, used, pending] =
                    ["threshold", "used", "pending"].map(|name| number(&row, name));
                if pending != 0 {
                    wrong.push(format!("tree {tree_at} group {group}: something is pending: {row}"));
                }
                if number(&row, "debt") != used.saturating_sub(threshold)
                    || number(&row, "remaining") != threshold.saturating_sub(used)
                {
                    wrong.push(format!("tree {tree_at} group {group}: this does not add up: {row}"));
                }
                let kind = KINDS.iter().position(|kind| row["type"] == kind.kind && row["unit"] == kind.unit);
                let slug = SLUGS.iter().position(|slug| row["slug"] == *slug);
                let (Some(kind), Some(slug)) = (kind, slug) else { continue };
                let always = always_counted(tree, &edited.timelines[tree_at], (group, slug, kind));
                if row["scope"] == "group" && KINDS[kind].is_daily() && always {
                    shown.push(Shown { place: (tree_at, group, slug), kind, used });
                }
            }
        }
    }
    wrong.extend(shown.iter().filter_map(|shown| {
        let bounds = bounds.get(&shown.place).copied().unwrap_or_default();
        out_of_bounds("a counter", shown.place, shown.kind, shown.used, bounds)
    }));
    Ok((shown, wrong))
}

/// Compares the ledger, as the next start reads it, with the calls and with what the counters showed.
#[must_use]
pub fn ledger(
    world: &World,
    store: &Store,
    day: Day,
    (bounds, shown): (&HashMap<Place, Bounds>, &[Shown]),
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (tree_at, tree) in world.trees.iter().enumerate() {
        for group in 0..tree.groups.len() {
            for slug in 0..SLUGS.len() {
                let place = (tree_at, group, slug);
                for (kind, _) in KINDS.iter().enumerate().filter(|(_, kind)| kind.is_daily()) {
                    let Some(used) = recorded(tree, store, day, (group, slug, kind)) else { continue };
                    let bounds = bounds.get(&place).copied().unwrap_or_default();
                    wrong.extend(out_of_bounds("the ledger", place, kind, used, bounds));
                    let counter = shown.iter().find(|shown| shown.place == place && shown.kind == kind);
                    if let Some(counter) = counter.filter(|counter| counter.used != used) {
                        wrong.push(format!(
                            "{}: the counter showed {}, the ledger has {used}",
                            name(place, kind),
                            counter.used
                        ));
                    }
                }
            }
        }
    }
    wrong
}

fn recorded(tree: &Tree, store: &Store, day: Day, (group, slug, kind): (usize, usize, usize)) -> Option<u64> {
    let kind = if KINDS[kind].counts_tokens() { LimitType::Token } else { LimitType::Request };
    let id: GroupId = tree.groups[group].id.parse().ok()?;
    let slug: Slug = SLUGS[slug].parse().ok()?;
    let scope = UseScope::of(match tree.mode {
        Mode::Independent => Enforcement::Independent,
        Mode::Cascading => Enforcement::Cascading,
    });
    Some(store.used_today(id, scope, &slug, day).of(kind))
}

fn out_of_bounds(who: &str, place: Place, kind: usize, used: u64, bounds: Bounds) -> Option<String> {
    let (least, most) = if KINDS[kind].counts_tokens() { bounds.tokens } else { bounds.requests };
    let outside = !(least..=most).contains(&used);
    outside.then(|| format!("{}: {who} has {used}, the calls used {least} to {most}", name(place, kind)))
}

/// A counter, for people.
fn name((tree, group, slug): Place, kind: usize) -> String {
    format!("tree {tree} group {group} {} {} per {}", SLUGS[slug], KINDS[kind].kind, KINDS[kind].unit)
}
