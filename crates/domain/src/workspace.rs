//! A tenant of the gateway, and which slug prefixes it owns.

use std::fmt;
use std::sync::Arc;

use crate::id::{Slug, WorkspaceId};
use crate::snapshot::Version;

/// A tenant: it owns endpoints, groups, secrets and management keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Opaque, given by us.
    pub id: WorkspaceId,
    /// For people.
    pub name: Arc<str>,
    /// Whether it may manage and call. An operator says so.
    pub onboarded: bool,
    /// The slug prefixes it owns.
    pub org_prefixes: Prefixes,
    /// What registered keys are signed with (RFC 8032); none, and no key can be registered.
    pub ed25519_public_key: Option<[u8; 32]>,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
}

/// The slug prefixes that a workspace owns. A prefix has one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefixes {
    /// Every prefix that nobody else owns. The first workspace begins so, and only it can.
    Rest,
    /// These, without repetition.
    Listed(Arc<[Prefix]>),
}

impl Prefixes {
    /// The listed prefixes; none for the rest.
    #[must_use]
    pub fn listed(&self) -> &[Prefix] {
        match self {
            Self::Rest => &[],
            Self::Listed(prefixes) => prefixes,
        }
    }
}

/// The part of a slug before its slash: `A-Z a-z 0-9 . _ ~ -`, case-sensitive.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

/// The text cannot stand before the slash of a slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPrefix;

impl Prefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Prefix {
    type Err = NotAPrefix;
    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        // Whatever can be followed by a slash and one more character.
        match format!("{text}/x").parse::<Slug>() {
            Ok(_) => Ok(Self(text.into())),
            Err(_) => Err(NotAPrefix),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", self.0)
    }
}

impl std::borrow::Borrow<str> for Prefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_can_stand_before_the_slash() {
        for good in ["acme", "A.b_c~d-e", "1"] {
            assert_eq!(good.parse::<Prefix>().unwrap().as_str(), good);
        }
        for bad in ["", "*", "a/b", "a b", "é", &"p".repeat(254)] {
            assert_eq!(bad.parse::<Prefix>(), Err(NotAPrefix), "{bad}");
        }
    }
}
