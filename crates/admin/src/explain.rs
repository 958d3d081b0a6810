//! `POST /v1/gateway/explain`: what would become of a call if it came now. Nothing is charged.
//!
//! The same rules as on the way of a call, in the same order: may the group call the slug, is there an endpoint, do all
//! limits fit. What does not concern limits is not asked: whether the target answers, speaks the operation's dialect
//! and has its credential, and whether the ledger has room.
//! Begins at [`explain`].

mod shape;

use std::sync::Arc;

use axum::extract::State;
use domain::{ConfigCaller, Endpoint, Group, Key, Model, Snapshot, Unpriced, WorkspaceId};
use limits::{Ask, Outset, PathSpec, Rule, Shows};
use storage::{PathOf, TurnedAway};

use self::shape::{ExplainBody, Question, Who};
pub(crate) use self::shape::{ExplainView, Judged};
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
        let (group, key) = caller_of(snapshot, viewer.workspace, &question.who)?;
        // What a key is bound to goes before whatever a call says.
        let bound = key.and_then(|key| key.user_id.as_deref());
        let user = bound.or(question.user.as_deref());
        let caller = ConfigCaller { group, key: key.map(|key| &*key.prefix), user };
        Ok(answer(&admin, snapshot, caller, &question))
    };
    at_latest(&admin, look).map(Answer)
}

/// The group that would call, and its key if one is named.
///
/// # Errors
/// When there is no such key or group, or it is another workspace's.
fn caller_of<'a>(
    snapshot: &'a Snapshot,
    workspace: WorkspaceId,
    who: &Who,
) -> Result<(&'a Arc<Group>, Option<&'a Arc<Key>>), Error> {
    let prefix = match who {
        Who::Group(id) => return named(snapshot, workspace, id).map(|group| (group, None)),
        Who::Key(prefix) => prefix,
    };
    let key = snapshot.key_by_prefix(workspace, prefix);
    match key.and_then(|key| snapshot.group(key.group)) {
        Some(group) => Ok((group, key)),
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
    caller: ConfigCaller<'_>,
    question: &Question,
) -> Option<ExplainView> {
    let (group, otherwise) = (caller.group, admin.settings.admission);
    let Some(granted) = group.model(&question.model) else {
        return Some(ExplainView::turned_away(TurnedAway::NotAllowed, otherwise));
    };
    let Some(endpoint) = snapshot.endpoint_of(group, &granted.slug) else {
        let mode = granted.admission(None, otherwise);
        return Some(ExplainView::turned_away(TurnedAway::NoEndpoint, mode));
    };
    if admin.settings.user_required && caller.user.is_none() {
        let mode = granted.admission(Some(endpoint), otherwise);
        return Some(ExplainView::turned_away(TurnedAway::NoUser, mode));
    }
    judged(admin, snapshot, (caller, granted, endpoint), question)
}

/// What the limits say of a call that has a way. `None`: the tree was edited meanwhile.
fn judged(
    admin: &Admin,
    snapshot: &Snapshot,
    (caller, granted, endpoint): (ConfigCaller<'_>, &Model, &Endpoint),
    question: &Question,
) -> Option<ExplainView> {
    let mode = granted.admission(Some(endpoint), admin.settings.admission);
    let output_max = endpoint.target.max_output_tokens;
    let outset = Outset {
        prompt: question.prompt_tokens,
        declared: question.max_tokens,
        answers: 1,
        usual: admin.engine.outputs().p95(caller.group.id, &granted.slug),
        output_max,
    };
    let is_seen = question.stream && endpoint.target.hidden_output != Some(true);
    let shows = if is_seen { Shows::AsWritten } else { Shows::AtTheEnd };
    let estimate = outset.estimate(Rule::new(mode, shows, admin.settings.hard_min_output));
    let now = admin.clock.now();
    let call = PathOf { caller, slug: &granted.slug, endpoint: Some(endpoint) };
    let spec = admin.store.path_spec(snapshot, call, now);
    let price = snapshot.price_of(endpoint);
    if price.is_none() && limits_usd(&spec) && admin.settings.unpriced == Unpriced::Refused {
        return Some(ExplainView::turned_away(TurnedAway::Unpriced, mode));
    }
    let tariff = price.map(|price| price.tariff(outset.prompt)).unwrap_or_default();
    let explained = admin.engine.explain(&spec, Ask { need: estimate.need, tariff }, now)?;
    let limits: Vec<_> = spec.limits.into_iter().chain(spec.shared).collect();
    let judged = Judged { mode, output_max, budget_status: admin.settings.budget_status };
    Some(ExplainView::of(granted.slug.as_str(), &limits, &explained, judged))
}

fn limits_usd(spec: &PathSpec) -> bool {
    spec.all_limits().any(|limit| limit.counter.measure.counts_usd())
}
