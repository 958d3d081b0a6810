//! What has to be done from time to time: idle connections closed, idle counters given back.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use limits::Engine;

use super::dispatch::Dispatch;

const EVERY: Duration = Duration::from_secs(60);

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
