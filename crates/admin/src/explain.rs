//! `POST /v1/gateway/explain`: what would become of a call if it came now. Nothing is charged.
//!
//! The same rules as on the way of a call, in the same order: may the group call the slug, is there an endpoint, do all
//! limits fit. What does not concern limits is not asked: whether the target answers, speaks the operation's dialect
//! and has its credential, and whether the ledger has room.
//! Begins at [`explain`].

mod shape;

use std::sync::Arc;

use axum::extract::State;
use domain::{Endpoint, Group, Model, Snapshot, WorkspaceId};
use limits::{Outset, Rule, Shows};
use storage::TurnedAway;

pub(crate) use self::shape::ExplainView;
use self::shape::{ExplainBody, Question, Who};
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::{ELSEWHERE, Error};
use crate::groups::named;
use crate::json::{Answer, Received, parse};
use crate::standing::at_latest;

/// Say what would become of a call.
///
/// Whether it would be admitted now, what it would hold, which limit binds, and when it would pass if nothing else were
/// charged until then. Charges nothing and changes nothing, so a key with the scope `view` may ask too.
#[utoipa::path(
    post,
    path = "/v1/gateway/explain",
    tag = "limits",
    request_body = ExplainBody,
    responses((status = 200, description = "What would become of the call. A refusal is a finding, not an error.", body = ExplainView)),
)]
pub(crate) async fn explain(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<ExplainView>, Error> {
    let question = parse::<ExplainBody>(&body)?.question()?;
    let look = |snapshot: &Snapshot| {
        let group = group_of(snapshot, viewer.workspace, &question.who)?;
        Ok(answer(&admin, snapshot, group, &question))
    };
    at_latest(&admin, look).map(Answer)
}

/// The group that would call.
///
/// # Errors
/// When there is no such key or group, or it is another workspace's.
fn group_of<'a>(snapshot: &'a Snapshot, workspace: WorkspaceId, who: &Who) -> Result<&'a Arc<Group>, Error> {
    let prefix = match who {
        Who::Group(id) => return named(snapshot, workspace, id),
        Who::Key(prefix) => prefix,
    };
    let key = snapshot.key_by_prefix(workspace, prefix);
    match key.and_then(|key| snapshot.group(key.group)) {
        Some(group) => Ok(group),
        None if snapshot.workspaces().any(|other| snapshot.key_by_prefix(other.id, prefix).is_some()) => {
            Err(Error::Forbidden(ELSEWHERE))
        }
        None => Err(Error::NotFound("No key has this prefix; list the keys of a group to see theirs.")),
    }
}

/// `None`: the tree was edited meanwhile.
fn answer(
    admin: &Admin,
    snapshot: &Snapshot,
    group: &Arc<Group>,
    question: &Question,
) -> Option<ExplainView> {
    let otherwise = admin.settings.admission;
    let Some(granted) = group.model(&question.model) else {
        return Some(ExplainView::turned_away(TurnedAway::NotAllowed, otherwise));
    };
    let Some(endpoint) = snapshot.endpoint_of(group, &granted.slug) else {
        let mode = granted.admission(None, otherwise);
        return Some(ExplainView::turned_away(TurnedAway::NoEndpoint, mode));
    };
    judged(admin, snapshot, (group, granted, endpoint), question)
}

/// What the limits say of a call that has a way. `None`: the tree was edited meanwhile.
fn judged(
    admin: &Admin,
    snapshot: &Snapshot,
    (group, granted, endpoint): (&Arc<Group>, &Model, &Endpoint),
    question: &Question,
) -> Option<ExplainView> {
    let mode = granted.admission(Some(endpoint), admin.settings.admission);
    let output_max = endpoint.target.max_output_tokens;
    let outset = Outset {
        prompt: question.prompt_tokens,
        declared: question.max_tokens,
        answers: 1,
        usual: admin.engine.outputs().p95(group.id, &granted.slug),
        output_max,
    };
    let is_seen = question.stream && endpoint.target.hidden_output != Some(true);
    let shows = if is_seen { Shows::AsWritten } else { Shows::AtTheEnd };
    let estimate = outset.estimate(Rule::new(mode, shows, admin.settings.hard_min_output));
    let now = admin.clock.now();
    let spec = admin.store.path_spec(snapshot, (group, &granted.slug), now.day());
    let explained = admin.engine.explain(&spec, estimate.need, now)?;
    Some(ExplainView::of(&spec.limits, &explained, mode, output_max))
}
