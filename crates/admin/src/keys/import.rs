//! A key as a line of an import: the caller's own, under the rules of registered ones.

use domain::edit::addition::KeyAddition;
use serde::Deserialize;
use storage::Vault;

use super::{UserId, register};
use crate::error::Error;
use crate::json::{Hidden, Text};

/// A key that exists elsewhere already. It holds the whole key, so it has no `Debug`.
#[derive(Deserialize)]
pub(crate) struct KeyLine {
    /// The group that it speaks for.
    external_entity_id: Text,
    key: Hidden,
    name: Option<String>,
    user_id: Option<UserId>,
}

impl KeyLine {
    /// The key that the line wants, hashed.
    ///
    /// # Errors
    /// The first rule that the line breaks by itself.
    pub(crate) fn addition(self, vault: &Vault) -> Result<KeyAddition, Error> {
        let Self { external_entity_id: Text(external_entity_id), key: Hidden(key), name, user_id } = self;
        Ok(KeyAddition { external_entity_id, draft: register::draft(&key, name, user_id, vault)? })
    }
}
