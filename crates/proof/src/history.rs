//! What a run has seen: calls that were admitted, and configurations with the time in which each was in force.

use crate::windows::Span;
use crate::world::Limits;

/// How a call was admitted, as far as its charge at admission goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Holds what is declared or guessed.
    Estimate,
    /// Holds what fits, and more as a stream goes on.
    Hard,
    /// Holds nothing.
    Observed,
    /// Holds the prompt and what such calls use as a rule.
    Learned,
}

/// A call of which is known, or may be, that it was admitted. Kept small: a run has many.
#[derive(Debug, Clone)]
pub struct Call {
    /// What it carries, to the model server and into the ledger.
    pub number: u64,
    /// From the answer; 0 if none came.
    pub id: u128,
    /// Which tree.
    pub tree: u16,
    /// Which group of it.
    pub group: u16,
    /// Which model.
    pub slug: u16,
    /// For whom, if it says.
    pub user: Option<&'static str>,
    /// Whether it was admitted beyond doubt.
    pub admitted: bool,
    /// Whether its answer was to be a stream.
    pub streamed: bool,
    /// When it was sent.
    pub sent_us: u64,
    /// When it was admitted.
    pub span: Span,
    /// When it was settled at the latest; `u64::MAX`: nobody outside can tell.
    pub settled_us: u64,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens of output that it declared.
    pub declared: Option<u64>,
    /// Tokens that it must have been charged at least.
    pub tokens_min: u64,
    /// And at most.
    pub tokens_max: u64,
    /// Prompt tokens that came from a cache and went into it, where all came through that the model server told.
    pub cache: Option<(u64, u64)>,
}

/// A configuration: of one tree, of one model config, of one price.
#[derive(Debug)]
pub struct Version<T = Vec<Limits>> {
    /// What it says; of a tree, the limits of each group.
    pub config: T,
    /// No call was admitted under it before.
    pub from_us: u64,
    /// Nor later.
    pub until_us: u64,
}

/// Configurations of one thing, in their order.
#[derive(Debug)]
pub struct Timeline<T = Vec<Limits>> {
    /// Never empty.
    pub versions: Vec<Version<T>>,
}

impl Mode {
    /// By its published name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "estimate" => Self::Estimate,
            "hard" => Self::Hard,
            "observed" => Self::Observed,
            "learned" => Self::Learned,
            _ => return None,
        })
    }

    /// Its published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::Hard => "hard",
            Self::Observed => "observed",
            Self::Learned => "learned",
        }
    }
}

impl<T> Timeline<T> {
    /// Begins with this one.
    #[must_use]
    pub fn new(config: T) -> Self {
        Self { versions: vec![Version { config, from_us: 0, until_us: u64::MAX }] }
    }

    /// The one in force.
    #[must_use]
    pub fn latest(&self) -> Option<&T> {
        self.versions.last().map(|version| &version.config)
    }

    /// An edit was asked for and answered. Between the two, either configuration may be in force.
    pub fn edit(&mut self, config: T, (asked_us, answered_us): (u64, u64)) {
        if let Some(last) = self.versions.last_mut() {
            last.until_us = answered_us;
        }
        self.versions.push(Version { config, from_us: asked_us, until_us: u64::MAX });
    }

    /// Every version under which a call of this span may have been admitted, and their places.
    pub fn during(&self, span: Span) -> impl Iterator<Item = (usize, &Version<T>)> {
        let first = self.versions.partition_point(|version| version.until_us < span.earliest_us);
        let versions = self.versions.iter().enumerate().skip(first);
        versions.take_while(move |(_, version)| version.from_us <= span.latest_us)
    }
}
