//! Keys: `/v1/gateway/groups/{group_id}/api_keys`. Prefix and name are all that can ever be read of one.

mod entropy;
pub(crate) mod mint;
pub(crate) mod register;

use std::sync::Arc;

use axum::extract::State;
use domain::{Group, GroupId, Key, Snapshot, WorkspaceId, edit};
use serde::Serialize;

use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::groups::named;
use crate::json::Answer;
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;

#[derive(Debug, Serialize)]
pub(crate) struct KeyView {
    prefix: Arc<str>,
    name: Option<Arc<str>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RevokedView {
    prefix: Arc<str>,
}

impl KeyView {
    fn of(key: &Key) -> Self {
        Self { prefix: Arc::clone(&key.prefix), name: key.name.clone() }
    }
}

pub(crate) async fn key_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(group): InPath<String>,
    query: ListQuery,
) -> Result<Answer<Page<KeyView>>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, viewer.workspace, &group)?;
    let keys = snapshot.keys_after(group.id, query.after(Kind::Key)?);
    let serial = |key: &&Arc<Key>| key.serial.0.to_string();
    Ok(Answer(Page::cut(Kind::Key, query.limit()?, keys, serial, |key| KeyView::of(key))))
}

pub(crate) async fn key_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath((group, prefix)): InPath<(String, String)>,
) -> Result<Answer<KeyView>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, viewer.workspace, &group)?;
    Ok(Answer(KeyView::of(key_of(&snapshot, group, &prefix)?)))
}

pub(crate) async fn key_revoke(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath((group, prefix)): InPath<(String, String)>,
) -> Result<Answer<RevokedView>, Error> {
    let group = named(&admin.store.snapshot(), manager.workspace, &group)?.id;
    let key = revoke(&admin, manager.workspace, group, prefix).await?;
    tracing::info!(group.id = %group, key.prefix = %key.prefix, "key revoked");
    Ok(Answer(RevokedView { prefix: Arc::clone(&key.prefix) }))
}

async fn revoke(
    admin: &Admin,
    workspace: WorkspaceId,
    group: GroupId,
    prefix: String,
) -> Result<Arc<Key>, Error> {
    let revoked = move |cx: &edit::Context<'_>| edit::key::revoke(cx, workspace, group, &prefix);
    Ok(admin.store.edit(admin.clock.now(), revoked).await?)
}

fn key_of<'a>(snapshot: &'a Snapshot, group: &Group, prefix: &str) -> Result<&'a Arc<Key>, Error> {
    let key = snapshot.key_by_prefix(group.workspace, prefix).filter(|key| key.group == group.id);
    key.ok_or(Error::NotFound("No key of this group has this prefix; list its keys to see them."))
}
