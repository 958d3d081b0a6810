//! `POST /v1/gateway/groups/{group_id}/api_keys/register`: a key that the client made, vouched for by a signature.
//!
//! Checked in this order: the group, the form of the body, the workspace's public key, the signature over the exact
//! bytes, the key's own rules, and whether it is taken.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::SecretValue;
use domain::edit;
use domain::edit::group::check_name;
use domain::edit::key::KeyDraft;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use storage::Vault;
use utoipa::ToSchema;

use super::UserId;
use super::entropy::{CHARACTERS_MAX, has_three_bits};
use super::mint::MARK;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::groups::named;
use crate::json::{Answer, Hidden, Received, parse};
use crate::management_keys;
use crate::path::InPath;

const SIGNATURE_HEADER: &str = "x-baseten-signature";

const UNCONFIGURED: &str = "Must configure a public key before registering API keys";
const UNVERIFIED: &str = "Signature verification failed";

/// Fewest characters of a key.
const CHARACTERS_MIN: usize = 32;
/// Characters of a key that may be shown.
const PREFIX_LEN: usize = 16;

/// A key that you made.
#[derive(Deserialize, ToSchema)]
#[schema(as = KeyRegister)]
struct RegisterBody {
    /// At least 3 bits of entropy a character; its first 16 characters are its prefix, which may be shown.
    #[schema(value_type = String, write_only, min_length = 32, max_length = 128)]
    key: Hidden,
    /// For display only.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// The end user whose calls the key makes, whatever calls say themselves; up to 256 bytes.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    user_id: Option<UserId>,
}

/// The key itself is never echoed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyRegistered)]
pub(crate) struct RegisteredView {
    ok: bool,
}

/// Register a key that you made yourself.
///
/// The key is never shown again, not even here.
#[utoipa::path(
    post,
    path = "/v1/gateway/groups/{id}/api_keys/register",
    tag = "keys",
    params(
        ("id" = String, Path, description = "The `id` of a group."),
        ("x-baseten-signature" = String, Header, description = "Base64 of the Ed25519 signature over the exact bytes of the body, made with the private key of the workspace's `ed25519_public_key`."),
    ),
    request_body = RegisterBody,
    responses((status = 200, description = "The key works.", body = RegisteredView)),
)]
pub(crate) async fn key_register(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(group): InPath<String>,
    headers: HeaderMap,
    Received(body): Received,
) -> Result<Answer<RegisteredView>, Error> {
    let snapshot = admin.store.snapshot();
    let group = named(&snapshot, manager.workspace, &group)?.id;
    let RegisterBody { key: Hidden(key), name, user_id } = parse(&body)?;
    let home = snapshot.workspace(manager.workspace);
    let public_key = home.and_then(|home| home.ed25519_public_key).ok_or(Error::invalid(UNCONFIGURED))?;
    check_signature(&public_key, &headers, &body)?;
    let draft = draft(&key, name, user_id, admin.store.vault())?;
    let registered = move |cx: &edit::Context<'_>| edit::key::mint(cx, manager.workspace, group, draft);
    let key = admin.edit(manager.right, registered).await?;
    tracing::info!(group.id = %group, key.prefix = %key.prefix, "key registered");
    Ok(Answer(RegisteredView { ok: true }))
}

/// A key that the client made, as it is kept.
///
/// # Errors
/// The first rule that the key or its name breaks.
pub(super) fn draft(
    key: &SecretValue,
    name: Option<String>,
    user_id: Option<UserId>,
    vault: &Vault,
) -> Result<KeyDraft, Error> {
    check_key(key)?;
    if let Some(name) = &name {
        check_name("name", name)?;
    }
    Ok(KeyDraft {
        prefix: key.expose().chars().take(PREFIX_LEN).collect::<String>().into(),
        hash: vault.hash(key.expose().as_bytes()),
        name: name.map(Arc::from),
        user_id: user_id.map(|UserId(user)| user),
    })
}

fn check_signature(public_key: &[u8; 32], headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let mut given = headers.get_all(SIGNATURE_HEADER).iter();
    let signature = match (given.next(), given.next()) {
        (Some(signature), None) => STANDARD.decode(signature).ok(),
        _ => None,
    };
    match signature.is_some_and(|signature| storage::is_signed_by(public_key, body, &signature)) {
        true => Ok(()),
        false => Err(Error::invalid(UNVERIFIED)),
    }
}

fn check_key(key: &SecretValue) -> Result<(), Error> {
    let key = key.expose();
    if !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&key.chars().count()) {
        return Err(Error::invalid(format!(
            "key has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters; make such a key."
        )));
    }
    if key.starts_with(MARK) || key.starts_with(management_keys::mint::MARK) {
        return Err(Error::invalid("key begins like a key of the gateway's own; make another."));
    }
    if key.chars().any(char::is_control) || key.trim() != key {
        return Err(Error::invalid("key has characters that no header can carry; make it of visible ones."));
    }
    if !has_three_bits(key) {
        return Err(Error::invalid(
            "key has less than 3 bits of entropy a character; make a more random one.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::published;

    #[test]
    fn the_published_bounds_are_those_that_are_kept() {
        assert_eq!(published("KeyRegister", "key", "minLength"), CHARACTERS_MIN);
        assert_eq!(published("KeyRegister", "key", "maxLength"), CHARACTERS_MAX);
    }
}
