//! `GET /v1/gateway/decisions/{request_id}`: what was decided on a call, and why.
//!
//! The answer is that of `POST /v1/gateway/explain`, with the numbers of that moment, and who asked for what. As there,
//! an ancestor's numbers are shown in full.
//! Begins at [`decision_get`].

use std::sync::Arc;

use axum::extract::State;
use domain::{GroupId, RequestId};
use serde::{Serialize, Serializer};
use storage::{DecisionOutcome, Recorded};
use utoipa::ToSchema;

use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::explain::{ExplainView, Judged};
use crate::json::Answer;
use crate::path::InPath;
use crate::time::Moment;

const NOT_KEPT: &str = "No decision is kept under this request id: kept are the last ones since the start \
    (limits.decisions says how many) and refusals on disk (limits.decisions_disk_mb; of a storm only some), and a call that \
    failed before it was decided on, such as one with an unknown key, has none.";

/// What was decided on a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub(crate) struct DecisionView {
    /// As the call's answer had it in `x-request-id`.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String, format = "uuid")]
    request_id: RequestId,
    /// When it was decided.
    at: Moment,
    /// The group that called.
    group_id: GroupId,
    /// The prefix of its key.
    #[schema(value_type = String)]
    api_key_prefix: Arc<str>,
    /// The model that was asked for; cut short if it was no slug of its group.
    #[schema(value_type = String)]
    model: Arc<str>,
    #[serde(flatten)]
    explained: ExplainView,
}

/// Read what was decided on a call, and why.
///
/// How every limit stood at that moment, which one refused the call, and when the same call would have passed. Of a call
/// that was admitted, the numbers include the call itself. Kept are the last decisions in memory, and refusals on disk,
/// the oldest of which make room.
#[utoipa::path(
    get,
    path = "/v1/gateway/decisions/{request_id}",
    tag = "limits",
    params(("request_id" = String, Path, description = "The id in `x-request-id` of the call's answer.")),
    responses((status = 200, description = "What was decided.", body = DecisionView)),
)]
pub(crate) async fn decision_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<DecisionView>, Error> {
    let id = id.parse().map_err(|_| Error::NotFound(NOT_KEPT))?;
    let lookup = admin.store.decisions().find(id, viewer.workspace);
    let found = admin.waits.during(viewer.workspace, lookup).await?.map_err(|_| Error::Unavailable)?;
    let view = |recorded| DecisionView::of(recorded, admin.settings.budget_status);
    found.map(view).map(Answer).ok_or(Error::NotFound(NOT_KEPT))
}

impl DecisionView {
    fn of(recorded: Recorded, budget_status: u16) -> Self {
        let facts = recorded.facts.clone();
        let explained = match facts.outcome {
            DecisionOutcome::TurnedAway(why) => ExplainView::turned_away(why, facts.mode),
            DecisionOutcome::Admitted | DecisionOutcome::Refused { .. } => {
                let judged = Judged { mode: facts.mode, output_max: facts.output_max, budget_status };
                ExplainView::of(&facts.model, &facts.limits, &recorded.explanation(), judged)
            }
        };
        Self {
            request_id: facts.request_id,
            at: Moment(facts.at.wall_ms),
            group_id: facts.group,
            api_key_prefix: facts.key_prefix,
            model: facts.model,
            explained,
        }
    }
}

fn shown<S: Serializer>(id: &RequestId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
