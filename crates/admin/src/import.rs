//! One line of an import: `{"group": …}` or `{"key": …}`, with the members that the same object has over HTTP.
//!
//! Guarantees: a line is held to the very rules of the bodies that create a group and register a key; no error repeats a
//! key.
//! Knows nothing of: files, and what is in the store. Begins at [`read_addition`].

use domain::edit::addition::Addition;
use serde::Deserialize;
use storage::Vault;

use crate::admin::Settings;
use crate::error::Error;
use crate::groups::GroupLine;
use crate::json::{Object, parse_as};
use crate::keys::KeyLine;

/// One of the two.
#[derive(Deserialize)]
struct Line {
    group: Option<Object<GroupLine>>,
    key: Option<Object<KeyLine>>,
}

/// Reads one line.
///
/// # Errors
/// The first rule that the line breaks by itself.
pub fn read_addition(line: &[u8], settings: &Settings, vault: &Vault) -> Result<Addition, Error> {
    match parse_as("The line", line)? {
        Line { group: Some(Object(group)), key: None } => group.addition(settings).map(Addition::Group),
        Line { group: None, key: Some(Object(key)) } => key.addition(vault).map(Addition::Key),
        Line { group: None, key: None } | Line { group: Some(_), key: Some(_) } => {
            Err(Error::invalid("A line has one member, `group` or `key`; make it so."))
        }
    }
}
