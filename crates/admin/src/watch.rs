//! Who may watch the gateway: its numbers are gateway-wide and name no tenant, so any key that may read will do.
//!
//! Scrapes come by the clock and often in pairs, so they do not count against the rate of their key.
//! Begins at [`may_watch`].

use domain::{Now, Scope};
use http::HeaderMap;
use storage::Store;

use crate::access::{home_of, require};
use crate::authenticate::known;
use crate::error::Error;

/// Whether a request's management key lets its sender read the gateway's numbers.
///
/// # Errors
/// No management key, one that may do nothing, or one of a workspace that is not onboarded.
pub fn may_watch(store: &Store, headers: &HeaderMap, now: Now) -> Result<(), Error> {
    let (key, snapshot) = known(headers, store)?;
    store.note_used(&key.hash, now);
    require(&key, Scope::View)?;
    home_of(&key, &snapshot)?;
    Ok(())
}
