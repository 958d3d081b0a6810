//! The locks of this crate: in tests of interleavings those of the model checker, else those of the standard library.
//!
//! There are three kinds, and they are taken in one order: the engine's list of trees, held only to look one up; a
//! tree's directory; a tree's state. Nobody holds locks of two trees.
//!
//! The model checker plays a story again and again up to a point, so what is random elsewhere stands still there: the
//! seeds of maps, by which a sweep finds its order.

use std::sync::PoisonError;

#[cfg(feature = "interleave")]
pub(crate) use foldhash::fast::FixedState as Seed;
#[cfg(not(feature = "interleave"))]
pub(crate) use foldhash::fast::RandomState as Seed;
#[cfg(feature = "interleave")]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "interleave"))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Takes a lock. A panic under it would be ours; what it guards is numbers that are valid one by one, so the lock is
/// taken all the same rather than refusing every later call.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
