//! How many requests may wait for somebody else: a body that trickles in, a model server that does not answer.
//!
//! Management works on so many requests at once, and one that waits keeps its place meanwhile. Guarantees: those of one
//! workspace leave places to the others', and all that wait leave places to those that do not.
//! Knows nothing of: what is waited for. Begins at [`Waits::during`].

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::WorkspaceId;
use tokio::time::timeout;

use crate::rate::TooOften;

/// Requests that may wait at once. Whoever serves management must have room for more than these.
pub const WAITS_MAX: usize = 192;
/// Requests of one workspace that may wait at once.
const WAITS_OF_ONE_MAX: usize = 32;
/// Whatever is done within this has not waited.
const PROMPT: Duration = Duration::from_millis(50);

/// How many wait, by workspace. None is left out.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<HashMap<WorkspaceId, usize>>);

/// One that waits.
struct Waiting<'a> {
    waits: &'a Waits,
    workspace: WorkspaceId,
}

impl Waits {
    /// Waits for something that is not in our hands.
    ///
    /// # Errors
    /// It is not done at once, and too many wait already; it is dropped.
    pub(crate) async fn during<T>(
        &self,
        workspace: WorkspaceId,
        what: impl Future<Output = T>,
    ) -> Result<T, TooOften> {
        let mut what = pin!(what);
        if let Ok(done) = timeout(PROMPT, &mut what).await {
            return Ok(done);
        }
        let _waiting = self.begin(workspace)?;
        Ok(what.await)
    }

    fn begin(&self, workspace: WorkspaceId) -> Result<Waiting<'_>, TooOften> {
        let mut waiting = self.lock();
        let all: usize = waiting.values().sum();
        let own = waiting.get(&workspace).copied().unwrap_or(0);
        if all >= WAITS_MAX || own >= WAITS_OF_ONE_MAX {
            return Err(TooOften { retry_after_s: 1 });
        }
        waiting.insert(workspace, own + 1);
        Ok(Waiting { waits: self, workspace })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waits.lock();
        let left = waiting.get(&self.workspace).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            waiting.remove(&self.workspace);
        } else {
            waiting.insert(self.workspace, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(60);

    #[test]
    fn one_workspace_leaves_places_to_the_others_and_all_together_have_a_bound() {
        let waits = Waits::default();
        let workspaces = (0..).map(WorkspaceId);
        let waiting: Vec<_> = workspaces
            .take(10)
            .flat_map(|workspace| (0..=WAITS_OF_ONE_MAX).map(move |_| workspace))
            .map(|workspace| (workspace, waits.begin(workspace)))
            .collect();
        let own = |id| waiting.iter().filter(|(of, begun)| *of == WorkspaceId(id) && begun.is_ok()).count();
        assert_eq!([0, 5, 6].map(own), [WAITS_OF_ONE_MAX, WAITS_OF_ONE_MAX, 0]);
        assert_eq!(waiting.iter().filter(|(_, begun)| begun.is_ok()).count(), WAITS_MAX);
        drop(waiting);
        assert!(waits.lock().is_empty(), "nothing is remembered of who is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_at_once_needs_no_place_and_what_waits_gives_its_place_back() {
        let (waits, own) = (Waits::default(), WorkspaceId(1));
        let full: Vec<_> = (0..WAITS_OF_ONE_MAX).map(|_| waits.begin(own)).collect();
        assert_eq!(waits.during(own, ready(1)).await, Ok(1));
        assert!(waits.during(own, pending::<()>()).await.is_err());
        drop(full);
        waits.during(own, tokio::time::sleep(MOMENT)).await.unwrap();
        assert!(timeout(MOMENT, waits.during(own, pending::<()>())).await.is_err());
        assert!(waits.lock().is_empty(), "not even after one that left");
    }
}
