//! The engine: a tree of counters for each root and each workspace, and everything that can be asked of them.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Cycle, GroupId, Now, Version, WorkspaceId};

use crate::admission::{self, Decision};
use crate::ask::Ask;
use crate::explanation::{self, Explanation};
use crate::lock::{Mutex, Seed, lock};
use crate::measure::Size;
use crate::outputs::Outputs;
use crate::path::{CounterKey, Home, Path, PathSpec};
use crate::seen::Seen;
use crate::settlement::{self, Reservation, Settled};
use crate::top_up::{self, TopUp};
use crate::tree::{self, Tree};

/// Counters of all trees of this node. One per process, shared by reference.
///
/// A path is bound once per configuration and then asked about call after call: [`reserve`](Self::reserve), for some
/// calls [`top_up`](Self::top_up), and one of [`settle`](Self::settle), [`release`](Self::release) and
/// [`cancel`](Self::cancel). These lock the path's own tree, then its workspace if it has limits there, and nothing else.
#[derive(Debug, Default)]
pub struct Engine {
    /// A tree stays once it is known: its epoch must outlive every path that could be bound to an older one.
    trees: Mutex<HashMap<Home, Arc<Tree>, Seed>>,
    outputs: Outputs,
}

/// What a counter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Charged in the present window, in tokens, requests or nano-dollars. A rolling counter's includes its unsettled
    /// holds, that of a day or a period does not.
    pub used: u64,
    /// Held by unsettled calls; 0 for rolling counters, the number of calls for calls in flight.
    pub pending: u64,
    /// Days and periods: whether a call has ever been charged, or the counter opened with use. Rolling: whether anything
    /// is used. Calls in flight: whether there are any.
    pub touched: bool,
}

/// For each call.
impl Engine {
    /// Checks every limit of the path and then charges all of them, or none. How they stand after the charge is left in
    /// `seen`, if that is wanted; it is empty after any other answer.
    pub fn reserve(&self, path: &Arc<Path>, ask: Ask, now: Now, seen: Option<&mut Seen>) -> Decision {
        admission::reserve(path, ask, now, seen)
    }

    /// A call in flight needs `tokens` of output more than it holds: checks every limit on tokens or dollars of the path
    /// that it was admitted on and then charges all of them, or none. Limits on requests and on calls in flight are not
    /// asked. Like a call that costs nothing, a top-up of 0 is refused where a limit is exhausted.
    pub fn top_up(&self, reservation: &mut Reservation, tokens: u64, now: Now) -> TopUp {
        top_up::top_up(reservation, tokens, now)
    }

    /// The call is over and used so much: what it held beyond that goes back, what it used beyond that is owed. Returns
    /// when that was, and which of its tokens were not charged at its admission.
    pub fn settle(&self, reservation: Reservation, used: Size, now: Now) -> Settled {
        settlement::settle(reservation, used, now)
    }

    /// The call is over and nothing was generated: tokens and dollars go back, the request stays charged.
    pub fn release(&self, reservation: Reservation, now: Now) {
        settlement::settle(reservation, Size::ZERO, now);
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
    /// is bound too, and is stale when it is asked about. The counter of a line goes on in the limit's periods if no path
    /// of this epoch or a later one was bound to it before.
    #[must_use]
    pub fn bind(&self, spec: PathSpec, now: Now) -> Arc<Path> {
        let homes = homes(&spec).map(|home| self.tree(home));
        Arc::new(tree::bind(homes, spec, now))
    }

    /// From now on, paths of this root bound at an epoch of the tree before `epoch` are stale.
    pub fn publish(&self, root: GroupId, epoch: Version) {
        self.tree(Home::Tree(root)).publish(epoch);
    }

    /// From now on, paths in this workspace bound at an epoch of the workspace before `epoch` are stale, those without
    /// shared limits too.
    pub fn publish_workspace(&self, workspace: WorkspaceId, epoch: Version) {
        self.tree(Home::Workspace(workspace)).publish(epoch);
    }

    /// What the counter of a limit holds now; `None` if none is open that has counted since `since`, the version since
    /// which the limit has stood without a break. The counter of a line is the same as long as the line is there.
    #[must_use]
    pub fn peek(&self, home: Home, key: &CounterKey, since: Version, now: Now) -> Option<Reading> {
        let (used, pending, touched) = self.known(home)?.read(key, since, now)?;
        Some(Reading { used, pending, touched })
    }

    /// Forgets what is used in the present day or period of a counter, and answers how much that was, and when by the time
    /// under the lock; what is held stays. `None` if no such counter is open, or if it has no periods.
    pub fn reset(&self, home: Home, key: &CounterKey, now: Now) -> Option<(u64, Now)> {
        self.known(home)?.reset(key, now)
    }

    /// What counters of a tree or a workspace take `now` for: the latest time that they have seen, if that is later.
    #[must_use]
    pub fn present(&self, home: Home, now: Now) -> Now {
        self.known(home).map_or(now, |tree| tree.present(now))
    }

    /// Takes a reset back that could not be written: what was forgotten is used again.
    pub fn remember(&self, home: Home, key: &CounterKey, used: u64, now: Now) {
        if let Some(tree) = self.known(home) {
            tree.remember(key, used, now);
        }
    }

    /// The duration of a line was edited at `epoch`, that of its home: what is used is kept, and counts for the present
    /// period of `cycle`. Paths of that epoch bring it about as well, at the first that is bound.
    /// Changes nothing where the counter is not open, or knows of a later edit.
    #[expect(
        clippy::too_many_arguments,
        reason = "which counter, and which edit: a struct would name them once more"
    )]
    pub fn recycle(&self, home: Home, key: &CounterKey, cycle: Cycle, epoch: Version, now: Now) {
        if let Some(tree) = self.known(home) {
            tree.recycle(key, cycle, epoch, now);
        }
    }

    /// A line is no more, and its home was told so by an epoch: its counter goes once no call in flight needs it. A line
    /// that comes back under the same key begins anew.
    pub fn retire(&self, home: Home, key: &CounterKey) {
        if let Some(tree) = self.known(home) {
            tree.retire(key);
        }
    }

    /// What [`bind`](Self::bind) and then [`reserve`](Self::reserve) would answer now, and how every limit stands.
    /// Charges nothing and opens nothing. `None`: the tree or the workspace was edited since the limits were compiled;
    /// reload the snapshot and ask again.
    #[must_use]
    pub fn explain(&self, spec: &PathSpec, ask: Ask, now: Now) -> Option<Explanation> {
        // A tree that is not known has no counters, and stays unknown.
        let trees = homes(spec).map(|home| self.known(home).unwrap_or_default());
        explanation::explain(&trees, spec, ask, now)
    }

    /// How long answers usually are.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// Gives back counters that hold nothing and that no call holds. Returns how many. Call it every minute.
    pub fn sweep(&self, now: Now) -> usize {
        let trees: Vec<_> = lock(&self.trees).values().map(Arc::clone).collect();
        trees.iter().map(|tree| tree.sweep(now)).sum()
    }

    /// The wall clock was set back past what is tolerated: from now on it reads `wall_ms`. What was used in days and
    /// periods that lie in the future now is kept and counts for the present one.
    ///
    /// All states are locked at once, for as long as it takes to write one number into each: a call between two of them
    /// would carry the old time from one into the other.
    pub fn lower_wall(&self, wall_ms: u64) {
        let trees = lock(&self.trees);
        let roots = trees.iter().filter(|(home, _)| matches!(home, Home::Tree(_)));
        let workspaces = trees.iter().filter(|(home, _)| matches!(home, Home::Workspace(_)));
        let all: Vec<_> = roots.chain(workspaces).map(|(_, tree)| Arc::clone(tree)).collect();
        let mut states: Vec<_> = all.iter().map(|tree| tree.state()).collect();
        states.iter_mut().for_each(|state| state.lower_wall(wall_ms));
        drop(states);
        drop(trees);
        all.iter().for_each(|tree| tree.set_back(wall_ms));
    }

    /// An unknown tree is created, also by [`publish`](Self::publish): a path that is bound later from an older snapshot
    /// must find the epoch there.
    fn tree(&self, home: Home) -> Arc<Tree> {
        Arc::clone(lock(&self.trees).entry(home).or_default())
    }

    fn known(&self, home: Home) -> Option<Arc<Tree>> {
        lock(&self.trees).get(&home).map(Arc::clone)
    }
}

fn homes(spec: &PathSpec) -> [Home; 2] {
    [Home::Tree(spec.root), Home::Workspace(spec.workspace)]
}
