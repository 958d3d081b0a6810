//! `[ledger]`: how the journal is brought to the disk, and how long lines are kept.

use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use storage::{BootId, JournalOptions, Sync};

use super::sections::duration;

/// Longest `ledger.sync_interval`: what a loss of power may lose should be told in seconds.
const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Smallest `ledger.retain_days`: the present day is never pruned, whatever the hour.
const RETAIN_DAYS_MIN: u32 = 2;
/// Largest `ledger.retain_days`: a hundred years.
const RETAIN_DAYS_MAX: u32 = 36_500;

/// `[ledger]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSection {
    pub sync: LedgerSync,
    #[serde(deserialize_with = "duration")]
    pub sync_interval: Duration,
    pub retain_days: u32,
}

/// `ledger.sync`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerSync {
    Interval,
    Always,
}

impl LedgerSection {
    /// How the journal is kept after this start of the machine.
    #[must_use]
    pub fn journal(&self, boot_id: BootId) -> JournalOptions {
        let sync = match self.sync {
            LedgerSync::Interval => Sync::Interval(self.sync_interval),
            LedgerSync::Always => Sync::Always,
        };
        JournalOptions { sync, boot_id, ..JournalOptions::default() }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Self { sync_interval, retain_days, .. } = self;
        if sync_interval.is_zero() || *sync_interval > SYNC_INTERVAL_MAX {
            bail!("ledger.sync_interval: give it 1ms to 1m, or set ledger.sync = \"always\" to lose nothing");
        }
        if !(RETAIN_DAYS_MIN..=RETAIN_DAYS_MAX).contains(retain_days) {
            bail!("ledger.retain_days: {retain_days} is not from {RETAIN_DAYS_MIN} to {RETAIN_DAYS_MAX}");
        }
        Ok(())
    }
}
