//! Who is calling: from a header to the key, its group and its workspace.

use std::sync::Arc;

use domain::{Credential, Group, Key, Snapshot};
use http::{HeaderMap, header};
use storage::Vault;

use crate::error::Error;
use crate::settings::Bearer;

/// Headers that carry a bare key, in the order they are looked at, after `Authorization`.
const KEY_HEADERS: [&str; 4] = ["x-api-key", "api-key", "x-goog-api-key", "x-bf-vk"];

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) key: Arc<Key>,
    pub(crate) group: Arc<Group>,
}

/// Finds the caller by the hash of the whole key. A management key is nobody here.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    bearer: Bearer,
    vault: &Vault,
    snapshot: &Snapshot,
) -> Result<Caller, Error> {
    let presented = presented(headers, bearer).ok_or(Error::InvalidKey)?;
    let hash = vault.hash(presented);
    match snapshot.credential(&hash) {
        Some(Credential::Federated(key)) => {
            let group = snapshot.group(key.group).ok_or(Error::InvalidKey)?;
            let workspace = snapshot.workspace(group.workspace).ok_or(Error::InvalidKey)?;
            if !workspace.onboarded {
                return Err(Error::NotOnboarded);
            }
            Ok(Caller { key: Arc::clone(key), group: Arc::clone(group) })
        }
        Some(Credential::Management(_)) | None => Err(Error::InvalidKey),
    }
}

fn presented(headers: &HeaderMap, bearer: Bearer) -> Option<&[u8]> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        return from_authorization(authorization.as_bytes(), bearer);
    }
    KEY_HEADERS.iter().find_map(|name| headers.get(*name)).map(|value| value.as_bytes().trim_ascii())
}

fn from_authorization(value: &[u8], bearer: Bearer) -> Option<&[u8]> {
    let space = memchr_space(value)?;
    let (scheme, key) = value.split_at(space);
    let key = key.trim_ascii();
    let known = scheme.eq_ignore_ascii_case(b"api-key")
        || (bearer == Bearer::Accepted && scheme.eq_ignore_ascii_case(b"bearer"));
    (known && !key.is_empty()).then_some(key)
}

fn memchr_space(value: &[u8]) -> Option<usize> {
    value.iter().position(|byte| *byte == b' ')
}
