//! `GET /v1/gateway/webhook/dead_letters`: deliveries that were given up.

use std::sync::Arc;

use axum::extract::State;
use domain::DeliveryId;
use serde::Serialize;
use storage::DeliveryLine;
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::page::{BAD_CURSOR, Kind, ListQuery, Page};
use crate::time::Moment;

/// A delivery that was given up. Its events are kept as long as the ledger keeps them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterView {
    /// What its attempts had as `X-Baseten-Request-ID` and `webhook-id`.
    #[schema(format = "uuid")]
    id: String,
    /// How many events it has.
    events: u64,
    /// How many attempts were made.
    attempts: u32,
    /// `null` where none was made, because the webhook was deleted before.
    #[schema(required)]
    last_attempt_at: Option<Moment>,
    /// Status of the last answer, if there was one.
    #[schema(required)]
    last_status: Option<u16>,
    /// What went wrong the last time.
    #[schema(required)]
    last_error: Option<String>,
}

impl DeadLetterView {
    fn of(letter: DeliveryLine) -> Self {
        Self {
            id: letter.id.to_string(),
            events: letter.events(),
            attempts: letter.attempts,
            last_attempt_at: letter.last_attempt_ms.map(Moment),
            last_status: letter.last_status,
            last_error: letter.last_error,
        }
    }
}

/// List the dead letters of the workspace, oldest first.
#[utoipa::path(
    get,
    path = "/v1/gateway/webhook/dead_letters",
    tag = "webhooks",
    params(ListQuery),
    responses((status = 200, description = "A page of dead letters.", body = Page<DeadLetterView>)),
)]
pub(crate) async fn dead_letter_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<DeadLetterView>>, Error> {
    let after = match &*query.after_name(Kind::DeadLetter)? {
        "" => None,
        id => Some(id.parse::<DeliveryId>().map_err(|_| Error::invalid(BAD_CURSOR))?),
    };
    let limit = query.limit()?;
    let letters = admin.store.dead_letters(viewer.workspace, after, limit.saturating_add(1)).await;
    let letters = letters.map_err(|_| Error::Unavailable)?.into_iter();
    let name = |letter: &DeliveryLine| letter.id.to_string();
    Ok(Answer(Page::cut(Kind::DeadLetter, limit, letters, name, DeadLetterView::of)))
}
