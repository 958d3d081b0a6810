//! Where a list of events goes on: what is left of its window, for the same filter in the same workspace.

use domain::WorkspaceId;
use storage::{EventFilter, EventWindow, Vault};

use crate::cursor;
use crate::error::Error;
use crate::page::BAD_CURSOR;

/// A cursor.
pub(super) fn written(
    vault: &Vault,
    workspace: WorkspaceId,
    filter: &EventFilter,
    rest: EventWindow,
) -> String {
    let place = [rest.from.to_be_bytes(), rest.until.to_be_bytes()].concat();
    asked(workspace, filter, |question| cursor::written(vault, question, &place))
}

/// What a cursor says.
///
/// # Errors
/// One that was not given out for this question.
pub(super) fn read(
    vault: &Vault,
    workspace: WorkspaceId,
    filter: &EventFilter,
    cursor: &str,
) -> Result<EventWindow, Error> {
    let place = asked(workspace, filter, |question| cursor::read(vault, question, cursor))?;
    let window = || Some((place.first_chunk()?, place.last_chunk()?));
    let (from, until) = window().ok_or(Error::invalid(BAD_CURSOR))?;
    Ok(EventWindow { from: u64::from_be_bytes(*from), until: u64::from_be_bytes(*until) })
}

/// The question, in words.
fn asked<T>(workspace: WorkspaceId, filter: &EventFilter, answer: impl FnOnce(&[&[u8]]) -> T) -> T {
    let EventFilter { key_prefixes, external_entity_ids } = filter;
    let (workspace, keys) = (workspace.0.to_be_bytes(), key_prefixes.len().to_be_bytes());
    let mut question: Vec<&[u8]> = vec![b"events", &workspace, &keys];
    question.extend(key_prefixes.iter().chain(external_entity_ids).map(String::as_bytes));
    answer(&question)
}
