//! Decisions on calls, kept for whoever asks later: why was this one refused?
//!
//! The last ones are in a ring in memory. Refusals are also on disk, as far as there is room, so that yesterday's can be
//! explained after a restart. What is kept is who asked for which model, and how every limit stood: no prompt, no answer,
//! no secret.
//!
//! Guarantees: keeping a decision never waits for the disk and never fails a call; memory and disk have bounds; whatever
//! lies in the directory, the store opens.
//! Knows nothing of: how a decision is made, or shown.
//! Begins at [`Decisions::record`]; `ring` is the memory, `disk` the way to the files, `segments` the files, `line` what
//! stands in them, `allowance` which refusals go there.

mod allowance;
mod disk;
mod line;
mod recorded;
mod ring;
mod segments;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{RequestId, WorkspaceId};
use limits::{LimitState, Seen};
use tokio::sync::Semaphore;

use self::disk::Disk;
pub use self::recorded::{DecisionFacts, DecisionOutcome, Recorded, TurnedAway};
use self::ring::Ring;
use crate::error::Unavailable;

/// The folder in the data directory.
const FOLDER: &str = "decisions";
/// Lookups that may read the disk at once; further ones wait.
const LOOKUPS_MAX: usize = 2;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionBounds {
    /// Decisions in memory, the oldest of which makes room; 0 keeps none. One takes some 200 bytes, and 90 for each of
    /// its limits.
    pub in_memory: usize,
    /// Bytes of refusals on disk, the oldest of which make room; 0 keeps none, and removes what is there.
    pub on_disk: u64,
}

/// The decisions of one node.
#[derive(Debug)]
pub struct Decisions {
    ring: Arc<Ring>,
    disk: Option<Disk>,
    folder: PathBuf,
    lookups: Arc<Semaphore>,
}

impl Decisions {
    /// Takes up what the directory has. A directory that cannot be written costs a line in the log and the part on disk.
    pub(crate) fn open(dir: &Path, bounds: DecisionBounds) -> Self {
        let folder = dir.join(FOLDER);
        let disk = Disk::open(&folder, bounds.on_disk);
        let ring = Arc::new(Ring::new(bounds.in_memory));
        Self { ring, disk, folder, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// Whether a decision that was recorded now would be kept anywhere. Not worth asking how limits stand if not.
    #[must_use]
    pub fn keeps(&self, outcome: DecisionOutcome) -> bool {
        self.ring.keeps() || (outcome.is_no() && self.disk.is_some())
    }

    /// Keeps the decision to admit a call, and what it saw. `seen` is left with the room of the decision that was there
    /// before, so that nothing is allocated or copied.
    pub fn admitted(&self, facts: DecisionFacts, seen: &mut Seen) {
        self.ring.write(facts, |slot| std::mem::swap(&mut slot.seen, seen));
    }

    /// Keeps a decision against a call. `states`: how every limit stood, in the order of `facts.limits`.
    pub fn record(&self, facts: DecisionFacts, states: &[LimitState]) {
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.takes(&facts)) {
            disk.hand_over(Recorded { facts: facts.clone(), states: states.to_vec() });
        }
        self.ring.write(facts, |slot| slot.states.extend_from_slice(states));
    }

    /// The decision on a call of this workspace, if it is still kept.
    ///
    /// # Errors
    /// When the node is shutting down.
    pub async fn find(&self, id: RequestId, workspace: WorkspaceId) -> Result<Option<Recorded>, Unavailable> {
        let turn = Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| Unavailable)?;
        let (ring, folder) = (Arc::clone(&self.ring), self.folder.clone());
        // Reading all that is on disk takes a while: not on a thread that serves others.
        let look = move || {
            // Kept until the end of the reading, which goes on when the one who asked has left.
            let _turn = turn;
            ring.find(id, workspace).or_else(|| segments::find(&folder, id, workspace))
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| Unavailable)
    }

    /// Refusals that could not be kept on disk, since the store was opened.
    pub(crate) fn lost(&self) -> u64 {
        self.disk.as_ref().map_or(0, Disk::lost)
    }

    /// Writes what has been handed over, and ends.
    pub(crate) fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close();
        }
    }
}
