//! A delivery as it is told of a call: how its event fared.

use serde::Serialize;
use storage::DeliveryLine;
use utoipa::ToSchema;

use crate::time::Moment;

/// A delivery that the event of a call was in, as long as it is remembered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView {
    /// What its attempts had as `X-Baseten-Request-ID` and `webhook-id`.
    #[schema(format = "uuid")]
    id: String,
    /// `pending`, `under_way`, `done`, `dead`, or `redriven` once other deliveries were made of it.
    state: &'static str,
    /// Attempts that have ended.
    attempts: u32,
    #[schema(required)]
    first_attempt_at: Option<Moment>,
    /// When the last one ended.
    #[schema(required)]
    last_attempt_at: Option<Moment>,
    /// When the next one begins, while it is pending.
    #[schema(required)]
    next_attempt_at: Option<Moment>,
    /// Status of the last answer, if there was one.
    #[schema(required)]
    last_status: Option<u16>,
    /// What went wrong the last time.
    #[schema(required)]
    last_error: Option<String>,
}

impl DeliveryView {
    pub(crate) fn of(delivery: DeliveryLine) -> Self {
        Self {
            id: delivery.id.to_string(),
            state: delivery.state.name(),
            attempts: delivery.attempts,
            first_attempt_at: delivery.first_attempt_ms.map(Moment),
            last_attempt_at: delivery.last_attempt_ms.map(Moment),
            next_attempt_at: delivery.next_attempt_ms.map(Moment),
            last_status: delivery.last_status,
            last_error: delivery.last_error,
        }
    }
}
