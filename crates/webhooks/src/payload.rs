//! The body of a delivery: the same bytes in every attempt, since events never change.

use bytes::Bytes;
use domain::{BillingEvent, EventForm, EventView, RequestId, Slug, UsageSource};
use serde::Serialize;

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    events: Vec<EventView<'a>>,
}

/// These events as one body.
pub(crate) fn body(events: &[BillingEvent], form: EventForm) -> Bytes {
    let events = events.iter().map(|event| event.view(form)).collect();
    let payload = Payload { r#type: "API_BILLING_USAGE", data: Data { events } };
    serde_json::to_vec(&payload).expect("events have text for keys").into()
}

/// An event of no tokens, to try a receiver with. It names no call: its key is its own, and its sequence is 0.
#[must_use]
pub fn sample(line: RequestId, at_ms: u64, form: EventForm) -> Bytes {
    let slug: Slug = "tollgate/test".parse().expect("it has one slash and plain halves");
    let event = BillingEvent {
        sequence: 0,
        at_ms,
        line,
        corrects: None,
        metadata: None,
        slug,
        external_entity_id: "tollgate-test".into(),
        key_prefix: "test".into(),
        input: 0,
        output: 0,
        cached: 0,
        source: UsageSource::Reported,
        cost: None,
    };
    body(&[event], form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_200_a_body_names_its_type_and_lists_events() {
        let form = EventForm { metadata: true, legacy_customer_id: true };
        let bytes = sample(RequestId::new(1_778_673_600_000, [7; 10]), 1_778_673_600_000, form);
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["type"], "API_BILLING_USAGE");
        let events = body["data"]["events"].as_array().unwrap();
        assert_eq!((events.len(), &events[0]["sequence"]), (1, &0.into()));
        assert_eq!(events[0]["timestamp"], "2026-05-13T12:00:00.000Z");
    }
}
