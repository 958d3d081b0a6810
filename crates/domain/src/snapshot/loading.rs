//! The snapshot a node starts with, made of everything that is stored.

use std::sync::Arc;

use super::layered::{Index, Layered};
use super::ordered::{Order, Ordered};
use super::{Snapshot, Version};
use crate::credential::{Credential, Key};
use crate::edit::Record;
use crate::group::Group;

/// Edits after which what was loaded is loaded anew, where that is worth it at all.
const EDITS_MIN: usize = 50_000;

/// Everything that is stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// The version it was stored at.
    pub version: Version,
    /// Groups, in any order. No two have one id or one place in a list.
    pub groups: Vec<Arc<Group>>,
    /// Keys in force, in any order.
    pub keys: Vec<Arc<Key>>,
    /// Everything else, put in this order.
    pub others: Vec<Record>,
}

impl Snapshot {
    /// The snapshot a node starts with.
    #[must_use]
    pub fn load(stored: Stored) -> Self {
        let Stored { version, groups, keys, others } = stored;
        let mut snapshot = Self { version, loaded: version, ..Self::default() };
        snapshot.load_groups(groups);
        snapshot.load_keys(keys);
        for record in &others {
            snapshot.put(record);
        }
        snapshot
    }

    fn load_groups(&mut self, groups: Vec<Arc<Group>>) {
        self.groups = Layered::load(groups.iter().cloned());
        self.groups_by_external_id = Layered::load(groups.iter().cloned());
        self.children =
            Ordered::load(groups.iter().filter(|group| group.parent.is_some()).cloned().collect());
        self.groups_in_order = Ordered::load(groups);
    }

    fn load_keys(&mut self, keys: Vec<Arc<Key>>) {
        self.credentials = Layered::load(keys.iter().cloned().map(Credential::Federated));
        self.keys_by_prefix = Layered::load(keys.iter().cloned());
        self.keys_of_group = Ordered::load(keys);
    }

    /// Takes edits into what was loaded where there are so many that they weigh more than a start. It costs as much as
    /// one: for whoever makes edits by the ten thousand, so that the next are as fast.
    pub fn fold_if_grown(&mut self) {
        fold(&mut self.groups);
        fold(&mut self.groups_by_external_id);
        fold(&mut self.credentials);
        fold(&mut self.keys_by_prefix);
        fold_ordered(&mut self.groups_in_order);
        fold_ordered(&mut self.children);
        fold_ordered(&mut self.keys_of_group);
    }
}

fn fold<I: Index>(index: &mut Layered<I>) {
    if has_grown(index.weight()) {
        *index = index.folded();
    }
}

fn fold_ordered<O: Order>(index: &mut Ordered<O>) {
    if has_grown(index.weight()) {
        *index = index.folded();
    }
}

/// By half of what was loaded at least, so that all folds together cost a few times the last one.
fn has_grown((edited, loaded): (usize, usize)) -> bool {
    edited >= EDITS_MIN.max(loaded / 2)
}
