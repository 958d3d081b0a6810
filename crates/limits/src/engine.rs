//! The engine: a tree of counters for each root, and everything that can be asked of them.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{GroupId, Now, Version};

use crate::admission::{self, Decision, Need};
use crate::explanation::{self, Explanation};
use crate::lock::{Mutex, Seed, lock};
use crate::outputs::Outputs;
use crate::path::{CounterKey, Path, PathSpec};
use crate::seen::Seen;
use crate::settlement::{self, Reservation};
use crate::top_up::{self, TopUp};
use crate::tree::Tree;

/// Counters of all trees of this node. One per process, shared by reference.
///
/// A path is bound once per configuration and then asked about call after call: [`reserve`](Self::reserve), for some
/// calls [`top_up`](Self::top_up), and one of [`settle`](Self::settle), [`release`](Self::release) and
/// [`cancel`](Self::cancel). These lock the path's own tree
/// and nothing else.
#[derive(Debug, Default)]
pub struct Engine {
    /// A tree stays once it is known: its epoch must outlive every path that could be bound to an older one.
    trees: Mutex<HashMap<GroupId, Arc<Tree>, Seed>>,
    outputs: Outputs,
}

/// What a counter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Charged in the present window. A rolling counter's includes its unsettled holds, a DAY counter's does not.
    pub used: u64,
    /// Held by unsettled calls; 0 for rolling counters, the number of calls for calls in flight.
    pub pending: u64,
    /// DAY: whether a call has ever been charged, or the counter opened with use. Rolling: whether anything is used.
    /// Calls in flight: whether there are any.
    pub touched: bool,
}

/// For each call.
impl Engine {
    /// Checks every limit of the path and then charges all of them, or none. How they stand after the charge is left in
    /// `seen`, if that is wanted; it is empty after any other answer.
    pub fn reserve(&self, path: &Arc<Path>, need: Need, now: Now, seen: Option<&mut Seen>) -> Decision {
        admission::reserve(path, need, now, seen)
    }

    /// A call in flight needs `tokens` more than it holds: checks every limit on tokens of the path that it was admitted
    /// on and then charges all of them, or none. Limits on requests and on calls in flight are not asked. Like a call
    /// that costs nothing, a top-up of 0 is refused where a limit is exhausted.
    pub fn top_up(&self, reservation: &mut Reservation, tokens: u64, now: Now) -> TopUp {
        top_up::top_up(reservation, tokens, now)
    }

    /// The call is over and used `tokens`: what it held beyond that goes back, what it used beyond that is owed. Returns
    /// when that was by the tree's time: the day that its tokens were charged to.
    pub fn settle(&self, reservation: Reservation, tokens: u64, now: Now) -> Now {
        settlement::settle(reservation, tokens, now)
    }

    /// The call is over and nothing was generated: tokens go back, the request stays charged.
    pub fn release(&self, reservation: Reservation, now: Now) {
        settlement::settle(reservation, 0, now);
    }

    /// We refused the call after it was admitted: everything goes back, the request too.
    pub fn cancel(&self, reservation: Reservation, now: Now) {
        settlement::cancel(reservation, now);
    }
}

/// For each configuration, each minute, and people.
impl Engine {
    /// An engine that knows no tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds limits to their counters; those that are not there are opened. A path older than what was last published
    /// is bound too, and is stale when it is asked about.
    #[must_use]
    pub fn bind(&self, spec: PathSpec, now: Now) -> Arc<Path> {
        let tree = self.tree(spec.root);
        Arc::new(tree.bind(spec, now))
    }

    /// From now on, paths of this root bound at an epoch before `epoch` are stale.
    pub fn publish(&self, root: GroupId, epoch: Version) {
        self.tree(root).publish(epoch);
    }

    /// What the counter of a limit holds now; `None` if none is open that has counted since `since`, the version since
    /// which the limit has stood without a break.
    #[must_use]
    pub fn peek(&self, root: GroupId, key: &CounterKey, since: Version, now: Now) -> Option<Reading> {
        let tree = lock(&self.trees).get(&root).map(Arc::clone)?;
        let (used, pending, touched) = tree.read(key, since, now)?;
        Some(Reading { used, pending, touched })
    }

    /// What [`bind`](Self::bind) and then [`reserve`](Self::reserve) would answer now, and how every limit stands.
    /// Charges nothing and opens nothing. `None`: the tree was edited since the limits were compiled; reload the
    /// snapshot and ask again.
    #[must_use]
    pub fn explain(&self, spec: &PathSpec, need: Need, now: Now) -> Option<Explanation> {
        // A tree that is not known has no counters, and stays unknown.
        let tree = lock(&self.trees).get(&spec.root).map(Arc::clone).unwrap_or_default();
        explanation::explain(&tree, spec, need, now)
    }

    /// How long answers usually are.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Gives back counters that hold nothing and that no call holds. Returns how many. Call it every minute.
    pub fn sweep(&self, now: Now) -> usize {
        self.all_trees().iter().map(|tree| tree.sweep(now)).sum()
    }

    /// The wall clock was set back past what is tolerated: from now on it reads `wall_ms`. What was used on days that
    /// lie in the future now is kept and counts for the present day.
    pub fn lower_wall(&self, wall_ms: u64) {
        self.all_trees().iter().for_each(|tree| tree.lower_wall(wall_ms));
    }

    /// The tree of a root. An unknown one is created, also by [`publish`](Self::publish): a path that is bound later from
    /// an older snapshot must find the epoch there.
    fn tree(&self, root: GroupId) -> Arc<Tree> {
        Arc::clone(lock(&self.trees).entry(root).or_default())
    }

    fn all_trees(&self) -> Vec<Arc<Tree>> {
        lock(&self.trees).values().map(Arc::clone).collect()
    }
}
