//! File descriptors: every connection is one, and so is the one that its call needs upstream. Shells and service managers
//! hand out 1024 unless they are asked, which a crowd of idle connections would use up for everybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Besides connections: listeners, the store, the log.
const OTHERS: u64 = 64;

/// Takes as many as the machine allows, and says so where that is fewer than `connections_max` may need.
pub(super) fn take(connections_max: usize) {
    let allowed = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OTHERS);
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "fewer files may be open than server.max_connections can need; raise the limit (ulimit -n) or lower the setting"
        );
    }
}
