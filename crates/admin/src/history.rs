//! `GET /v1/gateway/groups/{id}/usage/history`: what a group used, hour by hour or day by day.
//!
//! The numbers are sums that the ledger keeps for good, in the hour in which a call was settled.
//! Begins at [`group_history`].

mod query;

use std::sync::Arc;

use axum::extract::State;
use domain::{GroupId, Usd};
use serde::Serialize;
use storage::{HISTORY_GROUPS_MAX, History, HistoryRow, UsageBy};
use utoipa::ToSchema;

use self::query::{Asked, StepView};
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::governance::view::Dollars;
use crate::groups::named;
use crate::json::Answer;
use crate::page::{ListQuery, Pagination};
use crate::path::InPath;
use crate::time::Timestamp;

/// What a group used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageHistory)]
pub(crate) struct HistoryView {
    group_id: GroupId,
    #[schema(value_type = String)]
    external_entity_id: Arc<str>,
    /// The first moment that is counted.
    from: Timestamp,
    /// The first that is not.
    to: Timestamp,
    step: StepView,
    items: Vec<HistoryItem>,
    pagination: Pagination,
}

/// What was used within a step. Steps without use are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageHistoryItem)]
pub(crate) struct HistoryItem {
    /// The step's first moment.
    start: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    slug: Option<String>,
    /// The prefix of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<String>,
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// The part of `input_tokens` that model servers had in their caches.
    cached_input_tokens: u64,
    /// Of the calls whose route had a price.
    cost_usd: Dollars,
    /// Calls that a limit refused; not there where keys or providers are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusals: Option<u64>,
}

/// Read what a group used, hour by hour or day by day.
///
/// For the group alone, or for everything below it too. A call counts in the step in which it ended, and a correction in
/// that of its call.
#[utoipa::path(
    get,
    path = "/v1/gateway/groups/{id}/usage/history",
    tag = "billing",
    params(
        ("id" = String, Path, description = "The `id` of a group."),
        ("from" = Option<String>, Query, format = DateTime, description = "ISO 8601, UTC, cut to a whole step; included. Needed on the first page."),
        ("to" = Option<String>, Query, format = DateTime, description = "ISO 8601, UTC, cut to a whole step; not included. Without it the present step is the last."),
        ("step" = Option<String>, Query, description = "`hour` or `day`, the default."),
        ("by" = Option<String>, Query, description = "`slug`, `key` or `provider`: one item for each of these. Keys of a subtree can be told apart in up to 200 groups."),
        ("subtree" = Option<bool>, Query, description = "Whether everything below the group is counted as well; `false` unless it is said."),
        ListQuery,
    ),
    responses((status = 200, description = "A page of steps, the earliest first.", body = HistoryView)),
)]
pub(crate) async fn group_history(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    query: ListQuery,
) -> Result<Answer<HistoryView>, Error> {
    let group = Arc::clone(named(&admin.store.snapshot(), viewer.workspace, &id)?);
    let asked = Asked::of(&query, group.id, &admin)?;
    let reading = admin.store.history(asked.question());
    let found = admin.waits.during(viewer.workspace, reading).await?.map_err(|_| Error::Unavailable)?;
    let History::Page { rows, rest } = found else {
        return Err(Error::invalid(format!(
            "More than {HISTORY_GROUPS_MAX} groups lie in this subtree; ask by slug or provider, or for a smaller one."
        )));
    };
    let items = rows.into_iter().map(|row| HistoryItem::of(row, asked.by)).collect();
    let next = rest.map(|place| asked.cursor(admin.store.vault(), &place));
    Ok(Answer(HistoryView {
        group_id: group.id,
        external_entity_id: Arc::clone(&group.metadata.external_entity_id),
        from: hour(asked.from_hour),
        to: hour(asked.until_hour),
        step: StepView::of(asked.step),
        items,
        pagination: Pagination::of(next),
    }))
}

impl HistoryItem {
    fn of(row: HistoryRow, by: UsageBy) -> Self {
        let HistoryRow { hour: start, name, sums } = row;
        let named = |this: UsageBy| (by == this).then(|| name.clone());
        Self {
            start: hour(start),
            slug: named(UsageBy::Slug),
            key: named(UsageBy::Key),
            provider: named(UsageBy::Provider),
            requests: sums.requests,
            input_tokens: sums.input,
            output_tokens: sums.output,
            cached_input_tokens: sums.cached,
            cost_usd: Dollars(Usd(sums.cost_nano_usd)),
            refusals: matches!(by, UsageBy::All | UsageBy::Slug).then_some(sums.refusals),
        }
    }
}

/// The first moment of an hour since 1970.
fn hour(hour: u64) -> Timestamp {
    Timestamp(hour.saturating_mul(3_600))
}
