//! `POST /v1/gateway/webhook/dead_letters/redrive`: dead letters are delivered once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use domain::{DeliveryId, Snapshot};
use serde::{Deserialize, Serialize};
use storage::{Redrive, RedriveError};
use utoipa::ToSchema;

use super::existing;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};

/// Most ids of one request.
const IDS_MAX: usize = 1_000;

/// Which dead letters.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = DeadLetterRedrive)]
// Without `ids` it is all of them, so another name must not pass for none.
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveBody {
    /// Those with these ids; without it all that there are now.
    #[schema(max_items = 1_000)]
    ids: Option<Vec<String>>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLettersRedriven)]
pub(crate) struct RedrivenView {
    /// How many dead letters are none any more.
    redriven: u64,
}

/// Deliver dead letters once more.
///
/// Their events keep their idempotency keys and go out in new deliveries. Several at once, or none where an id is unknown.
/// The body may be left out.
#[utoipa::path(
    post,
    path = "/v1/gateway/webhook/dead_letters/redrive",
    tag = "webhooks",
    request_body = ref("#/components/schemas/DeadLetterRedrive"),
    responses((status = 200, description = "How many there were.", body = RedrivenView)),
)]
pub(crate) async fn dead_letter_redrive(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<RedrivenView>, Error> {
    let RedriveBody { ids } = if body.is_empty() { RedriveBody::default() } else { parse(&body)? };
    let which = ids.map_or(Ok(Redrive::All), |ids| these(&ids).map(Redrive::These))?;
    existing(&admin.store.snapshot(), manager.workspace)?;
    let allowed = move |snapshot: &Snapshot| manager.right.still_holds(snapshot).is_ok();
    let now_ms = admin.clock.now().wall_ms;
    let redriven = admin.store.redrive(manager.workspace, which, now_ms, allowed).await;
    let redriven = redriven.map_err(|error| match error {
        RedriveError::Unknown(id) => unknown(&id.to_string()),
        RedriveError::NotAllowed => Error::Unauthorized,
        RedriveError::Unavailable => Error::Unavailable,
    })?;
    tracing::info!(workspace = %manager.workspace, redriven, "dead letters redriven");
    Ok(Answer(RedrivenView { redriven }))
}

fn these(ids: &[String]) -> Result<BTreeSet<DeliveryId>, Error> {
    if ids.len() > IDS_MAX {
        return Err(Error::invalid(format!("ids has more than {IDS_MAX} ids; send fewer at once.")));
    }
    ids.iter().map(|id| id.parse().map_err(|_| unknown(id))).collect()
}

fn unknown(id: &str) -> Error {
    Error::invalid(format!("ids: there is no dead letter `{id}`; list them to see those there are."))
}
