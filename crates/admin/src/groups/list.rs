//! `GET /v1/gateway/groups` and `GET /v1/gateway/groups/{group_id}`

use std::sync::Arc;

use axum::extract::State;
use domain::Group;

use super::{GroupView, named};
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;

pub(crate) async fn group_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<GroupView>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, viewer.workspace, &id)?;
    Ok(Answer(GroupView::of(&snapshot, group)))
}

pub(crate) async fn group_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<GroupView>>, Error> {
    let (limit, after) = (query.limit()?, query.after(Kind::Group)?);
    let snapshot = admin.store.snapshot();
    let page = |groups: &mut dyn Iterator<Item = &Arc<Group>>| {
        let serial = |group: &&Arc<Group>| group.serial.0.to_string();
        Page::cut(Kind::Group, limit, groups, serial, |group| GroupView::of(&snapshot, group))
    };
    let page = match query.get("external_entity_id")? {
        Some(external) => {
            let found = snapshot.group_by_external_id(viewer.workspace, external);
            page(&mut found.into_iter().filter(|group| group.serial > after))
        }
        None => page(&mut snapshot.groups_after(viewer.workspace, after)),
    };
    Ok(Answer(page))
}
