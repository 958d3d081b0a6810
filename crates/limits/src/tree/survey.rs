//! Looking at the counters of a path that is not bound: those that binding would find, and those that it would open.
//!
//! Guarantees: all are shown at one moment; nothing is charged, opened or changed but by time. Begins at [`survey`].

use std::sync::Arc;

use domain::{Now, Version};

use crate::counter::Counter;
use crate::lock::{MutexGuard, lock};
use crate::moment::Moment;
use crate::path::{PathLimit, PathSpec};
use crate::tree::directory::{Directory, Kept};
use crate::tree::{State, Tree, is_stale, moment};

/// Shows each of these limits to `look` with the counter that it would be checked against if it were bound now. `None`:
/// the limits are older than what was last published.
pub(crate) fn survey<T>(
    [tree, workspace]: &[Arc<Tree>; 2],
    spec: &PathSpec,
    now: Now,
    look: impl Fn(&PathLimit, &mut Counter, &Moment) -> T,
) -> Option<(Moment, Vec<T>)> {
    let mut seen = Vec::with_capacity(spec.all_limits().count());
    let mut own = Plan::new(tree, &spec.limits, spec.epoch.tree, now);
    let is_shared = !spec.shared.is_empty();
    let mut shared = is_shared.then(|| Plan::new(workspace, &spec.shared, spec.epoch.workspace, now));

    let mut tree_state = tree.state();
    let mut workspace_state = is_shared.then(|| workspace.state());
    if is_stale(spec.epoch, &tree_state, workspace) {
        return None;
    }
    let at = moment(&mut tree_state, workspace_state.as_deref_mut(), now);
    own.show(&mut tree_state, &at, |limit, counter| seen.push(look(limit, counter, &at)));
    if let (Some(shared), Some(state)) = (&mut shared, &mut workspace_state) {
        shared.show(state, &at, |limit, counter| seen.push(look(limit, counter, &at)));
    }
    Some((at, seen))
}

/// What binding would find and open under one directory, which stays as it is meanwhile.
struct Plan<'a> {
    _directory: MutexGuard<'a, Directory>,
    counters: Vec<(&'a PathLimit, Option<Kept>, Counter)>,
}

impl<'a> Plan<'a> {
    fn new(tree: &'a Tree, limits: &'a [PathLimit], epoch: Version, now: Now) -> Self {
        let directory = lock(&tree.directory);
        let of = |limit| {
            let kept = directory.kept(limit, epoch);
            let fresh = if kept.is_some() { Counter::blank } else { Counter::open };
            (limit, kept, fresh(limit, now.wall_ms))
        };
        let counters = limits.iter().map(of).collect();
        Self { _directory: directory, counters }
    }

    fn show(&mut self, state: &mut State, at: &Moment, mut look: impl FnMut(&PathLimit, &mut Counter)) {
        for (limit, kept, fresh) in &mut self.counters {
            let counter = match kept {
                Some(kept) => present_or_changed(state, *kept, fresh, at),
                None => fresh,
            };
            look(limit, counter);
        }
    }
}

/// The counter as it is, or `fresh` as what binding would make of it.
fn present_or_changed<'a>(
    state: &'a mut State,
    kept: Kept,
    fresh: &'a mut Counter,
    at: &Moment,
) -> &'a mut Counter {
    let present = state.counters.at(kept.at);
    let changes = present.copy_reshaped(fresh, at) || (kept.recycles && present.copy_recycled(fresh, at));
    if changes { fresh } else { present }
}
