//! What has to be done from time to time: idle connections closed, idle counters given back.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use limits::Engine;
use storage::Store;

use super::dispatch::Dispatch;

const EVERY: Duration = Duration::from_secs(60);
/// How often the ledger is looked through for what is older than it keeps.
const RETENTION_EVERY: Duration = Duration::from_secs(3_600);

/// One worker's upkeep.
pub(super) async fn worker(dispatch: Dispatch) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(worker) = dispatch.worker() {
            worker.tidy();
        }
    }
}

/// The gateway's upkeep.
pub(super) async fn node(engine: Arc<Engine>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let given_back = engine.sweep(clock.now());
        tracing::debug!(given_back, "idle counters were given back");
    }
}

/// Takes what is older than `retain_days` out of the ledger: at the start, and every hour.
pub(super) async fn retention(store: Store, clock: Arc<dyn Clock>, retain_days: u32) {
    loop {
        let mut lines = 0;
        // What storage cannot do now it may do in an hour; it has said so in the log.
        while let Ok(pruned) = store.prune(clock.now(), retain_days).await {
            lines += pruned.lines;
            if !pruned.more {
                break;
            }
        }
        if lines > 0 {
            tracing::info!(lines, "what was older than ledger.retain_days was taken out of the ledger");
        }
        tokio::time::sleep(RETENTION_EVERY).await;
    }
}
