//! Every entry of the ledger, held against its call.
//!
//! That it is there once, used what the call used, cost what its tokens cost by the price in force, counts at a time at
//! which the call was under way, and names every line of a model config that the call had to fit, and no other.
//!
//! An entry is found by the number that its call carried in its `metadata`.
//!
//! Begins at [`read`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::{RequestId, UsageSource};
use serde_json::Value;
use storage::{LedgerLine, Store};

use crate::clerk::Record;
use crate::clock::SteppedClock;
use crate::configs::LineKey;
use crate::history::Call;
use crate::load::shown;
use crate::prices::{Price, Tokens};
use crate::subject::Stamps;
use crate::windows::Span;
use crate::world::World;

/// Entries that are read at once.
const PAGE: u16 = 10_000;
/// The run's clock and the gateway's reading of it are cut to milliseconds apart.
const CUT_MS: u64 = 1;

/// What a run knows of its calls.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Who called.
    pub world: &'a World,
    /// Calls that were admitted, or perhaps.
    pub calls: &'a [Call],
    /// What was in force when.
    pub record: &'a Record,
    /// The gateway's clock.
    pub clock: &'a SteppedClock,
    /// Whether that is so.
    pub stamps: Stamps,
}

/// An entry, as far as limits go.
#[derive(Debug, Clone)]
pub struct Booked {
    /// Its call's place among the calls.
    pub call: u32,
    /// Milliseconds since 1970 UTC.
    pub admitted_ms: u64,
    /// Milliseconds since 1970 UTC.
    pub settled_ms: u64,
    /// All tokens.
    pub tokens: u64,
    /// Nano-dollars.
    pub cost: u64,
    /// Whether tokens were counted by the gateway, since nobody told.
    pub estimated: bool,
    /// What it was computed with.
    pub price: Arc<Price>,
    /// The lines that it was charged to.
    pub lines: Arc<[LineKey]>,
}

/// Reads all entries. What is wrong with any, in words.
///
/// # Errors
/// A ledger that cannot be read.
pub async fn read(store: &Store, known: Known<'_>) -> anyhow::Result<(Vec<Booked>, Vec<String>)> {
    let mut reader = Reader {
        known,
        by_number: known.calls.iter().zip(0..).map(|(call, at)| (call.number, at)).collect(),
        seen: HashSet::new(),
        lines: HashSet::new(),
        wrong: Vec::new(),
    };
    let mut booked = Vec::new();
    let mut after = RequestId::new(0, [0; 10]);
    loop {
        let page = store.entries_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.request_id;
        booked.extend(page.iter().filter_map(|entry| reader.take(entry)));
    }
    reader.find_missing();
    Ok((booked, reader.wrong))
}

struct Reader<'a> {
    known: Known<'a>,
    by_number: HashMap<u64, u32>,
    seen: HashSet<u32>,
    /// Sets of lines, each kept once.
    lines: HashSet<Arc<[LineKey]>>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn take(&mut self, entry: &LedgerLine) -> Option<Booked> {
        let known = self.known;
        let at = number(entry).and_then(|number| self.by_number.get(&number).copied());
        let call = at.and_then(|at| Some((at, known.calls.get(usize::try_from(at).ok()?)?)));
        let Some((at, call)) = call else {
            self.wrong.push(format!("an entry of no call that was admitted: {entry:?}"));
            return None;
        };
        if !self.seen.insert(at) {
            self.wrong.push(format!("a second entry of one call: {entry:?}"));
        }
        let price = entry.price.as_ref().map(Price::of);
        let checks = [
            used(call, entry),
            known.cost(call, entry, price.as_ref()),
            known.times(call, entry),
            known.lines(call, entry),
        ];
        let wrong = checks.into_iter().flatten();
        self.wrong.extend(
            wrong.map(|wrong| format!("{}: {wrong}; {entry:?}; seen was {call:?}", entry.request_id)),
        );
        Some(Booked {
            call: at,
            admitted_ms: entry.admitted_ms,
            settled_ms: entry.settled_ms,
            tokens: entry.usage.total(),
            cost: entry.cost.map_or(0, |cost| cost.0),
            estimated: entry.usage.source == UsageSource::Estimated,
            price: Arc::new(price?),
            lines: self.kept(&entry.lines),
        })
    }

    fn kept(&mut self, lines: &[LineKey]) -> Arc<[LineKey]> {
        if let Some(kept) = self.lines.get(lines) {
            return Arc::clone(kept);
        }
        let kept: Arc<[LineKey]> = lines.into();
        self.lines.insert(Arc::clone(&kept));
        kept
    }

    fn find_missing(&mut self) {
        for (call, at) in self.known.calls.iter().zip(0..) {
            if call.admitted && !self.seen.contains(&at) {
                self.wrong.push(format!("{} has no entry; seen was {call:?}", shown(call.id)));
            }
        }
    }
}

fn number(entry: &LedgerLine) -> Option<u64> {
    let metadata: Value = serde_json::from_str(entry.metadata.as_deref()?).ok()?;
    metadata["n"].as_u64()
}

/// Tokens, id and user.
fn used(call: &Call, entry: &LedgerLine) -> Option<String> {
    let usage = &entry.usage;
    if call.id != 0 && RequestId::from_bytes(call.id.to_be_bytes()) != entry.request_id {
        return Some("its caller was told another id".to_owned());
    }
    if entry.user.as_deref() != call.user {
        return Some("its user is another".to_owned());
    }
    if !(call.tokens_min..=call.tokens_max).contains(&usage.total()) {
        return Some(format!("it used {} to {} tokens", call.tokens_min, call.tokens_max));
    }
    let told = call.cache.filter(|_| usage.source == UsageSource::Reported);
    let differs = told.is_some_and(|told| told != (usage.cached, usage.cache_written));
    differs.then(|| "its model server told otherwise of its cache".to_owned())
}

impl Known<'_> {
    /// By one of the prices in force, and what tokens cost by it.
    fn cost(&self, call: &Call, entry: &LedgerLine, price: Option<&Price>) -> Option<String> {
        let (Some(price), Some(cost)) = (price, entry.cost) else {
            return Some("it has no price".to_owned());
        };
        let under_way = Span { earliest_us: call.sent_us, latest_us: call.span.latest_us };
        let prices = &self.record.prices[usize::from(call.slug)];
        if !prices.during(under_way).any(|(_, version)| version.config == *price) {
            return Some("its price was not in force".to_owned());
        }
        let usage = &entry.usage;
        if usage.cached.saturating_add(usage.cache_written) > usage.input {
            return Some("more of its prompt was cached than there is of it".to_owned());
        }
        let (input, output) = (usage.input, usage.output);
        let due = price.cost(Tokens { input, output, cached: usage.cached, written: usage.cache_written });
        (cost.0 != due).then(|| format!("its tokens cost {due} nano-dollars"))
    }

    /// The gateway's time never runs backward, so it may be any that the clock has shown up to then.
    fn times(&self, call: &Call, entry: &LedgerLine) -> Option<String> {
        if self.stamps == Stamps::Foreign {
            return None;
        }
        let earliest_ms = self.clock.earliest_ms(call.span).saturating_sub(CUT_MS);
        let (admitted, settled) = (call.span.latest_us, call.settled_us);
        let [admitted_ms, settled_ms] =
            [admitted, settled].map(|us| self.clock.latest_ms(us).saturating_add(CUT_MS));
        if !(earliest_ms..=admitted_ms).contains(&entry.admitted_ms) {
            return Some(format!("it was admitted from {earliest_ms} to {admitted_ms}"));
        }
        let is_over = (entry.admitted_ms..=settled_ms).contains(&entry.settled_ms);
        (!is_over).then(|| format!("it was settled by {settled_ms}"))
    }

    /// Every line that was in force beyond doubt and is about the call, and none that cannot be.
    fn lines(&self, call: &Call, entry: &LedgerLine) -> Option<String> {
        let trees = &self.world.trees;
        let mut possible: HashSet<LineKey> = HashSet::new();
        for (config, timeline) in self.world.configs.iter().zip(&self.record.configs) {
            if !config.is_about(trees, call) {
                continue;
            }
            let versions: Vec<_> = timeline.during(call.span).map(|(_, version)| &version.config).collect();
            possible.extend(versions.iter().flat_map(|lines| lines.iter().map(|line| line.key)));
            let certain = versions.first().into_iter().flat_map(|lines| lines.iter()).find(|line| {
                let always = versions.iter().all(|lines| lines.iter().any(|also| also.key == line.key));
                always && !entry.lines.contains(&line.key)
            });
            if let Some(line) = certain {
                return Some(format!("it was not charged to {:?} of {config:?}", line.key));
            }
        }
        let stranger = entry.lines.iter().find(|line| !possible.contains(*line));
        stranger.map(|line| format!("{line:?} is not about it"))
    }
}
