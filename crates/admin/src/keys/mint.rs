//! `POST /v1/gateway/groups/{group_id}/api_keys`: a new key, shown once.

use std::sync::Arc;

use axum::extract::State;
use domain::edit::group::check_name;
use domain::edit::key::{KeyDraft, TAKEN};
use domain::{GroupId, Key, edit};
use serde::{Deserialize, Serialize};
use storage::random_base62;
use utoipa::ToSchema;

use super::UserId;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::groups::named;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// Every prefix of ours begins so.
pub(super) const MARK: &str = "sky_";
/// Characters of a prefix after the mark.
const PREFIX_LEN: usize = 12;
/// Characters of a secret: 190 bits.
const SECRET_LEN: usize = 32;
/// A prefix has 71 bits, so that one which is taken is bad luck, and three in a row are no luck at all.
const TRIES_MAX: usize = 3;

/// What to call the key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = KeyMint)]
pub(crate) struct MintBody {
    /// For display only.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// The end user whose calls the key makes, whatever calls say themselves; up to 256 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    user_id: Option<UserId>,
}

/// The only answer that ever holds a whole key.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyMinted)]
pub(crate) struct MintedView {
    /// The whole key. Keep it: it is never shown again.
    api_key: String,
    /// The part before the dot, by which the key is known from now on.
    prefix: Arc<str>,
    #[schema(required)]
    name: Option<Arc<str>>,
    /// The end user whose calls it makes; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<Arc<str>>,
}

/// What is said of a key beside the key itself.
#[derive(Clone)]
struct Said {
    name: Option<Arc<str>>,
    user_id: Option<Arc<str>>,
}

/// Make a key for a group.
///
/// The answer is the only one that ever holds the key. The body may be left out.
#[utoipa::path(
    post,
    path = "/v1/gateway/groups/{id}/api_keys",
    tag = "keys",
    params(("id" = String, Path, description = "The `id` of a group.")),
    request_body = ref("#/components/schemas/KeyMint"),
    responses((status = 200, description = "The new key, shown once.", body = MintedView)),
)]
pub(crate) async fn key_mint(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(group): InPath<String>,
    Received(body): Received,
) -> Result<Answer<MintedView>, Error> {
    let group = named(&admin.store.snapshot(), manager.workspace, &group)?.id;
    let MintBody { name, user_id } = if body.is_empty() { MintBody::default() } else { parse(&body)? };
    if let Some(name) = &name {
        check_name("name", name)?;
    }
    let said = Said { name: name.map(Arc::from), user_id: user_id.map(|UserId(user)| user) };
    let (key, api_key) = mint(&admin, manager, group, said).await?;
    tracing::info!(group.id = %group, key.prefix = %key.prefix, "key minted");
    let Key { prefix, name, user_id, .. } = Key::clone(&key);
    Ok(Answer(MintedView { api_key, prefix, name, user_id }))
}

async fn mint(
    admin: &Admin,
    manager: Manager,
    group: GroupId,
    said: Said,
) -> Result<(Arc<Key>, String), Error> {
    for _ in 0..TRIES_MAX {
        let prefix: Arc<str> = format!("{MARK}{}", random_base62(PREFIX_LEN)).into();
        let api_key = format!("{prefix}.{}", random_base62(SECRET_LEN));
        let hash = admin.store.vault().hash(api_key.as_bytes());
        let Said { name, user_id } = said.clone();
        let draft = KeyDraft { prefix, hash, name, user_id };
        let minted = move |cx: &edit::Context<'_>| edit::key::mint(cx, manager.workspace, group, draft);
        match admin.edit(manager.right, minted).await {
            Ok(key) => return Ok((key, api_key)),
            Err(Error::Invalid(why)) if why == TAKEN => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unavailable)
}
