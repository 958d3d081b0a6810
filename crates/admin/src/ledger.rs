//! `/v1/gateway/ledger/{request_id}`: why a call was billed as it was, and how that is put right.
//!
//! Begins at [`ledger_get`] and [`correct::ledger_correct`].

pub(crate) mod correct;
mod view;

use std::sync::Arc;

use axum::extract::State;
use domain::{RequestId, WorkspaceId};
use storage::{Correction, LedgerLine};

use self::view::LedgerView;
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;

const NOT_KEPT: &str = "The ledger has no line about this request id: kept are calls that were admitted, for as many days as \
    ledger.retain_days says; why one was refused is told below /v1/gateway/decisions.";

/// Read the ledger's line about a call: who called what, what it used, what that cost and by which price, and every
/// correction and delivery of it.
#[utoipa::path(
    get,
    path = "/v1/gateway/ledger/{request_id}",
    tag = "billing",
    params(("request_id" = String, Path, description = "The id in `x-request-id` of the call's answer.")),
    responses((status = 200, description = "The line.", body = LedgerView)),
)]
pub(crate) async fn ledger_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<LedgerView>, Error> {
    let id = id.parse().map_err(|_| Error::NotFound(NOT_KEPT))?;
    let (line, corrections) = found(&admin, viewer.workspace, id).await?;
    let deliveries = match line.sequence {
        Some(sequence) => admin.store.delivery_attempts(viewer.workspace, sequence).await,
        None => Ok(Vec::new()),
    };
    let deliveries = deliveries.map_err(|_| Error::Unavailable)?;
    Ok(Answer(LedgerView::of(line, corrections, deliveries)))
}

/// The line about a call of this workspace. To all others it is not there.
async fn found(
    admin: &Admin,
    workspace: WorkspaceId,
    id: RequestId,
) -> Result<(LedgerLine, Vec<Correction>), Error> {
    let found = admin.store.corrected_entry(id).await.map_err(|_| Error::Unavailable)?;
    found.filter(|(line, _)| line.workspace == workspace).ok_or(Error::NotFound(NOT_KEPT))
}
