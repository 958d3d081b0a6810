//! The same as [`layered`](super::layered) for an index that is read in order: a sorted slice of what was loaded, under a
//! small persistent tree of what was edited since.
//!
//! Guarantees: what was written last is found, in the order of the keys; a copy is another index.
//! Knows nothing of: what is indexed. Begins at [`Ordered::range`].

use std::fmt;
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::slice;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// The order of an index.
pub(super) trait Order {
    /// What is found. Copied when the index is, so it should be cheap to copy.
    type Value: Clone;
    /// What it is ordered by.
    type Key: Copy + Ord;

    /// The key of a value.
    fn key(value: &Self::Value) -> Self::Key;
}

/// One index.
pub(super) struct Ordered<O: Order> {
    /// In the order of its keys.
    loaded: Arc<[O::Value]>,
    /// None: what was loaded is gone.
    edited: RedBlackTreeMapSync<O::Key, Option<O::Value>>,
}

/// Values of both layers in one order.
struct Merged<'a, O: Order, E: Iterator> {
    loaded: Peekable<slice::Iter<'a, O::Value>>,
    edited: Peekable<E>,
}

/// Reading.
impl<O: Order> Ordered<O> {
    /// Values with keys in this range, in their order.
    pub(super) fn range(&self, keys: RangeInclusive<O::Key>) -> impl Iterator<Item = &O::Value> {
        let (first, last) = (*keys.start(), *keys.end());
        let from = self.loaded.partition_point(|value| O::key(value) < first);
        let behind = self.loaded.get(from..).unwrap_or_default();
        let loaded = behind.get(..behind.partition_point(|value| O::key(value) <= last)).unwrap_or_default();
        Merged::<O, _> { loaded: loaded.iter().peekable(), edited: self.edited.range(keys).peekable() }
    }

    /// How many keys were edited since the index was loaded, and how many values were loaded.
    pub(super) fn weight(&self) -> (usize, usize) {
        (self.edited.size(), self.loaded.len())
    }
}

impl<'a, O: Order, E> Iterator for Merged<'a, O, E>
where
    O::Key: 'a,
    E: Iterator<Item = (&'a O::Key, &'a Option<O::Value>)>,
{
    type Item = &'a O::Value;

    fn next(&mut self) -> Option<&'a O::Value> {
        loop {
            let loaded = self.loaded.peek().map(|value| O::key(value));
            let edited = self.edited.peek().map(|(key, _)| **key);
            if let Some(key) = loaded
                && edited.is_none_or(|edited| key < edited)
            {
                return self.loaded.next();
            }
            // An edit of a value that was loaded stands in its place.
            if loaded.is_some() && loaded == edited {
                self.loaded.next();
            }
            if let (_, Some(value)) = self.edited.next()? {
                return Some(value);
            }
        }
    }
}

/// Writing.
impl<O: Order> Ordered<O> {
    /// The index that a node starts with. No two values have one key.
    pub(super) fn load(mut values: Vec<O::Value>) -> Self {
        // The keys beside one another: the values lie all over memory.
        values.sort_by_cached_key(O::key);
        Self { loaded: values.into(), edited: RedBlackTreeMapSync::new_sync() }
    }

    /// Puts a value in the place of the one with its key.
    pub(super) fn insert(&mut self, value: O::Value) {
        self.edited.insert_mut(O::key(&value), Some(value));
    }

    /// Takes the value with this key away.
    pub(super) fn remove(&mut self, key: O::Key) {
        if self.loaded.binary_search_by_key(&key, O::key).is_ok() {
            self.edited.insert_mut(key, None);
        } else {
            self.edited.remove_mut(&key);
        }
    }

    /// The same index with every value loaded, which costs as much as a start.
    pub(super) fn folded(&self) -> Self {
        let merged =
            Merged::<O, _> { loaded: self.loaded.iter().peekable(), edited: self.edited.iter().peekable() };
        Self { loaded: merged.cloned().collect(), edited: RedBlackTreeMapSync::new_sync() }
    }
}

impl<O: Order> Default for Ordered<O> {
    fn default() -> Self {
        Self { loaded: Arc::default(), edited: RedBlackTreeMapSync::new_sync() }
    }
}

impl<O: Order> Clone for Ordered<O> {
    fn clone(&self) -> Self {
        Self { loaded: Arc::clone(&self.loaded), edited: self.edited.clone() }
    }
}

impl<O: Order> fmt::Debug for Ordered<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edited, loaded) = self.weight();
        f.debug_struct("Ordered").field("loaded", &loaded).field("edited", &edited).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
