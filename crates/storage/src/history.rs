//! What a group has used, hour by hour or day by day, from the sums that are kept for good.
//!
//! Guarantees: the work for one page has a bound, and steps without use cost nothing.
//! Begins at [`Store::history`].

use domain::GroupId;

use crate::embedded;
use crate::error::Unavailable;
use crate::store::Store;

/// Groups whose keys can be told apart in one answer: each is looked up in every step.
pub const HISTORY_GROUPS_MAX: usize = 200;

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An hour, UTC.
    Hour,
    /// A day, UTC.
    Day,
}

/// What is told apart within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Nothing.
    All,
    /// The slugs called.
    Slug,
    /// The keys used, by their prefixes.
    Key,
    /// Who served.
    Provider,
}

/// A question about the past. Hours are counted since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Whose use.
    pub group: GroupId,
    /// Whether everything below it is counted as well.
    pub subtree: bool,
    /// How long a step is.
    pub step: Step,
    /// What is told apart.
    pub by: UsageBy,
    /// Where to begin: the first hour of a step.
    pub from: HistoryPlace,
    /// The first hour that is not in it.
    pub until_hour: u64,
    /// Rows of one page.
    pub most: usize,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPlace {
    /// The first hour of a step.
    pub hour: u64,
    /// Within that step, behind this name; none is all of it.
    pub after: Option<String>,
}

/// What was used within a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The first hour of the step.
    pub hour: u64,
    /// The slug, key or provider; empty where nothing is told apart.
    pub name: String,
    /// What it comes to.
    pub sums: UsageSums,
}

/// Sums, each at most 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSums {
    /// Calls.
    pub requests: u64,
    /// Prompt tokens.
    pub input: u64,
    /// Completion tokens.
    pub output: u64,
    /// The part of `input` that servers had in their caches.
    pub cached: u64,
    /// What it cost.
    pub cost_nano_usd: u64,
    /// Calls that a limit refused; 0 where keys or providers are told apart.
    pub refusals: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// Rows in the order of their steps and names, and where to go on, if there is more.
    Page {
        /// There may be fewer than were asked for, and still more to come.
        rows: Vec<HistoryRow>,
        /// None where there is nothing left.
        rest: Option<HistoryPlace>,
    },
    /// More than [`HISTORY_GROUPS_MAX`] groups lie in the subtree whose keys should be told apart.
    TooManyGroups,
}

impl Step {
    /// Hours in it.
    #[must_use]
    pub fn hours(self) -> u64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }
}

impl UsageSums {
    /// The sum of both. Saturates.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            input: self.input.saturating_add(more.input),
            output: self.output.saturating_add(more.output),
            cached: self.cached.saturating_add(more.cached),
            cost_nano_usd: self.cost_nano_usd.saturating_add(more.cost_nano_usd),
            refusals: self.refusals.saturating_add(more.refusals),
        }
    }
}

impl Store {
    /// What a group used, page by page: every call that was recorded before this was asked is in it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn history(&self, query: HistoryQuery) -> Result<History, Unavailable> {
        // While the disk takes nothing, what was counted last is missing, and nothing else.
        let _ = self.write_refusals().await;
        let wide = query.by == UsageBy::Key && query.subtree;
        let _ = self.write_sums(if wide { None } else { Some(query.group) }).await;
        self.read_page(move |reader| embedded::history(reader, &query)).await
    }
}
