//! What happens beside the calls: thresholds go up and down, limits come and go, the wall clock is stepped, the model
//! server takes no connections for a moment, and somebody asks how limits stand.

use std::sync::Arc;
use std::time::Duration;

use domain::{Meter, Usd};
use http::Method;
use modelsim::{Act, ModelServer, Script};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::history::Timeline;
use crate::http::Desk;
use crate::load::Scene;
use crate::world::{KINDS, Limits, SLUGS, Tree, models};

/// What the edits of a run came to.
#[derive(Debug)]
pub struct Edited {
    /// Of each tree.
    pub timelines: Vec<Timeline>,
    /// Edits that were taken.
    pub taken: u64,
    /// Edits that would have given a group more than a group above it has.
    pub declined: u64,
    /// Edits that failed.
    pub wrong: Vec<String>,
}

/// Edits the trees, one edit after the other, until the load ends.
pub async fn edit(scene: Arc<Scene>, mut desk: Desk, mut chance: Chance) -> Edited {
    let mut trees = scene.world.trees.clone();
    let timelines = trees.iter().map(|tree| Timeline::new(tree.limits.clone())).collect();
    let mut edited = Edited { timelines, taken: 0, declined: 0, wrong: Vec::new() };
    while scene.clock.us() < scene.until_us {
        tokio::time::sleep(Duration::from_millis(chance.log_between(2, 400))).await;
        let at = chance.index(trees.len());
        let group = chance.index(trees[at].groups.len());
        let mut limits = trees[at].limits[group];
        change(&trees[at], group, &mut limits, &mut chance);
        let path = format!("/v1/gateway/groups/{}", trees[at].groups[group].id);
        let asked_us = scene.clock.us();
        let answer = desk.ask(Method::PATCH, &path, &json!({ "models": models(&limits) })).await;
        match answer {
            Ok((200, _)) => {
                trees[at].limits[group] = limits;
                edited.timelines[at].edit(trees[at].limits.clone(), (asked_us, scene.clock.us()));
                edited.taken += 1;
            }
            Ok((400, _)) => edited.declined += 1,
            Ok((status, answer)) => edited.wrong.push(format!("an edit was answered {status}: {answer}")),
            Err(error) => edited.wrong.push(format!("an edit was not answered: {error:#}")),
        }
    }
    edited
}

/// One limit is scaled, taken away, or added.
fn change(tree: &Tree, group: usize, limits: &mut Limits, chance: &mut Chance) {
    let place = (group, chance.index(SLUGS.len()), chance.index(KINDS.len()));
    let limit = &mut limits[place.1][place.2];
    *limit = match *limit {
        Some(threshold) if chance.percent(75) => {
            let scaled = threshold.saturating_mul(chance.between(40, 250)) / 100;
            Some(scaled.max(1).min(tree.highest(place)))
        }
        Some(_) => None,
        None => tree.draw_limit(place, chance),
    };
}

/// Steps the wall clock by seconds and now and then by minutes, forward and back, until the load ends.
pub async fn step_clock(scene: Arc<Scene>, mut chance: Chance) {
    while scene.clock.us() < scene.until_us {
        tokio::time::sleep(Duration::from_millis(chance.between(100, 3_000))).await;
        // Mostly so little that the gateway's time, which never runs backward, goes on soon.
        let most = if chance.percent(20) { 200_000 } else { 5_000 };
        let ms = i64::try_from(chance.between(1, most)).unwrap_or(1);
        scene.clock.step(if chance.percent(55) { ms } else { -ms });
    }
}

/// Lets the model server refuse connections for a moment, now and then, until the load ends.
pub async fn break_down(scene: Arc<Scene>, model: &ModelServer, mut chance: Chance) {
    while scene.clock.us() < scene.until_us {
        tokio::time::sleep(Duration::from_millis(chance.between(1_000, 8_000))).await;
        model.set(Script { act: Act::Refuse, ..Script::default() });
        tokio::time::sleep(Duration::from_millis(chance.between(10, 150))).await;
        model.set(Script::default());
    }
}

/// Asks how limits stand, until the load ends; the largest debt that is shown, in requests or tokens.
pub async fn ask(scene: Arc<Scene>, mut desk: Desk, mut chance: Chance) -> anyhow::Result<u64> {
    let mut debt = 0;
    while scene.clock.us() < scene.until_us {
        tokio::time::sleep(Duration::from_millis(chance.between(50, 500))).await;
        let tree = &scene.world.trees[chance.index(scene.world.trees.len())];
        let group = &tree.groups[chance.index(tree.groups.len())];
        let rows = rows(&mut desk, &group.id).await?;
        let shown = rows.iter().filter(|row| !is_money(row)).map(|row| number(row, "debt"));
        debt = debt.max(shown.max().unwrap_or(0));
    }
    Ok(debt)
}

/// How each limit that binds a group stands.
///
/// # Errors
/// No answer, or another than 200.
pub async fn rows(desk: &mut Desk, group: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("/v1/gateway/groups/{group}/limits");
    let mut answer = desk.must(Method::GET, &path, &Value::Null).await?;
    Ok(answer["limits"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// A number of a row, of dollars in nano-dollars; 0 where there is none.
#[must_use]
pub fn number(row: &Value, field: &str) -> u64 {
    if is_money(row) {
        return row[field].to_string().parse().map_or(0, |usd: Usd| usd.0);
    }
    row[field].as_u64().unwrap_or(0)
}

fn is_money(row: &Value) -> bool {
    row["type"] == Meter::Usd.name()
}
