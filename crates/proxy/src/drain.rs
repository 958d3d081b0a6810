//! Reading on for a caller who has left, so that what it used is known.
//!
//! Guarantees: bounded in number, and in time by `drain_timeout`. What finds no place is settled at once with what is
//! known of it, and so is what does not come to its end in time.
//! Knows nothing of: what is read.
//! Begins at [`read_on`].

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::worker::Shared;

/// Answers that are read on at once after their callers left.
pub(crate) const DRAINS_MAX: usize = 1_024;

/// Goes on with `rest` in a task of its own. It settles where it is dropped, which happens here if there is no place.
pub(crate) fn read_on(shared: &Arc<Shared>, rest: impl Future<Output = ()> + Send + 'static) {
    // What a fault of ours left behind is in no state to go on.
    if std::thread::panicking() {
        return;
    }
    let Ok(place) = Arc::clone(&shared.drains).try_acquire_owned() else { return };
    let Ok(runtime) = Handle::try_current() else { return };
    let limit = shared.settings.drain_timeout;
    runtime.spawn(async move {
        // Late or not, what there is to say of it has been settled.
        let _ = tokio::time::timeout(limit, rest).await;
        drop(place);
    });
}
