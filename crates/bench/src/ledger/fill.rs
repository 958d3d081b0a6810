//! Writes a big ledger through the store's own writer: the same rows as calls leave, as fast as it takes them.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use domain::{Entry, GroupId, Now, Outcome, Pricing, RequestId, Slug, Terms, Usage, UsageSource};
use serde_json::json;
use storage::Store;

use crate::clock;
use crate::customers::{Registry, UPSTREAM_MODEL};
use crate::say::note;
use crate::tollgate::SLUG;

/// How long the calls took.
pub(crate) const DAYS: u64 = 40;
const DAY_MS: u64 = 86_400_000;
/// Below the root, and below each of these.
const BRANCHES: usize = 10;
const LEAVES: usize = 200;
/// Leaves that make half of all calls.
const BUSY: u64 = 10;
/// Calls of the rare key.
const RARE: u64 = 100;
/// Models of which every leaf uses one, and the busy ones all.
const SLUGS: usize = 5;
const KEYS_EACH: usize = 2;
/// Leaves whose keys make the calls that are measured.
const CALLING: usize = 64;
/// Wait where the writer has enough.
const PAUSE: Duration = Duration::from_millis(1);
const NOTED_EVERY: u64 = 1_000_000;

/// What there is now.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) entries: u64,
    pub(crate) groups: usize,
    /// The first call, and the last.
    pub(crate) begin_ms: u64,
    pub(crate) end_ms: u64,
    /// Ids and a key's prefix, as they are written.
    pub(crate) root: String,
    pub(crate) busy: String,
    pub(crate) rare: String,
    /// Keys that call.
    pub(crate) calling: Vec<String>,
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
}

/// The calling groups with their keys.
struct Leaf {
    keys: Vec<Arc<str>>,
    terms: Vec<Arc<Terms>>,
}

/// Choices that are the same in every run (`SplitMix64`).
struct Dice(u64);

pub(crate) fn fill(data: &Path, entries: u64) -> anyhow::Result<Filled> {
    let registry = Registry::open(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (root, groups) = runtime.block_on(groups(&registry))?;
    let keys = runtime.block_on(registry.keys(&leaf_ids(&groups), groups.len() * KEYS_EACH))?;
    let leaves = leaves(&registry, &groups, &keys)?;
    let end_ms = clock::wall()?.wall_ms.saturating_sub(DAY_MS / 24);
    let begin_ms = end_ms - DAYS * DAY_MS;
    let begun = clock::now();
    write(&registry.store, &leaves, entries, begin_ms);
    runtime.block_on(registry.store.flush());
    let elapsed = begun.elapsed();
    let leaf = |at: usize| groups.get(at).context("there are leaves");
    let filled = Filled {
        entries,
        groups: groups.len() + BRANCHES + 1,
        begin_ms,
        end_ms,
        root: root.to_string(),
        busy: leaf(0)?[0].to_string(),
        rare: leaves.last().and_then(|leaf| leaf.keys.last()).context("there are keys")?.to_string(),
        calling: keys.iter().take(CALLING).map(|(_, whole)| whole.clone()).collect(),
        elapsed,
        bytes: 0,
    };
    registry.store.close();
    Ok(Filled { bytes: size(data)?, ..filled })
}

/// The root, and the path of every leaf: itself, its branch, the root.
async fn groups(registry: &Registry) -> anyhow::Result<(GroupId, Vec<[GroupId; 3]>)> {
    let root = registry.make(vec![registry.group("root".to_owned(), None)?]).await?;
    let root = *root.first().context("a root was made")?;
    let drafts = (0..BRANCHES).map(|at| registry.group(format!("b{at}"), Some(root)));
    let branches = registry.make(drafts.collect::<anyhow::Result<_>>()?).await?;
    let mut leaves = Vec::new();
    for (at, branch) in branches.into_iter().enumerate() {
        let drafts = (0..LEAVES).map(|leaf| registry.group(format!("b{at}l{leaf}"), Some(branch)));
        let made = registry.make(drafts.collect::<anyhow::Result<_>>()?).await?;
        leaves.extend(made.into_iter().map(|leaf| [leaf, branch, root]));
    }
    Ok((root, leaves))
}

fn leaf_ids(groups: &[[GroupId; 3]]) -> Vec<GroupId> {
    groups.iter().map(|[leaf, ..]| *leaf).collect()
}

fn leaves(
    registry: &Registry,
    groups: &[[GroupId; 3]],
    keys: &[(Arc<str>, String)],
) -> anyhow::Result<Vec<Leaf>> {
    let price: Pricing =
        serde_json::from_value(json!({"input_per_million": "0.15", "output_per_million": "0.6"}))?;
    let price = Arc::new(price);
    let upstream_model: Arc<str> = UPSTREAM_MODEL.into();
    let slugs = (0..SLUGS).map(|at| if at == 0 { SLUG.to_owned() } else { format!("bench/m{at}") });
    let slugs: Vec<Slug> = slugs.filter_map(|slug| slug.parse().ok()).collect();
    let leaf = |(at, path): (usize, &[GroupId; 3])| {
        let terms = |slug: &Slug| {
            Arc::new(Terms {
                workspace: registry.workspace,
                groups: Arc::new(*path),
                external_entity_id: format!("b{}l{}", at / LEAVES, at % LEAVES).into(),
                slug: slug.clone(),
                provider: "openai_compatible".into(),
                upstream_model: Arc::clone(&upstream_model),
                price: Some(Arc::clone(&price)),
                lines: Arc::new([]),
            })
        };
        // Keys were made by turns.
        let own = keys.iter().skip(at).step_by(groups.len());
        let its = if u64::try_from(at).is_ok_and(|at| at < BUSY) {
            &slugs[..]
        } else {
            &slugs[at % SLUGS..=at % SLUGS]
        };
        let keys = own.map(|(prefix, _)| Arc::clone(prefix)).collect();
        Leaf { keys, terms: its.iter().map(terms).collect() }
    };
    Ok(groups.iter().enumerate().map(leaf).collect())
}

/// One call after the other, in the order in which they ended.
fn write(store: &Store, leaves: &[Leaf], entries: u64, begin_ms: u64) {
    let mut dice = Dice(1);
    let rare_every = (entries / RARE).max(1);
    for at in 0..entries {
        let settled_ms = begin_ms
            + u64::try_from(u128::from(at) * u128::from(DAYS * DAY_MS) / u128::from(entries)).unwrap_or(0);
        let rare = at % rare_every == rare_every / 2;
        let chosen = if rare { leaves.last() } else { leaves.get(dice.leaf(leaves.len())) };
        if let Some(leaf) = chosen {
            let key = if rare { leaf.keys.last() } else { leaf.keys.first() };
            key.into_iter().for_each(|key| book(store, entry((leaf, key), settled_ms, &mut dice)));
        }
        if at % NOTED_EVERY == NOTED_EVERY - 1 {
            note(&format!("{} calls are written", at + 1));
        }
    }
}

/// As the end of a call does, but that it may wait for room.
fn book(store: &Store, entry: Entry) {
    loop {
        if let Some(permit) = store.permit() {
            permit.record(entry);
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn entry((leaf, key): (&Leaf, &Arc<str>), settled_ms: u64, dice: &mut Dice) -> Entry {
    let took_ms = dice.below(3_000);
    let at = |wall_ms| Now { mono_ns: 0, wall_ms };
    let admitted = at(settled_ms.saturating_sub(took_ms));
    let pick = |many: usize, of: u64| usize::try_from(of).unwrap_or(0) % many.max(1);
    let usage = Usage {
        input: 50 + dice.below(2_000),
        output: 1 + dice.below(600),
        source: UsageSource::Reported,
        ..Usage::NONE
    };
    let terms = Arc::clone(&leaf.terms[pick(leaf.terms.len(), dice.below(SLUGS as u64))]);
    let cost = terms.price.as_ref().map(|price| price.cost(&usage));
    let [high, low] = [dice.next(), dice.next()].map(u64::to_be_bytes);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&high);
    random[8..].copy_from_slice(&low[..2]);
    Entry {
        request_id: RequestId::new(admitted.wall_ms, random),
        admitted,
        settled: at(settled_ms),
        terms,
        key_prefix: Arc::clone(key),
        route: "/v1/chat/completions".into(),
        attempts: 1,
        usage,
        late: Box::default(),
        outcome: Outcome::Completed,
        upstream_status: Some(200),
        first_byte_ms: Some(took_ms / 2),
        metadata: None,
        user: None,
        cost,
    }
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A busy one as often as any.
    fn leaf(&mut self, leaves: usize) -> usize {
        let many = if self.below(2) == 0 { BUSY } else { u64::try_from(leaves).unwrap_or(1) };
        usize::try_from(self.below(many.max(1))).unwrap_or(0)
    }
}

/// All files below a folder, in bytes.
fn size(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        sum += if kind.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
