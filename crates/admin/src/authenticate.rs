//! Who asks: an operator's key, and nothing else.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use domain::{Credential, Scope, WorkspaceId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::admin::Admin;
use crate::error::Error;

/// Evidence that the request carries an operator's key. Handlers ask for it before anything else is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    /// Where the key acts.
    pub workspace: WorkspaceId,
}

impl FromRequestParts<Arc<Admin>> for Operator {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Error> {
        let credential = credential(&parts.headers).ok_or(Error::Unauthorized)?;
        let hash = admin.store.vault().hash(credential);
        match admin.store.snapshot().credential(&hash) {
            None => Err(Error::Unauthorized),
            Some(Credential::Federated(_)) => Err(Error::Forbidden),
            Some(Credential::Management(key)) => match key.scope {
                Scope::Operator => Ok(Self { workspace: key.workspace }),
            },
        }
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
