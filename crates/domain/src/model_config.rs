//! A model config: what may be spent on a model, from a provider, within a scope.
//!
//! A config has *lines*: its budgets and the two sides of its rate limits. Each line is one limit, with its own counter.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ConfigId, GroupId, LineId, WorkspaceId};
use crate::money::Usd;
use crate::period::{Cycle, ResetDuration};
use crate::snapshot::Version;
use crate::usage::UnknownWord;

/// The model name that stands for all of them.
pub const ANY_MODEL: &str = "*";

/// What a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meter {
    /// Client calls, one each.
    Requests,
    /// Prompt plus completion tokens.
    Tokens,
    /// Nano-dollars.
    Usd,
}

/// Whose calls a config is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConfigScope {
    /// Every call in the workspace.
    Global,
    /// Those by the key with this prefix.
    VirtualKey(Arc<str>),
    /// Those made for this end user.
    User(Arc<str>),
    /// Those by this group and every group below it, out of one pool.
    Group(GroupId),
}

/// What a config is about: in a workspace there is one of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigIdentity {
    /// Whose calls.
    pub scope: ConfigScope,
    /// A slug, a model's name at its provider, or [`ANY_MODEL`].
    pub model_name: Arc<str>,
    /// Who serves it; none for all providers.
    pub provider: Option<Arc<str>>,
}

/// A model config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Given by us.
    pub id: ConfigId,
    /// The tenant whose calls it is about.
    pub workspace: WorkspaceId,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// What it is about.
    pub identity: ConfigIdentity,
    /// Whether whole days, weeks, months and years follow the calendar in UTC.
    pub calendar_aligned: bool,
    /// Ceilings in USD.
    pub budgets: Vec<Budget>,
    /// Ceilings on requests and tokens.
    pub rate_limits: RateLimits,
    /// Milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// Milliseconds since 1970 UTC, of the last edit.
    pub updated_ms: u64,
}

/// A ceiling in USD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Given by us.
    pub id: LineId,
    /// The most that may be spent in a period.
    pub max: Usd,
    /// How long a period is.
    pub reset: ResetDuration,
    /// Where its lattice is anchored, in milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// Milliseconds since 1970 UTC.
    pub updated_ms: u64,
}

/// Ceilings on requests and tokens, in one of two published shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum RateLimits {
    /// There are none.
    #[default]
    None,
    /// One object with a side for each.
    Pair(RateLimit),
    /// A list of rules, each with one side.
    Rules(Vec<RateLimit>),
}

/// A rate limit. At least one side is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Given by us.
    pub id: LineId,
    /// On tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Rate>,
    /// On requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Rate>,
    /// Where its lattices are anchored, in milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// Milliseconds since 1970 UTC.
    pub updated_ms: u64,
}

/// One side of a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The most in a period.
    pub max: u64,
    /// How long a period is.
    pub reset: ResetDuration,
}

/// One limit of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The budget or rate limit it belongs to. A rate limit has up to two lines, told apart by what they count.
    pub id: LineId,
    /// What it counts.
    pub meter: Meter,
    /// The most in a period, in what it counts.
    pub max: u64,
    /// How long a period is, as it was written.
    pub reset: &'a ResetDuration,
    /// Where its periods begin.
    pub cycle: Cycle,
}

impl Meter {
    /// The type of such a limit, as refusals name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "REQUEST",
            Self::Tokens => "TOKEN",
            Self::Usd => "USD",
        }
    }
}

impl Meter {
    /// Everything that lines count.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Usd];

    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Usd => "usd",
        }
    }
}

impl FromStr for Meter {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|meter| meter.word() == word).ok_or(UnknownWord)
    }
}

impl ConfigScope {
    /// The published word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::VirtualKey(_) => "virtual_key",
            Self::User(_) => "user",
            Self::Group(_) => "group",
        }
    }

    /// Whose, within the scope; none where it is everybody.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        match self {
            Self::Global => None,
            Self::VirtualKey(id) | Self::User(id) => Some(Arc::clone(id)),
            Self::Group(id) => Some(id.to_string().into()),
        }
    }
}

impl ConfigIdentity {
    /// What a provider's own limits are about: everybody's calls to any model of it.
    #[must_use]
    pub fn of_provider(provider: Arc<str>) -> Self {
        Self { scope: ConfigScope::Global, model_name: ANY_MODEL.into(), provider: Some(provider) }
    }
}

impl RateLimits {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &RateLimit> {
        let all = match self {
            Self::None => &[],
            Self::Pair(pair) => std::slice::from_ref(pair),
            Self::Rules(rules) => rules,
        };
        all.iter()
    }
}

impl ModelConfig {
    /// Its limits: rate limits first, then budgets, each in the order they were written.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let sides = [Meter::Requests, Meter::Tokens];
        let rates = self.rate_limits.iter().flat_map(move |limit| sides.map(|meter| (limit, meter)));
        let rates = rates.filter_map(|(limit, meter)| {
            let Rate { max, reset } = limit.side(meter)?;
            let cycle = self.cycle(reset, limit.created_ms);
            Some(Line { id: limit.id, meter, max: *max, reset, cycle })
        });
        let budgets = self.budgets.iter().map(|budget| {
            let Budget { id, max, reset, created_ms, .. } = budget;
            let cycle = self.cycle(reset, *created_ms);
            Line { id: *id, meter: Meter::Usd, max: max.0, reset, cycle }
        });
        rates.chain(budgets)
    }
}

impl ModelConfig {
    /// Whether it has any limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.budgets.is_empty() || self.rate_limits != RateLimits::None
    }

    fn cycle(&self, reset: &ResetDuration, created_ms: u64) -> Cycle {
        if self.calendar_aligned { reset.calendar(created_ms) } else { reset.lattice(created_ms) }
    }
}

impl RateLimit {
    /// The side that counts this.
    #[must_use]
    pub fn side(&self, meter: Meter) -> Option<&Rate> {
        match meter {
            Meter::Requests => self.requests.as_ref(),
            Meter::Tokens => self.tokens.as_ref(),
            Meter::Usd => None,
        }
    }
}
