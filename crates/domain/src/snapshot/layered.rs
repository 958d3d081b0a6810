//! An index that begins large and is edited little: a plain table of what was loaded, shared by every snapshot and never
//! changed, under a small persistent map of what was edited since.
//!
//! An entry costs the loaded table its value, a byte, and the room a table leaves free: the key is read out of the value.
//! An edit costs as much as there were edits, not as there are entries.
//!
//! Guarantees: what was written last is found; a copy is another index, whatever becomes of the first.
//! Knows nothing of: what is indexed. Ordered indexes are in [`ordered`](super::ordered).
//! Begins at [`Layered::get`].

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rpds::HashTrieMapSync;

/// What an index finds its values by.
pub(super) trait Index {
    /// What is found. Copied when the index is, so it should be cheap to copy.
    type Value: Clone;
    /// What it is found by, as the value has it.
    type Key<'a>: Copy + Hash;

    /// The key of a value.
    fn key(value: &Self::Value) -> Self::Key<'_>;

    /// Whether this is the key of a value.
    fn is_of(key: Self::Key<'_>, value: &Self::Value) -> bool;
}

/// One index.
pub(super) struct Layered<I: Index> {
    hasher: RandomState,
    loaded: Arc<HashTable<I::Value>>,
    /// By hash; those with the same hash are told apart by their keys.
    edited: HashTrieMapSync<u64, Vec<Edited<I::Value>>, RandomState>,
}

/// What became of a value since the index was loaded.
#[derive(Clone)]
enum Edited<V> {
    Put(V),
    /// It was loaded, so that it has to be hidden.
    Gone(V),
}

impl<V> Edited<V> {
    fn value(&self) -> &V {
        match self {
            Self::Put(value) | Self::Gone(value) => value,
        }
    }

    fn standing(&self) -> Option<&V> {
        match self {
            Self::Put(value) => Some(value),
            Self::Gone(_) => None,
        }
    }
}

/// Reading.
impl<I: Index> Layered<I> {
    /// The value with this key.
    pub(super) fn get(&self, key: I::Key<'_>) -> Option<&I::Value> {
        let hash = self.hasher.hash_one(key);
        match self.edited_at(hash).iter().find(|edited| I::is_of(key, edited.value())) {
            Some(edited) => edited.standing(),
            None => self.loaded_at(hash, key),
        }
    }

    /// Every value, in no particular order.
    fn iter(&self) -> impl Iterator<Item = &I::Value> {
        let is_hidden = |value: &I::Value| {
            let hash = self.hasher.hash_one(I::key(value));
            self.edited_at(hash).iter().any(|edited| I::is_of(I::key(value), edited.value()))
        };
        let edited = self.edited.values().flatten().filter_map(Edited::standing);
        self.loaded.iter().filter(move |value| !is_hidden(value)).chain(edited)
    }

    /// How many keys were edited since the index was loaded, and how many values were loaded.
    pub(super) fn weight(&self) -> (usize, usize) {
        (self.edited.size(), self.loaded.len())
    }

    fn edited_at(&self, hash: u64) -> &[Edited<I::Value>] {
        // Nearly always nothing was, and then nothing has to be hashed again.
        if self.edited.is_empty() {
            return &[];
        }
        self.edited.get(&hash).map_or(&[], Vec::as_slice)
    }

    fn loaded_at(&self, hash: u64, key: I::Key<'_>) -> Option<&I::Value> {
        self.loaded.find(hash, |value| I::is_of(key, value))
    }
}

/// Writing.
impl<I: Index> Layered<I> {
    /// The index that a node starts with. No two values have one key.
    pub(super) fn load(values: impl ExactSizeIterator<Item = I::Value>) -> Self {
        let hasher = RandomState::default();
        let mut loaded = HashTable::with_capacity(values.len());
        let hash = |value: &I::Value| hasher.hash_one(I::key(value));
        for value in values {
            loaded.insert_unique(hash(&value), value, hash);
        }
        Self { loaded: Arc::new(loaded), hasher, edited: nothing() }
    }

    /// Puts a value in the place of the one with its key.
    pub(super) fn insert(&mut self, value: I::Value) {
        let hash = self.hasher.hash_one(I::key(&value));
        self.write(hash, Edited::Put(value));
    }

    /// Takes the value with this key away.
    pub(super) fn remove(&mut self, key: I::Key<'_>) {
        let hash = self.hasher.hash_one(key);
        match self.loaded_at(hash, key).cloned() {
            Some(value) => self.write(hash, Edited::Gone(value)),
            None => self.forget(hash, key),
        }
    }

    /// The same index with every value loaded, which costs as much as a start.
    pub(super) fn folded(&self) -> Self {
        let values: Vec<_> = self.iter().collect();
        Self::load(values.into_iter().cloned())
    }

    fn write(&mut self, hash: u64, edited: Edited<I::Value>) {
        if !self.edited.contains_key(&hash) {
            self.edited.insert_mut(hash, Vec::new());
        }
        let Some(all) = self.edited.get_mut(&hash) else { return };
        all.retain(|earlier| !I::is_of(I::key(edited.value()), earlier.value()));
        all.push(edited);
    }

    fn forget(&mut self, hash: u64, key: I::Key<'_>) {
        let Some(all) = self.edited.get_mut(&hash) else { return };
        all.retain(|earlier| !I::is_of(key, earlier.value()));
        if all.is_empty() {
            self.edited.remove_mut(&hash);
        }
    }
}

fn nothing<V>() -> HashTrieMapSync<u64, V, RandomState> {
    HashTrieMapSync::new_with_hasher_and_ptr_kind(RandomState::default())
}

impl<I: Index> Default for Layered<I> {
    fn default() -> Self {
        Self { hasher: RandomState::default(), loaded: Arc::default(), edited: nothing() }
    }
}

impl<I: Index> Clone for Layered<I> {
    fn clone(&self) -> Self {
        Self { hasher: self.hasher.clone(), loaded: Arc::clone(&self.loaded), edited: self.edited.clone() }
    }
}

impl<I: Index> fmt::Debug for Layered<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edited, loaded) = self.weight();
        f.debug_struct("Layered").field("loaded", &loaded).field("edited", &edited).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
