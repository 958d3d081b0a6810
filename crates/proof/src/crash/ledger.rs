//! The ledger that a killed gateway left, read as its next start reads it: from a copy, with the store's own recovery.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use domain::{Clock as _, Day, RequestId, UsageSource, is_billed};
use limits::Engine;
use serde_json::Value;
use storage::LedgerLine;

use super::counters::{Owner, Sums};
use super::reconcile::{Booked, CallId, Source};
use super::town::Town;
use crate::clock::SteppedClock;
use crate::subject;
use crate::world::SLUGS;

/// Lines that are read at once.
const PAGE: u16 = 10_000;

/// Every line.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Vec<LedgerLine>,
}

impl Ledger {
    /// Opens these files, which nobody else may have open, and reads every line.
    ///
    /// # Errors
    /// A store that does not open.
    pub async fn read(data: &Path, clock: &SteppedClock) -> anyhow::Result<Self> {
        let master_key = gateway::keys::master_key(data, None)?;
        let store = subject::open(data, master_key, &Arc::new(Engine::new()), clock)?;
        let mut lines: Vec<LedgerLine> = Vec::new();
        let mut after = RequestId::new(0, [0; 10]);
        loop {
            let page = store.entries_after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.request_id;
            lines.extend(page);
        }
        store.close();
        Ok(Self { lines })
    }

    /// As calls are held against it.
    #[must_use]
    pub fn booked(&self) -> Vec<Booked> {
        self.lines.iter().map(booked).collect()
    }

    /// The tokens of every billed line, in and out, by its call.
    #[must_use]
    pub fn billed(&self) -> HashMap<CallId, (u64, u64)> {
        let billed = self.lines.iter().filter(|line| is_billed(line.upstream_status, line.usage.total()));
        billed.map(|line| (id(line), (line.usage.input, line.usage.output))).collect()
    }

    /// What the lines of today come to.
    #[must_use]
    pub fn sums(&self, town: &Town, clock: &SteppedClock) -> Sums {
        let today = clock.now().day();
        let mut sums = Sums::new();
        for line in &self.lines {
            let counted = |at_ms: u64, amount: u64| if Day::of(at_ms) == today { amount } else { 0 };
            let cost = line.cost.map_or(0, |cost| cost.0);
            let used = [
                counted(line.admitted_ms, 1),
                counted(line.settled_ms, line.usage.total()),
                counted(line.settled_ms, cost),
            ];
            for owner in owners(line, town) {
                let sum = sums.entry(owner).or_default();
                sum.iter_mut().zip(used).for_each(|(sum, used)| *sum = sum.saturating_add(used));
            }
        }
        sums
    }
}

fn owners(line: &LedgerLine, town: &Town) -> Vec<Owner> {
    let slug = SLUGS.iter().position(|slug| *slug == line.slug.as_str());
    let group = line.groups.first().and_then(|group| town.place(&group.to_string()));
    group.zip(slug).map(|(group, slug)| town.owners(group, slug)).unwrap_or_default()
}

fn booked(line: &LedgerLine) -> Booked {
    let metadata = line.metadata.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    Booked {
        id: id(line),
        number: metadata.and_then(|metadata| metadata["n"].as_u64()),
        input: line.usage.input,
        output: line.usage.output,
        outcome: line.outcome.name().to_owned(),
        source: match line.usage.source {
            UsageSource::Reported => Source::Told,
            UsageSource::Estimated => Source::Counted,
            UsageSource::Recovered => Source::Held,
        },
    }
}

fn id(line: &LedgerLine) -> CallId {
    CallId(u128::from_be_bytes(*line.request_id.as_bytes()))
}
