//! Commands for whoever holds the machine itself: through the control socket, or on a directory that nobody serves from.

use std::path::Path;

use serde_json::Value;
use storage::{OpenError, Store};

use crate::control::{self, Request, socket};

/// Asks the gateway that serves from this directory; none if no process does.
pub(super) async fn ask(dir: &Path, request: &Request) -> anyhow::Result<Option<Value>> {
    if !Store::inspect(dir)?.locked {
        return Ok(None);
    }
    control::ask(dir, request).await
}

/// A directory that is in use by a gateway which does not answer.
pub(super) fn explained(error: OpenError, dir: &Path) -> anyhow::Error {
    let OpenError::Locked { pid } = error else { return anyhow::Error::new(error) };
    let holder = pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
    anyhow::anyhow!(
        "{holder} serves from {} and does not answer at {}; try again, or stop it first",
        dir.display(),
        socket(dir).display()
    )
}
