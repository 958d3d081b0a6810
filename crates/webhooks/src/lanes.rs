//! How much of which workspace may be under way: pure accounting.
//!
//! Guarantees: one workspace never has more than its share, and all together no more than their bounds; whoever has
//! waited longest for a place gets one.
//! Begins at [`Lanes::wanted`].

use std::collections::BTreeMap;
use std::ops::Bound;

use domain::WorkspaceId;
use storage::{Lane, Wanted};

use crate::ending::Ending;

/// Attempts under way at once, over all workspaces.
const ATTEMPTS_MAX: usize = 256;
/// Events in them, over all workspaces: what bodies there may be in memory.
const EVENTS_MAX: usize = 8_192;
/// Attempts of one workspace under way at once ...
const LANE_ATTEMPTS_MAX: usize = 16;
/// ... with so many events in them, or else one ...
const LANE_EVENTS_MAX: usize = 2_048;
/// ... and where the receiver did not answer in time the last time, so that the slow take few places.
const SLOW_ATTEMPTS_MAX: usize = 2;

/// What is under way, by workspace.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<WorkspaceId, State>,
    under_way: usize,
    events: usize,
    /// The last workspace that was asked for: the next one comes first the next time.
    last: Option<WorkspaceId>,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    is_slow: bool,
    /// When there may be more to lease, in milliseconds since 1970 UTC; 0 is now.
    more_ms: Option<u64>,
}

impl Lanes {
    /// There may be something new in a workspace.
    pub(crate) fn ring(&mut self, workspace: WorkspaceId) {
        self.lanes.entry(workspace).or_default().more_ms = Some(0);
    }

    /// What to ask for at this time, where `batch_max` says how many events a delivery of a workspace may have; none:
    /// it has no webhook.
    pub(crate) fn wanted(
        &mut self,
        now_ms: u64,
        batch_max: impl Fn(WorkspaceId) -> Option<u16>,
    ) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let mut places = ATTEMPTS_MAX.saturating_sub(self.under_way);
        let mut events = EVENTS_MAX.saturating_sub(self.events);
        let due = self.due(now_ms);
        // Where places are scarce, each gets as many as the others.
        let share = places.div_ceil(due.len().max(1));
        for workspace in due {
            let Some(state) = self.lanes.get_mut(&workspace) else { continue };
            let Some(batch) = batch_max(workspace).map(usize::from) else {
                state.more_ms = None;
                continue;
            };
            let most = state.free(batch).min(share).min(places).min(events / batch.max(1));
            if let Ok(most @ 1..) = u16::try_from(most) {
                wanted.push(Wanted { workspace, most });
                places = places.saturating_sub(usize::from(most));
                events = events.saturating_sub(usize::from(most).saturating_mul(batch));
                self.last = Some(workspace);
            }
        }
        self.lanes.retain(|_, state| state.under_way > 0 || state.more_ms.is_some());
        wanted
    }

    /// This was leased: attempts begin.
    pub(crate) fn began(&mut self, lane: &Lane) {
        let state = self.lanes.entry(lane.workspace).or_default();
        state.more_ms = lane.next_due_ms;
        state.under_way = state.under_way.saturating_add(lane.deliveries.len());
        self.under_way = self.under_way.saturating_add(lane.deliveries.len());
        self.events = self.events.saturating_add(lane.deliveries.iter().map(size).sum());
    }

    /// An attempt of this workspace with so many events ended.
    pub(crate) fn ended(&mut self, workspace: WorkspaceId, events: usize, ending: Ending) {
        let state = self.lanes.entry(workspace).or_default();
        state.under_way = state.under_way.saturating_sub(1);
        state.is_slow = ending == Ending::TimedOut;
        self.under_way = self.under_way.saturating_sub(1);
        self.events = self.events.saturating_sub(events);
    }

    /// A delivery of this workspace waits until then.
    pub(crate) fn waits(&mut self, workspace: WorkspaceId, until_ms: u64) {
        let state = self.lanes.entry(workspace).or_default();
        state.more_ms = Some(state.more_ms.map_or(until_ms, |more_ms| more_ms.min(until_ms)));
    }

    /// When something that now waits is due, in milliseconds since 1970 UTC. What waits for a place is not in it: that
    /// comes free when an attempt ends.
    pub(crate) fn next_due_ms(&self, now_ms: u64) -> Option<u64> {
        self.lanes.values().filter_map(|state| state.more_ms).filter(|more_ms| *more_ms > now_ms).min()
    }

    /// Workspaces that may have something now, those first that come after the one that was asked for last.
    fn due(&self, now_ms: u64) -> Vec<WorkspaceId> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.last.map_or(Bound::Excluded(WorkspaceId(0)), Bound::Included);
        let lanes =
            self.lanes.range((after, Bound::Unbounded)).chain(self.lanes.range((Bound::Unbounded, until)));
        let is_due = |state: &State| state.more_ms.is_some_and(|more_ms| more_ms <= now_ms);
        lanes.filter(|(_, state)| is_due(state)).map(|(workspace, _)| *workspace).collect()
    }
}

impl State {
    /// How many more attempts there may be, with so many events each.
    fn free(&self, batch: usize) -> usize {
        let by_events = (LANE_EVENTS_MAX / batch.max(1)).max(1);
        let most = if self.is_slow { SLOW_ATTEMPTS_MAX } else { LANE_ATTEMPTS_MAX };
        most.min(by_events).saturating_sub(self.under_way)
    }
}

/// How many events a delivery has.
pub(crate) fn size(delivery: &storage::Delivery) -> usize {
    let events = delivery.last_sequence.saturating_sub(delivery.first_sequence).saturating_add(1);
    usize::try_from(events).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
