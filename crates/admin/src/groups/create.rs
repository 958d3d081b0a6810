//! `POST /v1/gateway/groups`

use std::sync::Arc;

use axum::extract::State;
use domain::edit;

use super::shape::CreateBody;
use super::{GroupView, warn};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};

/// Create a group.
#[utoipa::path(
    post,
    path = "/v1/gateway/groups",
    tag = "groups",
    request_body = CreateBody,
    responses((status = 200, description = "The group as it now stands.", body = GroupView)),
)]
pub(crate) async fn group_create(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    Received(body): Received,
) -> Result<Answer<GroupView>, Error> {
    let draft = parse::<CreateBody>(&body)?.draft(manager.workspace, &admin.settings)?;
    let created = move |cx: &edit::Context<'_>| {
        let (change, group) = edit::group::create(cx, draft)?;
        // Rendered from the very configuration this edit makes, whatever the next edit does.
        let snapshot = cx.snapshot.apply(&change);
        Ok((change, (snapshot, group)))
    };
    let (snapshot, group) = admin.edit(manager.right, created).await?;
    tracing::info!(group.id = %group.id, "group created");
    warn(&snapshot, &group, &admin.settings);
    Ok(Answer(GroupView::of(&snapshot, &group)))
}
