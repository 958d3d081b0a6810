//! `GET /v1/gateway/events`: billing events, page by page.
//!
//! The first page says what a span of time comes to, in sequences; its cursor holds on to that, so what is written
//! meanwhile enters no later page.
//! Begins at [`event_list`].

mod cursor;
mod query;
mod table;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{BillingEvent, EventForm, EventView};
use http::header::CONTENT_TYPE;

use self::query::{EventQuery, Form};
use crate::access::Viewer;
use crate::admin::{Admin, LegacyCustomerId, Settings};
use crate::error::Error;
use crate::json::Answer;
use crate::page::{ListQuery, Page};

/// Where the next page begins, in forms that have no place for it.
const NEXT_CURSOR: &str = "x-next-cursor";

/// List billing events, in the order in which they were written.
///
/// An event for every call that the model server answered well or that used anything, and for every correction of one.
/// The window is evaluated once, with the first page: events that are written later enter none of its pages. A page may
/// hold fewer events than its limit, even none, and say that there are more: where a filter matches few among many, the
/// work for one page has a bound.
#[utoipa::path(
    get,
    path = "/v1/gateway/events",
    tag = "billing",
    params(
        ("start_time" = Option<String>, Query, format = DateTime, description = "ISO 8601, UTC; events of this very moment are in it. Needed on the first page, unless `after_sequence` is given."),
        ("end_time" = Option<String>, Query, format = DateTime, description = "ISO 8601, UTC; events of this very moment are not in it. Otherwise a minute before now (events.holdback), so that none comes late."),
        ("after_sequence" = Option<u64>, Query, description = "In place of a span of time: the events that follow this sequence, up to the last one."),
        ListQuery,
        ("api_keys" = Option<Vec<String>>, Query, description = "Prefixes of keys: only events of any of these. Repeat it for several, up to 100."),
        ("external_entity_ids" = Option<Vec<String>>, Query, description = "Identifiers of groups: only events of any of these. Repeat it for several, up to 100."),
        ("format" = Option<String>, Query, description = "`json`, `csv` or `ndjson`. The latter two name the next page in the header `x-next-cursor`."),
    ),
    responses((
        status = 200,
        description = "A page of events.",
        content((Page<EventView<'static>> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")),
    )),
)]
pub(crate) async fn event_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Response, Error> {
    let asked = EventQuery::of(&query, viewer.workspace, &admin)?;
    let filter = asked.filter.clone();
    let reading = admin.store.event_page(viewer.workspace, asked.span, filter, asked.limit);
    let page = admin.waits.during(viewer.workspace, reading).await?.map_err(|_| Error::Unavailable)?;
    let next =
        page.rest.map(|rest| cursor::written(admin.store.vault(), viewer.workspace, &asked.filter, rest));
    let views = views(&page.events, &admin.settings);
    Ok(match asked.form {
        Form::Json => Answer(Page::of(views, next)).into_response(),
        Form::Csv => {
            with_cursor(next, ("text/csv; charset=utf-8", table::csv(&views, form(&admin.settings))))
        }
        Form::Ndjson => with_cursor(next, ("application/x-ndjson", table::ndjson(&views))),
    })
}

fn views<'a>(events: &'a [BillingEvent], settings: &Settings) -> Vec<EventView<'a>> {
    events.iter().map(|event| event.view(form(settings))).collect()
}

fn form(settings: &Settings) -> EventForm {
    let legacy_customer_id = settings.events_legacy_customer_id == LegacyCustomerId::Told;
    EventForm { metadata: false, legacy_customer_id }
}

fn with_cursor(next: Option<String>, (kind, body): (&'static str, String)) -> Response {
    let next = next.map(|next| [(NEXT_CURSOR, next)]);
    (next, [(CONTENT_TYPE, kind)], body).into_response()
}
