//! `POST /v1/workspaces/{id}/management_keys`: a new management key, shown once.

use std::sync::Arc;

use axum::extract::State;
use domain::edit::group::check_name;
use domain::edit::management_key::ManagementKeyDraft;
use domain::{ManagementKey, ManagementKeyId, Scope, edit};
use serde::{Deserialize, Serialize};
use storage::{Vault, random_base62};
use utoipa::ToSchema;

use super::ABOVE;
use crate::access::Keeper;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, Word, parse};
use crate::path::InPath;
use crate::time::Timestamp;

/// Every management key of ours begins so.
pub(crate) const MARK: &str = "mgmt_";
/// Characters of a prefix after the mark.
const PREFIX_LEN: usize = 12;
/// Characters of a secret: 190 bits.
const SECRET_LEN: usize = 32;

/// What the key shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ManagementKeyMint)]
struct MintBody {
    /// For display only.
    #[schema(max_length = 255)]
    name: Option<String>,
    #[schema(value_type = Scope)]
    scope: Word<Scope>,
}

/// The only answer that ever holds a whole key.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagementKeyMinted)]
pub(crate) struct MintedView {
    id: ManagementKeyId,
    #[schema(required)]
    name: Option<Arc<str>>,
    scope: Scope,
    prefix: Arc<str>,
    created_at: Timestamp,
    /// The whole key. Keep it: it is never shown again.
    key: String,
}

/// A new key of the system's randomness: what is kept of it, and the key itself.
#[must_use]
pub fn new_management_key(
    vault: &Vault,
    name: Option<Arc<str>>,
    scope: Scope,
) -> (ManagementKeyDraft, String) {
    let prefix = format!("{MARK}{}", random_base62(PREFIX_LEN));
    let key = format!("{prefix}.{}", random_base62(SECRET_LEN));
    (ManagementKeyDraft { prefix: prefix.into(), hash: vault.hash(key.as_bytes()), name, scope }, key)
}

/// Make a management key, not above your own.
///
/// The answer is the only one that ever holds the key.
#[utoipa::path(
    post,
    path = "/v1/workspaces/{id}/management_keys",
    tag = "management keys",
    params(("id" = String, Path, description = "The `id` of a workspace.")),
    request_body = MintBody,
    responses((status = 200, description = "The new key, shown once.", body = MintedView)),
)]
pub(crate) async fn management_key_mint(
    keeper: Keeper,
    State(admin): State<Arc<Admin>>,
    InPath(workspace): InPath<String>,
    Received(body): Received,
) -> Result<Answer<MintedView>, Error> {
    let workspace = keeper.workspace(&admin.store.snapshot(), &workspace)?.id;
    let MintBody { name, scope: Word(scope) } = parse(&body)?;
    if scope > keeper.scope {
        return Err(Error::Forbidden(ABOVE));
    }
    if let Some(name) = &name {
        check_name("name", name)?;
    }
    let (draft, key) = new_management_key(admin.store.vault(), name.map(Arc::from), scope);
    let minted = move |cx: &edit::Context<'_>| edit::management_key::mint(cx, workspace, draft);
    let minted = admin.edit(keeper.right, minted).await?;
    tracing::info!(workspace.id = %workspace, key.prefix = %minted.prefix, "management key minted");
    Ok(Answer(view(&minted, key)))
}

fn view(minted: &ManagementKey, key: String) -> MintedView {
    MintedView {
        id: minted.id,
        name: minted.name.clone(),
        scope: minted.scope,
        prefix: Arc::clone(&minted.prefix),
        created_at: Timestamp(minted.created_s),
        key,
    }
}
