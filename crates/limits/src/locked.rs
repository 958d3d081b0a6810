//! Both locks of a path: its tree's, and its workspace's where it has limits there.
//!
//! Guarantees: they are taken in one order, and time under them is that of both, so it runs backward under neither.
//! Knows nothing of: what is done under them. Begins at [`Locked::new`].

use domain::Now;

use crate::counter::Counter;
use crate::lock::MutexGuard;
use crate::moment::Moment;
use crate::path::{Hop, Path};
use crate::tree::{self, State};

/// The counters of a path, for one operation.
pub(crate) struct Locked<'a> {
    path: &'a Path,
    tree: MutexGuard<'a, State>,
    workspace: Option<MutexGuard<'a, State>>,
}

impl<'a> Locked<'a> {
    /// A path without shared limits leaves the workspace's lock to others.
    #[inline]
    pub(crate) fn new(path: &'a Path) -> Self {
        let tree = path.tree.state();
        let workspace = (path.in_tree < path.hops.len()).then(|| path.workspace.state());
        Self { path, tree, workspace }
    }

    /// Whether the tree or the workspace was edited since the path was compiled.
    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        tree::is_stale(self.path.epoch, &self.tree, &self.path.workspace)
    }

    /// The time of this operation: never before that of an earlier one under either lock.
    #[inline]
    pub(crate) fn moment(&mut self, now: Now) -> Moment {
        tree::moment(&mut self.tree, self.workspace.as_deref_mut(), now)
    }

    /// Shows every limit with its counter, in the order of the path. `None`: a counter is not the one that was bound.
    #[inline]
    pub(crate) fn each_bound(&mut self, mut visit: impl FnMut(&Hop, &mut Counter)) -> Option<()> {
        for (hops, state) in self.halves() {
            for hop in hops {
                visit(hop, state.bound(hop.counter)?);
            }
        }
        Some(())
    }

    /// Shows every limit with its counter, in the order of the path. They are known to be those that were bound.
    #[inline]
    pub(crate) fn each(&mut self, mut visit: impl FnMut(&Hop, &mut Counter)) {
        for (hops, state) in self.halves() {
            for hop in hops {
                visit(hop, state.held(hop.counter));
            }
        }
    }

    /// One limit, by its index, with its counter.
    #[inline]
    pub(crate) fn at(&mut self, limit: usize) -> (&Hop, &mut Counter) {
        let hop = &self.path.hops[limit];
        let state = match &mut self.workspace {
            Some(workspace) if limit >= self.path.in_tree => workspace,
            Some(_) | None => &mut self.tree,
        };
        (hop, state.held(hop.counter))
    }

    #[inline]
    fn halves(&mut self) -> impl Iterator<Item = (&'a [Hop], &mut State)> {
        let (own, shared) = self.path.hops.split_at(self.path.in_tree);
        let workspace = self.workspace.as_deref_mut().map(|state| (shared, state));
        std::iter::once((own, &mut *self.tree)).chain(workspace)
    }
}
