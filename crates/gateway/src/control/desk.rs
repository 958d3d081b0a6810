//! What can be asked at the control socket, and who answers it.

use std::path::Path;
use std::sync::Arc;

use domain::Clock;
use serde::Serialize;
use serde_json::json;
use storage::{BackupOrder, Store};
use tokio::sync::Mutex;

use super::{Answer, Request};
use crate::keys;
use crate::node::{Auditor, Parts};

/// What requests are answered with.
#[derive(Debug)]
pub(crate) struct Desk {
    store: Store,
    clock: Arc<dyn Clock>,
    auditor: Arc<Auditor>,
    backing_up: Mutex<()>,
}

impl Desk {
    pub(crate) fn new(parts: &Parts<'_>, auditor: Arc<Auditor>) -> Self {
        let (store, clock) = (parts.store.clone(), Arc::clone(&parts.clock));
        Self { store, clock, auditor, backing_up: Mutex::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        self.store.dir()
    }

    pub(super) async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Ping => Answer::Done(json!({ "pid": std::process::id() })),
            Request::Audit => self.audit().await,
            Request::Backup { to, with_master_key } => {
                let (program, now_ms) = (env!("CARGO_PKG_VERSION").to_owned(), self.clock.now().wall_ms);
                self.back_up(BackupOrder { to, with_master_key, program, now_ms }).await
            }
            Request::Recover => match keys::recover(&self.store, &*self.clock).await {
                Ok(key) => Answer::Done(json!(key)),
                Err(error) => Answer::Refused(format!("{error:#}")),
            },
        }
    }

    async fn audit(&self) -> Answer {
        match self.auditor.try_audit().await {
            Some(Ok(audit)) => done(&audit),
            Some(Err(error)) => Answer::Refused(format!("{error}; the gateway's log says why")),
            None => Answer::Refused("an audit is under way; try again when it is done".into()),
        }
    }

    async fn back_up(&self, order: BackupOrder) -> Answer {
        if !order.to.is_absolute() {
            return Answer::Refused("the directory has to be named from the root".into());
        }
        let Ok(_alone) = self.backing_up.try_lock() else {
            return Answer::Refused("a backup is under way; try again when it is done".into());
        };
        let to = order.to.clone();
        match self.store.backup(order).await {
            Ok(manifest) => {
                tracing::info!(to = %to.display(), files = manifest.files.len(), "a backup was made");
                done(&manifest)
            }
            Err(error) => Answer::Refused(format!("{:#}", anyhow::Error::new(error))),
        }
    }
}

fn done<T: Serialize>(value: &T) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Answer::Done(value),
        Err(_) => Answer::Refused("the answer cannot be written".into()),
    }
}
