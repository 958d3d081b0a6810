//! What is asked of the past, and how its cursors remember that.

use domain::GroupId;
use serde::Serialize;
use storage::{HistoryPlace, HistoryQuery, Step, UsageBy, Vault};
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::cursor;
use crate::error::Error;
use crate::page::{BAD_CURSOR, ListQuery};
use crate::time::read_moment;

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageStep)]
#[serde(rename_all = "lowercase")]
pub(super) enum StepView {
    Hour,
    Day,
}

/// A question about the past. Hours are counted since 1970 UTC.
pub(super) struct Asked {
    group: GroupId,
    subtree: bool,
    pub(super) step: Step,
    pub(super) by: UsageBy,
    pub(super) from_hour: u64,
    pub(super) until_hour: u64,
    at: HistoryPlace,
    limit: usize,
}

impl StepView {
    pub(super) fn of(step: Step) -> Self {
        match step {
            Step::Hour => Self::Hour,
            Step::Day => Self::Day,
        }
    }
}

impl Asked {
    /// Reads a query.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn of(query: &ListQuery, group: GroupId, admin: &Admin) -> Result<Self, Error> {
        let step = match query.get("step")? {
            None | Some("day") => Step::Day,
            Some("hour") => Step::Hour,
            Some(_) => return Err(Error::invalid("step is neither hour nor day.")),
        };
        let by = match query.get("by")? {
            None => UsageBy::All,
            Some("slug") => UsageBy::Slug,
            Some("key") => UsageBy::Key,
            Some("provider") => UsageBy::Provider,
            Some(_) => return Err(Error::invalid("by is none of slug, key, provider.")),
        };
        let subtree = match query.get("subtree")? {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Error::invalid("subtree is neither true nor false.")),
        };
        let place = HistoryPlace { hour: 0, after: None };
        let (limit, (from_hour, until_hour)) = (query.limit()?, (0, 0));
        let asked = Self { group, subtree, step, by, from_hour, until_hour, at: place, limit };
        match query.get("cursor")? {
            Some(cursor) => asked.on_from(admin.store.vault(), cursor),
            None => asked.between(query, admin.clock.now().wall_ms),
        }
    }

    /// The first page.
    fn between(self, query: &ListQuery, now_ms: u64) -> Result<Self, Error> {
        let time = |name: &'static str| query.get(name)?.map(|text| read_moment(name, text)).transpose();
        let missing = || Error::invalid("from is missing; give it, or a cursor.");
        let (from, to) = (time("from")?.ok_or_else(missing)?, time("to")?);
        if to.is_some_and(|to| to < from) {
            return Err(Error::invalid("to is before from; exchange them."));
        }
        let length = self.step.hours();
        let cut = |ms: u64| ms / HOUR_MS - ms / HOUR_MS % length;
        let from_hour = cut(from);
        let until_hour = to.map_or_else(|| cut(now_ms).saturating_add(length), cut);
        let at = HistoryPlace { hour: from_hour, after: None };
        Ok(Self { from_hour, until_hour, at, ..self })
    }

    /// A further page.
    fn on_from(self, vault: &Vault, cursor: &str) -> Result<Self, Error> {
        let place = self.asked(|question| cursor::read(vault, question, cursor))?;
        let (from_hour, until_hour, at) = read_place(&place).ok_or(Error::invalid(BAD_CURSOR))?;
        Ok(Self { from_hour, until_hour, at, ..self })
    }

    /// The same question to the store.
    pub(super) fn question(&self) -> HistoryQuery {
        let Self { group, subtree, step, by, until_hour, at, limit, .. } = self;
        HistoryQuery {
            group: *group,
            subtree: *subtree,
            step: *step,
            by: *by,
            from: at.clone(),
            until_hour: *until_hour,
            most: *limit,
        }
    }

    /// The cursor of the page that begins here.
    pub(super) fn cursor(&self, vault: &Vault, at: &HistoryPlace) -> String {
        let mut place = [self.from_hour, self.until_hour, at.hour].map(u64::to_be_bytes).concat();
        if let Some(after) = &at.after {
            place.push(b'>');
            place.extend(after.as_bytes());
        }
        self.asked(|question| cursor::written(vault, question, &place))
    }

    fn asked<T>(&self, answer: impl FnOnce(&[&[u8]]) -> T) -> T {
        let what = format!("{:?} {:?} {}", self.step, self.by, self.subtree);
        answer(&[b"history", &self.group.0.to_be_bytes(), what.as_bytes()])
    }
}

fn read_place(place: &[u8]) -> Option<(u64, u64, HistoryPlace)> {
    let (from, rest) = place.split_first_chunk()?;
    let (until, rest) = rest.split_first_chunk()?;
    let (hour, rest) = rest.split_first_chunk()?;
    let after = match rest {
        [] => None,
        [_, name @ ..] => Some(String::from_utf8(name.to_vec()).ok()?),
    };
    let [from, until, hour] = [from, until, hour].map(|number| u64::from_be_bytes(*number));
    Some((from, until, HistoryPlace { hour, after }))
}
