//! The locks of this crate: in tests of interleavings those of the model checker, else those of the standard library.
//!
//! There are three kinds, and they are taken in one order: the engine's list of trees, held only to look one up; a
//! tree's directory; a tree's state. Of each kind a call or a question may hold two, that of the root first and then that
//! of its workspace; all states at once, roots first, are held only when the wall clock is set back.
//!
//! The model checker plays a story again and again up to a point, so what is random elsewhere stands still there: the
//! seeds of maps, by which a sweep finds its order.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;

use domain::Version;

#[cfg(feature = "interleave")]
pub(crate) use foldhash::fast::FixedState as Seed;
#[cfg(not(feature = "interleave"))]
pub(crate) use foldhash::fast::RandomState as Seed;
#[cfg(feature = "interleave")]
use loom::sync::atomic::AtomicU64;
#[cfg(feature = "interleave")]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "interleave"))]
use std::sync::atomic::AtomicU64;
#[cfg(not(feature = "interleave"))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Takes a lock. A panic under it would be ours; what it guards is numbers that are valid one by one, so the lock is
/// taken all the same rather than refusing every later call.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An epoch that is read without a lock. In a cache line of its own: calls that read it should not wait for those that
/// take the lock beside it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Published(AtomicU64);

impl Published {
    /// The latest. Who was told that an epoch is published finds it here.
    #[inline]
    pub(crate) fn latest(&self) -> Version {
        Version(self.0.load(SeqCst))
    }

    /// Nobody else raises it meanwhile: it is raised under the lock of the tree that it belongs to.
    pub(crate) fn raise(&self, epoch: Version) {
        self.0.store(self.latest().0.max(epoch.0), SeqCst);
    }
}
