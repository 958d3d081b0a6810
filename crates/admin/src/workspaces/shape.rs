//! The form of workspace bodies: JSON to drafts.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Prefixes;
use domain::edit::workspace::{PREFIXES_MAX, WorkspaceDraft, WorkspacePatch};
use serde::Deserialize;

use crate::error::Error;
use crate::json::{Text, present};

/// Stands for every prefix that nobody else owns.
pub(super) const ANY_PREFIX: &str = "*";

/// The body of a create.
#[derive(Debug, Deserialize)]
pub(super) struct CreateBody {
    name: Text,
    onboarded: Option<bool>,
    org_prefixes: Option<Vec<String>>,
    ed25519_public_key: Option<String>,
}

/// The body of an update.
#[derive(Debug, Deserialize)]
pub(super) struct UpdateBody {
    name: Option<Text>,
    onboarded: Option<bool>,
    org_prefixes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    ed25519_public_key: Option<Option<String>>,
}

impl CreateBody {
    /// The workspace that the operator wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself.
    pub(super) fn draft(self) -> Result<WorkspaceDraft, Error> {
        let Self { name: Text(name), onboarded, org_prefixes, ed25519_public_key } = self;
        Ok(WorkspaceDraft {
            name,
            onboarded: onboarded.unwrap_or(true),
            org_prefixes: prefixes(org_prefixes.unwrap_or_default())?,
            ed25519_public_key: ed25519_public_key.as_deref().map(public_key).transpose()?,
        })
    }
}

impl UpdateBody {
    /// The change that the operator wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself; no change at all.
    pub(super) fn patch(self) -> Result<WorkspacePatch, Error> {
        let Self { name, onboarded, org_prefixes, ed25519_public_key } = self;
        if name.is_none() && onboarded.is_none() && org_prefixes.is_none() && ed25519_public_key.is_none() {
            return Err(Error::invalid(
                "Nothing to change; send name, onboarded, org_prefixes or ed25519_public_key.",
            ));
        }
        let key = |key: Option<String>| key.as_deref().map(public_key).transpose();
        Ok(WorkspacePatch {
            name: name.map(|Text(name)| name),
            onboarded,
            org_prefixes: org_prefixes.map(prefixes).transpose()?,
            ed25519_public_key: ed25519_public_key.map(key).transpose()?,
        })
    }
}

fn prefixes(listed: Vec<String>) -> Result<Prefixes, Error> {
    if listed == [ANY_PREFIX] {
        return Ok(Prefixes::Rest);
    }
    if listed.len() > PREFIXES_MAX {
        return Err(Error::invalid(format!("org_prefixes lists more than {PREFIXES_MAX} prefixes.")));
    }
    let read = |text: String| {
        text.parse().map_err(|_| {
            Error::invalid(format!(
                "org_prefixes: `{text}` is no prefix of a slug; use A-Z, a-z, 0-9, `.`, `_`, `~` and `-`, or `*` alone."
            ))
        })
    };
    let prefixes = listed.into_iter().map(read).collect::<Result<Arc<[_]>, _>>()?;
    Ok(Prefixes::Listed(prefixes))
}

fn public_key(text: &str) -> Result<[u8; 32], Error> {
    let bytes = STANDARD.decode(text).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Error::invalid("ed25519_public_key is not the base64 of 32 bytes; send the raw public key so.")
    })
}
