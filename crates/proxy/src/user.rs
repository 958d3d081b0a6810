//! For which end user a call is made: what its key is bound to, or else what the call says.

use std::sync::Arc;

use domain::USER_LEN_MAX;
use http::HeaderMap;
use wire::Call;

use crate::authenticate::Caller;
use crate::settings::{DeclaredUsers, Settings};

/// The header in which a call may name its end user.
const HEADER: &str = "x-user-id";

/// The end user of a call; none if nobody says, or nobody who is trusted to.
pub(crate) fn user_of(
    settings: &Settings,
    caller: &Caller,
    headers: &HeaderMap,
    call: &Call<'_>,
) -> Option<Arc<str>> {
    let declared = || match settings.declared_users {
        DeclaredUsers::Trusted => in_header(headers).or(call.user()).map(Arc::from),
        DeclaredUsers::Ignored => None,
    };
    caller.key.user_id.clone().or_else(declared)
}

fn in_header(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(HEADER)?.to_str().ok()?.trim();
    (1..=USER_LEN_MAX).contains(&text.len()).then_some(text)
}
