//! Who asks: a management key, and nothing else; and whether it asks too often.

use std::sync::Arc;

use axum::extract::MatchedPath;
use domain::{Credential, ManagementKey, Snapshot};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use storage::Store;

use crate::admin::Admin;
use crate::error::Error;
use crate::rate::Pair;

/// The management key of a request, and the configuration in which it is one. Nothing else has been read yet.
///
/// # Errors
/// No credential, or not one of ours; a customer's key; one request too many on this route.
pub(crate) fn authenticate(
    parts: &Parts,
    admin: &Admin,
) -> Result<(Arc<ManagementKey>, Arc<Snapshot>), Error> {
    let (key, snapshot) = recognized(&parts.headers, admin)?;
    let now = admin.clock.now();
    admin.store.note_used(&key.hash, now);
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    admin.rate.admit(Pair::new(key.hash, &parts.method, route), now)?;
    Ok((key, snapshot))
}

/// The management key of a request, whatever it may do and however often it asks.
///
/// # Errors
/// No credential, or not one of ours; a customer's key.
pub(crate) fn recognized(
    headers: &HeaderMap,
    admin: &Admin,
) -> Result<(Arc<ManagementKey>, Arc<Snapshot>), Error> {
    known(headers, &admin.store)
}

/// The same, of a store alone.
///
/// # Errors
/// No credential, or not one of ours; a customer's key.
pub(crate) fn known(
    headers: &HeaderMap,
    store: &Store,
) -> Result<(Arc<ManagementKey>, Arc<Snapshot>), Error> {
    let hash = store.vault().hash(credential(headers).ok_or(Error::Unauthorized)?);
    let snapshot = store.snapshot();
    match snapshot.credential(&hash) {
        None => Err(Error::Unauthorized),
        Some(Credential::Federated(_)) => Err(Error::CustomersKey),
        Some(Credential::Management(key)) => Ok((Arc::clone(key), Arc::clone(&snapshot))),
    }
}

/// The key in `Authorization: Api-Key K` or `Authorization: Bearer K`. Two such headers are none: we would have to
/// guess which one counts.
fn credential(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (given.next()?.as_bytes(), given.next()) else { return None };
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = value.split_at(space);
    let known = scheme.eq_ignore_ascii_case(b"api-key") || scheme.eq_ignore_ascii_case(b"bearer");
    let key = key.trim_ascii();
    (known && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn both_schemes_are_read_in_any_case() {
        for value in ["Api-Key k.1", "api-key k.1", "Bearer k.1", "BEARER  k.1"] {
            assert_eq!(credential(&headers(&[value])), Some(&b"k.1"[..]), "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_credential() {
        for values in
            [&[][..], &["k.1"], &["Basic k.1"], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer a"]]
        {
            assert_eq!(credential(&headers(values)), None, "{values:?}");
        }
    }
}
