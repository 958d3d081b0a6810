//! Edits while calls run: what was answered must stand after a crash, what was not may.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::callers::{Gate, Scene};
use super::town::models;
use super::verdict::{Promise, Verdict};
use crate::chance::Chance;
use crate::http::Desk;

/// What one group may be found with: the last edit that was answered, and those that were asked for since.
#[derive(Debug, Default)]
pub struct Edits {
    may_stand: Mutex<Vec<BTreeSet<u64>>>,
}

impl Edits {
    /// None were made.
    #[must_use]
    pub fn of(groups: usize) -> Self {
        Self { may_stand: Mutex::new(vec![BTreeSet::from([0]); groups]) }
    }

    fn with<T>(&self, group: usize, act: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
        act(&mut self.may_stand.lock().unwrap_or_else(PoisonError::into_inner)[group])
    }
}

/// Edits names and thresholds until it is over.
pub async fn edit(scene: Arc<Scene>, edits: Arc<Edits>, mut desk: Desk, mut chance: Chance) {
    let mut gate = scene.gate.subscribe();
    let mut next = 1;
    while gate.wait_for(|gate| *gate != Gate::Shut).await.is_ok_and(|gate| *gate == Gate::Open) {
        scene.busy.fetch_add(1, SeqCst);
        if *scene.gate.borrow() == Gate::Open {
            one(&scene, &edits, &mut desk, (chance.index(scene.town.groups.len()), next)).await;
            next += 1;
        }
        scene.busy.fetch_sub(1, SeqCst);
        tokio::time::sleep(Duration::from_millis(chance.log_between(5, 200))).await;
    }
}

async fn one(scene: &Scene, edits: &Edits, desk: &mut Desk, (group, next): (usize, u64)) {
    edits.with(group, |may| may.insert(next));
    let path = format!("/v1/gateway/groups/{}", scene.town.groups[group].id);
    let root = scene.town.groups[group].counted_by.len() == 1;
    // A threshold grows with each edit, which below another CASCADING group may be too much.
    let mut body = json!({ "metadata": { "name": next.to_string() } });
    if root {
        body["models"] = models(group, next);
    }
    let answer = desk.ask(Method::PATCH, &path, &body).await;
    if answer.is_ok_and(|(status, _)| status == 200) {
        edits.with(group, |may| may.retain(|edit| *edit == next));
    }
}

/// Looks whether what was answered stands.
///
/// # Errors
/// A gateway that does not answer.
pub async fn look(
    scene: &Scene,
    edits: &Edits,
    desk: &mut Desk,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    for (at, group) in scene.town.groups.iter().enumerate() {
        let found = desk.must(Method::GET, &format!("/v1/gateway/groups/{}", group.id), &Value::Null).await?;
        let name = &found["metadata"]["name"];
        let stands = name.as_str().map_or(Some(0), |name| name.parse().ok());
        let may = edits.with(at, |may| may.clone());
        match stands.filter(|edit| may.contains(edit)) {
            // From here on it is this one.
            Some(edit) => edits.with(at, |may| may.retain(|other| *other == edit)),
            None => {
                let text = format!("group {at} has the name {name}; it should be one of {may:?}");
                verdict.broken(Promise::Edits, format!("group {at} {name}"), text);
            }
        }
        verdict.checked(Promise::Edits, 1);
    }
    Ok(())
}
