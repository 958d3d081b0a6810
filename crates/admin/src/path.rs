//! Names in a path. One that is no name of ours names nothing: 404, never 400.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The variable parts of a path, decoded.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub T);

impl<T, S> FromRequestParts<S> for InPath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(_) => Err(Error::NotFound("Nothing has this name; the path is not UTF-8.")),
        }
    }
}
