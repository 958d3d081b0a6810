//! Who asks about a key: the key itself, presented as in a call.
//!
//! Guarantees: what is learnt with it is about this key alone. A key is found wherever the data plane finds it, in the
//! same order, and is asked for no oftener than a management key is.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use domain::{Credential, Group, Key, Snapshot};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::access::onboarded;
use crate::admin::Admin;
use crate::error::Error;
use crate::rate::Pair;

/// Headers that carry a bare key, in the order they are looked at, after `Authorization`.
const KEY_HEADERS: [&str; 4] = ["x-api-key", "api-key", "x-goog-api-key", "x-bf-vk"];

/// A customer's key, and the group it speaks for.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) key: Arc<Key>,
    pub(crate) group: Arc<Group>,
}

impl FromRequestParts<Arc<Admin>> for Customer {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let presented = presented(&parts.headers).ok_or(Error::UnknownCustomer)?;
        let snapshot = admin.store.snapshot();
        let customer = recognized(presented, admin, &snapshot)?;
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        admin.rate.admit(Pair::new(customer.key.hash, &parts.method, route), admin.clock.now())?;
        Ok(customer)
    }
}

/// A management key is nobody here.
fn recognized(presented: &[u8], admin: &Admin, snapshot: &Snapshot) -> Result<Customer, Error> {
    let hash = admin.store.vault().hash(presented);
    let Some(Credential::Federated(key)) = snapshot.credential(&hash) else {
        return Err(Error::UnknownCustomer);
    };
    let group = snapshot.group(key.group).ok_or(Error::UnknownCustomer)?;
    onboarded(snapshot.workspace(group.workspace).ok_or(Error::UnknownCustomer)?)?;
    Ok(Customer { key: Arc::clone(key), group: Arc::clone(group) })
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        return from_authorization(authorization.as_bytes());
    }
    KEY_HEADERS.iter().find_map(|name| headers.get(*name)).map(|value| value.as_bytes().trim_ascii())
}

fn from_authorization(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = value.split_at(space);
    let key = key.trim_ascii();
    let known = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"api-key");
    (known && !key.is_empty()).then_some(key)
}
