//! Audits of a running gateway: those that are asked for, and one from time to time.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use proxy::Shared;
use storage::{Audit, Store, Unavailable, Watch};
use tokio::sync::Mutex;

use super::Parts;

/// A gateway that is started again and again is audited all the same.
const FIRST_AFTER: Duration = Duration::from_secs(600);

/// Audits one gateway, one audit at a time.
#[derive(Debug)]
pub(crate) struct Auditor {
    store: Store,
    watch: Watch,
    under_way: Mutex<()>,
}

impl Auditor {
    pub(super) fn new(parts: &Parts<'_>, shared: &Arc<Shared>) -> Self {
        let (clock, shared): (Arc<dyn Clock>, _) = (Arc::clone(&parts.clock), Arc::clone(shared));
        let in_flight = Arc::new(move || shared.in_flight());
        let watch = Watch { clock, in_flight, started_at: parts.store.snapshot().version() };
        Self { store: parts.store.clone(), watch, under_way: Mutex::default() }
    }

    /// Audits, unless that is under way already.
    pub(crate) async fn try_audit(&self) -> Option<Result<Audit, Unavailable>> {
        let _alone = self.under_way.try_lock().ok()?;
        Some(self.audit().await)
    }

    /// Audits every so often; nought is never.
    pub(super) async fn repeat(self: Arc<Self>, every: Duration) {
        if every.is_zero() {
            return;
        }
        let mut pause = every.min(FIRST_AFTER);
        loop {
            tokio::time::sleep(pause).await;
            let _alone = self.under_way.lock().await;
            // The store has said why, if it could not be read.
            let _ = self.audit().await;
            pause = every;
        }
    }

    async fn audit(&self) -> Result<Audit, Unavailable> {
        let audit = self.store.audit(&self.watch).await?;
        let (entries, compared, skipped) = (audit.entries, audit.compared, audit.skipped);
        match audit.differences.first() {
            None => tracing::info!(entries, compared, skipped, "the audit found no difference"),
            Some(first) => tracing::error!(
                entries,
                differences = audit.count(),
                what = first.what,
                place = first.place,
                expected = first.expected,
                found = first.found,
                "the ledger and what is kept beside it differ; this is the first difference, `tollgate audit` shows all"
            ),
        }
        Ok(audit)
    }
}
