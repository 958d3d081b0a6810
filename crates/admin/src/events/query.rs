//! What is asked of the list of events.

use domain::WorkspaceId;
use storage::{EventFilter, EventSpan};

use super::cursor;
use crate::admin::Admin;
use crate::error::Error;
use crate::page::ListQuery;
use crate::time::read_moment;

/// Names that one filter may list.
const FILTER_NAMES_MAX: usize = 100;

/// A question about events.
pub(super) struct EventQuery {
    pub(super) span: EventSpan,
    pub(super) filter: EventFilter,
    pub(super) limit: u16,
    pub(super) form: Form,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Ndjson,
}

impl EventQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn of(query: &ListQuery, workspace: WorkspaceId, admin: &Admin) -> Result<Self, Error> {
        let filter = EventFilter {
            key_prefixes: query.all("api_keys", FILTER_NAMES_MAX)?,
            external_entity_ids: query.all("external_entity_ids", FILTER_NAMES_MAX)?,
        };
        let limit = u16::try_from(query.limit()?).unwrap_or(u16::MAX);
        let form = form(query)?;
        let span = match query.get("cursor")? {
            // The cursor knows the window: times beside it are not looked at.
            Some(cursor) => EventSpan::Window(cursor::read(admin.store.vault(), workspace, &filter, cursor)?),
            None => first_span(query, admin)?,
        };
        Ok(Self { span, filter, limit, form })
    }
}

fn first_span(query: &ListQuery, admin: &Admin) -> Result<EventSpan, Error> {
    let time = |name: &'static str| query.get(name)?.map(|text| read_moment(name, text)).transpose();
    match (query.get("after_sequence")?, time("start_time")?, time("end_time")?) {
        (Some(sequence), None, None) => Ok(EventSpan::After(read_sequence(sequence)?)),
        (Some(_), _, _) => {
            Err(Error::invalid("after_sequence is given with a time; give the one or the other."))
        }
        (None, None, _) => {
            Err(Error::invalid("start_time is missing; give it, or a cursor, or after_sequence."))
        }
        (None, Some(start_ms), Some(end_ms)) if end_ms < start_ms => {
            Err(Error::invalid("end_time is before start_time; exchange them."))
        }
        (None, Some(start_ms), Some(end_ms)) => Ok(EventSpan::Time { start_ms, end_ms }),
        (None, Some(start_ms), None) => {
            let holdback = u64::try_from(admin.settings.events_holdback.as_millis()).unwrap_or(u64::MAX);
            let end_ms = admin.clock.now().wall_ms.saturating_sub(holdback);
            Ok(EventSpan::Time { start_ms, end_ms })
        }
    }
}

/// A sequence is a whole number below 2^63.
fn read_sequence(text: &str) -> Result<u64, Error> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let sequence = text.parse::<i64>().ok().filter(|_| digits);
    sequence.map(i64::unsigned_abs).ok_or_else(|| {
        Error::invalid("after_sequence is not a sequence; give that of an event, or 0 for all events.")
    })
}

fn form(query: &ListQuery) -> Result<Form, Error> {
    match query.get("format")? {
        None | Some("json") => Ok(Form::Json),
        Some("csv") => Ok(Form::Csv),
        Some("ndjson") => Ok(Form::Ndjson),
        Some(_) => Err(Error::invalid("format is none of json, csv, ndjson.")),
    }
}
