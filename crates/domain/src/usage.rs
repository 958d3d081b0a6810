//! What a call used, and the ledger line that says so.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::{GroupId, LineId, RequestId, Slug, WorkspaceId};
use crate::model_config::Meter;
use crate::money::Usd;
use crate::price::Pricing;
use crate::time::Now;

/// How a token count became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsageSource {
    /// The model server said so.
    Reported,
    /// The model server said nothing, so we counted.
    Estimated,
    /// The gateway ended before the call did: taken for what it could have used.
    Recovered,
}

impl UsageSource {
    /// The word in the ledger and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Recovered => "recovered",
        }
    }
}

impl FromStr for UsageSource {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Reported, Self::Estimated, Self::Recovered]
            .into_iter()
            .find(|source| source.name() == word)
            .ok_or(UnknownWord)
    }
}

/// A word that the ledger does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord;

/// Tokens of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Completion tokens.
    pub output: u64,
    /// The part of `input` that the server had in its cache.
    pub cached: u64,
    /// The part of `input` that the server put into its cache.
    pub cache_written: u64,
    /// Who counted.
    pub source: UsageSource,
}

impl Usage {
    /// Nothing was generated, and we know it.
    pub const NONE: Self =
        Self { input: 0, output: 0, cached: 0, cache_written: 0, source: UsageSource::Reported };

    /// What TOKEN limits charge: prompt plus completion, cached tokens at full weight. Saturates.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream answered to the end, whatever its status.
    Completed,
    /// The caller left first.
    ClientGone,
    /// The upstream broke off or sent garbage.
    UpstreamError,
    /// The upstream took too long.
    UpstreamTimeout,
    /// The gateway was stopping.
    Shutdown,
    /// No byte of an answer came: connection refused, or reset before one.
    NotReached,
    /// A limit had no room for more of it, so we ended it.
    LimitCut,
    /// The gateway ended before the call did.
    Recovered,
}

impl Outcome {
    /// Every way a call can end.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::ClientGone,
        Self::UpstreamError,
        Self::UpstreamTimeout,
        Self::Shutdown,
        Self::NotReached,
        Self::LimitCut,
        Self::Recovered,
    ];

    /// The word in the ledger and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientGone => "client_gone",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Shutdown => "shutdown",
            Self::NotReached => "not_reached",
            Self::LimitCut => "limit_cut",
            Self::Recovered => "recovered",
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == word).ok_or(UnknownWord)
    }
}

/// What the calls of one caller on one route have in common: who pays, who serves, and at what price. Names the
/// counters that they are charged to, but for their thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The calling group first, then its ancestors up to the root, as they were at admission.
    pub groups: Arc<[GroupId]>,
    /// The calling group's identifier at admission.
    pub external_entity_id: Arc<str>,
    /// The slug called.
    pub slug: Slug,
    /// Who served it: the published name of the target's provider.
    pub provider: Cow<'static, str>,
    /// The model name sent upstream.
    pub upstream_model: Arc<str>,
    /// What its tokens cost; none where the route had no price.
    pub price: Option<Arc<Pricing>>,
    /// The lines of model configs that it was charged to.
    pub lines: Arc<[(LineId, Meter)]>,
}

impl Terms {
    /// The group that called.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.groups.first().copied()
    }
}

/// Tokens that were charged at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateCharge {
    /// On the clock of rolling windows.
    pub mono_ns: u64,
    /// How many.
    pub tokens: u64,
}

/// One immutable line of the ledger: an admitted call that was not cancelled. Holds no prompt and no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The call; a second entry for the same call is ignored.
    pub request_id: RequestId,
    /// When it was admitted. REQUEST limits charge that day, that period, that moment.
    pub admitted: Now,
    /// When it ended. TOKEN limits per DAY and budgets charge that day and that period.
    pub settled: Now,
    /// Who pays, who served, at what price.
    pub terms: Arc<Terms>,
    /// The key used.
    pub key_prefix: Arc<str>,
    /// The path called, such as `/v1/chat/completions`.
    pub route: Cow<'static, str>,
    /// How often it was sent upstream: once, or once more where a pooled connection failed before a byte was sent.
    pub attempts: u8,
    /// What it used. Zero where nothing was generated.
    pub usage: Usage,
    /// Those of its tokens that rolling windows were charged after its admission; the rest they were charged then.
    pub late: Box<[LateCharge]>,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the upstream's answer, if there was one.
    pub upstream_status: Option<u16>,
    /// Milliseconds from admission to the first byte of the answer, if there was one.
    pub first_byte_ms: Option<u64>,
    /// The call's own `metadata` object as JSON text, if it had one.
    pub metadata: Option<Box<str>>,
    /// The end user it was made for, if that is known.
    pub user: Option<Arc<str>>,
    /// What it cost; none where its route had no price.
    pub cost: Option<Usd>,
}

impl Entry {
    /// When it counts, in milliseconds since 1970 UTC, and as how much: requests by the time of admission, tokens and
    /// nano-dollars by that of settlement.
    #[must_use]
    pub fn charge(&self, meter: Meter) -> (u64, u64) {
        match meter {
            Meter::Requests => (self.admitted.wall_ms, 1),
            Meter::Tokens => (self.settled.wall_ms, self.usage.total()),
            Meter::Usd => (self.settled.wall_ms, self.cost.unwrap_or_default().0),
        }
    }

    /// The group that called.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.terms.group()
    }

    /// Whether it is billed: the upstream answered that all was well, or something was used.
    #[must_use]
    pub fn is_event(&self) -> bool {
        is_billed(self.upstream_status, self.usage.total())
    }
}

/// Whether a call with this answer and so many tokens is a billing event.
#[must_use]
pub fn is_billed(upstream_status: Option<u16>, tokens: u64) -> bool {
    tokens > 0 || matches!(upstream_status, Some(200..=299))
}
