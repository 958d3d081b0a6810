//! A limit: a ceiling on requests or tokens within a window.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::snapshot::Version;

/// Largest threshold that is accepted: 2^63 - 1, so that every JSON client can hold it in a signed integer.
pub const THRESHOLD_MAX: u64 = i64::MAX.unsigned_abs();

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LimitType {
    /// Prompt plus completion tokens, cached prompt tokens at full weight.
    Token,
    /// Client calls, one each, whatever happens inside them.
    Request,
}

/// The span of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Unit {
    /// Any second: a rolling window.
    Second,
    /// Any sixty seconds: a rolling window.
    Minute,
    /// A calendar day in UTC.
    Day,
}

impl LimitType {
    /// The published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "TOKEN",
            Self::Request => "REQUEST",
        }
    }
}

impl Unit {
    /// The published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "SECOND",
            Self::Minute => "MINUTE",
            Self::Day => "DAY",
        }
    }

    /// The length of the window, as refusals say it.
    #[must_use]
    pub fn window(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "60s",
            Self::Day => "1d",
        }
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Day => 86_400,
        }
    }
}

/// A ceiling declared on one slug of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: LimitType,
    /// Within which span.
    pub unit: Unit,
    /// The most that may be used; 0 blocks where the setting allows it.
    pub threshold: u64,
    /// The configuration version since which the group has declared this (slug, type, unit) without a break.
    /// Its counter is opened anew when the limit comes back after a gap, and only then.
    pub since: Version,
}

impl Limit {
    /// Whether both speak of the same type and unit, so that one can override or cap the other.
    #[must_use]
    pub fn same_window(&self, other: &Self) -> bool {
        self.kind == other.kind && self.unit == other.unit
    }
}
