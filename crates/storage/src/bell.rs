//! Says in which workspaces there may be something to deliver, so that nobody has to look in vain.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::WorkspaceId;
use tokio::sync::Notify;

/// Rung when events were written, or a webhook was edited. One listener hears it.
#[derive(Debug, Default)]
pub struct Bell {
    /// Bounded by the workspaces that have, or had, a webhook.
    rung: Mutex<HashSet<WorkspaceId>>,
    notify: Notify,
}

impl Bell {
    /// There may be something to deliver in these workspaces.
    pub fn ring(&self, workspaces: impl IntoIterator<Item = WorkspaceId>) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        rung.extend(workspaces);
        if !rung.is_empty() {
            self.notify.notify_one();
        }
    }

    /// Wakes the listener although nothing is new: for a clock that was turned.
    pub fn wake(&self) {
        self.notify.notify_one();
    }

    /// Ends at the next ring, at once if there was one since the last time.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }

    /// For which workspaces it was rung since the last time.
    #[must_use]
    pub fn take(&self) -> HashSet<WorkspaceId> {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
