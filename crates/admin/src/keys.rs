//! Keys: `/v1/gateway/groups/{group_id}/api_keys`. Prefix, name and user are all that can ever be read of one.

mod entropy;
mod import;
pub(crate) mod mint;
pub(crate) mod register;

use std::sync::Arc;

use axum::extract::State;
use domain::{Group, Key, Snapshot, USER_LEN_MAX, edit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::import::KeyLine;
use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::groups::named;
use crate::json::Answer;
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;

/// What can be read of a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyView {
    prefix: Arc<str>,
    #[schema(required)]
    name: Option<Arc<str>>,
    /// The end user whose calls it makes; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<Arc<str>>,
}

/// The end user whose calls a key makes, as your own systems know them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct UserId(Arc<str>);

/// A key that works no more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyRevoked)]
pub(crate) struct RevokedView {
    prefix: Arc<str>,
}

impl KeyView {
    fn of(key: &Key) -> Self {
        Self { prefix: Arc::clone(&key.prefix), name: key.name.clone(), user_id: key.user_id.clone() }
    }
}

impl TryFrom<String> for UserId {
    type Error = String;
    fn try_from(user: String) -> Result<Self, String> {
        if !(1..=USER_LEN_MAX).contains(&user.len()) || user.chars().any(char::is_control) {
            return Err(format!("expected text of 1 to {USER_LEN_MAX} bytes without control characters"));
        }
        Ok(Self(user.into()))
    }
}

/// List the keys of a group, oldest first.
#[utoipa::path(
    get,
    path = "/v1/gateway/groups/{id}/api_keys",
    tag = "keys",
    params(
        ("id" = String, Path, description = "The `id` of a group."),
        ListQuery,
    ),
    responses((status = 200, description = "A page of keys.", body = Page<KeyView>)),
)]
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

/// Read a key's prefix, name and user.
#[utoipa::path(
    get,
    path = "/v1/gateway/groups/{id}/api_keys/{prefix}",
    tag = "keys",
    params(
        ("id" = String, Path, description = "The `id` of a group."),
        ("prefix" = String, Path, description = "The `prefix` of a key."),
    ),
    responses((status = 200, description = "What can be read of the key.", body = KeyView)),
)]
pub(crate) async fn key_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath((group, prefix)): InPath<(String, String)>,
) -> Result<Answer<KeyView>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, viewer.workspace, &group)?;
    Ok(Answer(KeyView::of(key_of(&snapshot, group, &prefix)?)))
}

/// Revoke a key.
///
/// It is refused from the next call on, and can never be registered again.
#[utoipa::path(
    delete,
    path = "/v1/gateway/groups/{id}/api_keys/{prefix}",
    tag = "keys",
    params(
        ("id" = String, Path, description = "The `id` of a group."),
        ("prefix" = String, Path, description = "The `prefix` of a key."),
    ),
    responses((status = 200, description = "The key is gone.", body = RevokedView)),
)]
pub(crate) async fn key_revoke(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath((group, prefix)): InPath<(String, String)>,
) -> Result<Answer<RevokedView>, Error> {
    let group = named(&admin.store.snapshot(), manager.workspace, &group)?.id;
    let revoked = move |cx: &edit::Context<'_>| edit::key::revoke(cx, manager.workspace, group, &prefix);
    let key = admin.edit(manager.right, revoked).await?;
    tracing::info!(group.id = %group, key.prefix = %key.prefix, "key revoked");
    Ok(Answer(RevokedView { prefix: Arc::clone(&key.prefix) }))
}

fn key_of<'a>(snapshot: &'a Snapshot, group: &Group, prefix: &str) -> Result<&'a Arc<Key>, Error> {
    let key = snapshot.key_by_prefix(group.workspace, prefix).filter(|key| key.group == group.id);
    key.ok_or(Error::NotFound("No key of this group has this prefix; list its keys to see them."))
}
