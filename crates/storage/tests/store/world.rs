//! A store in a temporary directory, and short words for what the tests do with it.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use domain::edit::endpoint::EndpointDraft;
use domain::edit::group::{GroupDraft, GroupPatch, LimitDraft, ModelDraft};
use domain::edit::key::KeyDraft;
use domain::edit::{endpoint, group, key, secret};
use domain::{
    Endpoint, Enforcement, Entry, Group, GroupId, Key, LimitType, LineId, Metadata, Meter, Now, Outcome,
    Pricing, Provider, Rates, Region, RequestId, SecretValue, Slug, Target, Tariff, Terms, Tier, Unit, Usage,
    UsageSource, Usd, WorkspaceId,
};
use limits::{Ask, Need};
use storage::{DecisionBounds, EditError, JournalOptions, MasterKey, OpenError, Options, Store};
use tempfile::TempDir;

pub(crate) const DAY_MS: u64 = 86_400_000;
/// Noon of day 20 000.
pub(crate) const NOON_MS: u64 = 20_000 * DAY_MS + DAY_MS / 2;
pub(crate) const NOW: Now = Now { mono_ns: 0, wall_ms: NOON_MS };
pub(crate) const MASTER: [u8; 32] = *b"0123456789-master-key-0123456789";

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn try_open(&self, master: [u8; 32], now: Now) -> Result<Store, OpenError> {
        Store::open(Options { now, ..options(self.path(), master) })
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open(MASTER, NOW).unwrap()
    }

    /// Closes the store and sees to it that all of it can be recomputed. What was left out may be no more than this.
    pub(crate) fn close_and_audit(&self, store: Store, skipped: u64) {
        store.close();
        let audit = storage::audit_at_rest(self.path()).unwrap();
        assert_eq!(audit.differences, [], "{audit:?}");
        assert!(audit.skipped <= skipped, "{:?}", audit.not_compared);
    }

    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("tollgate.db")).unwrap()
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(crate) fn options(dir: &Path, master: [u8; 32]) -> Options {
    Options {
        dir: dir.to_owned(),
        master_key: MasterKey::from_bytes(master),
        engine: Arc::new(limits::Engine::new()),
        now: NOW,
        decisions: DecisionBounds { in_memory: 100, on_disk: 1 << 20 },
        journal: JournalOptions { segment_len: 128 * 1024, boot_id: [1; 16], ..JournalOptions::default() },
    }
}

pub(crate) fn workspace(store: &Store) -> WorkspaceId {
    store.snapshot().workspaces().next().unwrap().id
}

/// A group that may call `acme/m1`, with one DAY limit of each type if `per_day` is given.
pub(crate) fn draft(store: &Store, external: &str, per_day: Option<u64>) -> GroupDraft {
    GroupDraft {
        workspace: workspace(store),
        metadata: Metadata { name: Some("A customer".into()), external_entity_id: external.into() },
        models: vec![model(per_day)],
        enforcement: None,
        parent: None,
    }
}

pub(crate) fn model(per_day: Option<u64>) -> ModelDraft {
    let limit = |kind| per_day.map(|threshold| LimitDraft { kind, unit: Unit::Day, threshold });
    ModelDraft {
        slug: slug("acme/m1"),
        rate_limits: vec![LimitDraft { kind: LimitType::Request, unit: Unit::Minute, threshold: 60 }],
        usage_limits: [LimitType::Request, LimitType::Token].into_iter().filter_map(limit).collect(),
        admission: None,
        max_concurrent_requests: Some(8),
    }
}

pub(crate) fn try_create(store: &Store, draft: GroupDraft) -> Result<Arc<Group>, EditError> {
    wait(store.edit(NOW, move |cx| group::create(cx, draft)))
}

pub(crate) fn create(store: &Store, external: &str) -> Arc<Group> {
    try_create(store, draft(store, external, Some(1_000))).unwrap()
}

/// A root and a child of it.
pub(crate) fn family(store: &Store, enforcement: Enforcement) -> (Arc<Group>, Arc<Group>) {
    let enforcement = Some(enforcement);
    let root = try_create(store, GroupDraft { enforcement, ..draft(store, "root", None) }).unwrap();
    let parent = Some(root.id);
    let child = try_create(store, GroupDraft { parent, ..draft(store, "child", None) }).unwrap();
    (root, child)
}

/// Declares DAY limits on a group.
pub(crate) fn declare_day(store: &Store, group: &Group, threshold: u64) -> Arc<Group> {
    let (workspace, id) = (group.workspace, group.id);
    let patch = GroupPatch { name: None, models: Some(vec![model(Some(threshold))]) };
    wait(store.edit(NOW, move |cx| group::update(cx, workspace, id, patch))).unwrap()
}

pub(crate) fn delete(store: &Store, group: &Group) {
    let (workspace, id) = (group.workspace, group.id);
    wait(store.edit(NOW, move |cx| group::delete(cx, workspace, id))).unwrap();
}

pub(crate) fn try_mint(store: &Store, group: &Group, credential: &str) -> Result<Arc<Key>, EditError> {
    let (workspace, id) = (group.workspace, group.id);
    let draft = KeyDraft {
        prefix: credential[..10].into(),
        hash: store.vault().hash(credential.as_bytes()),
        name: Some("laptop".into()),
        user_id: Some("ada".into()),
    };
    wait(store.edit(NOW, move |cx| key::mint(cx, workspace, id, draft)))
}

pub(crate) fn revoke(store: &Store, group: &Group, prefix: &str) {
    let (workspace, id, prefix) = (group.workspace, group.id, prefix.to_owned());
    wait(store.edit(NOW, move |cx| key::revoke(cx, workspace, id, &prefix))).unwrap();
}

pub(crate) fn put_secret(store: &Store, name: &'static str, value: &'static str) {
    let workspace = workspace(store);
    let put = store.edit(NOW, move |cx| Ok(secret::put(cx, workspace, name, SecretValue::new(value))));
    wait(put).unwrap();
}

pub(crate) fn create_endpoint(store: &Store, name: &str, secret: &str) -> Arc<Endpoint> {
    let draft = EndpointDraft {
        workspace: workspace(store),
        slug: slug(name),
        region: Region::Eu,
        target: Target {
            provider: Provider::OpenAiCompatible,
            model_id: None,
            environment_name: None,
            secret_id: Some(secret.into()),
            target_model: Some("llama".into()),
            base_url: Some("http://10.0.0.1:8000/v1".into()),
            vertex_config: None,
            max_output_tokens: Some(4_096),
            tokenizer: Some(domain::Tokenizer::Cl100k),
            hidden_output: Some(true),
            provider_name: Some("groq".into()),
            pricing: Some(price()),
        },
        admission: Some(domain::Admission::Observed),
        private_allowed: true,
    };
    wait(store.edit(NOW, move |cx| endpoint::create(cx, draft))).unwrap()
}

/// A call of ten prompt tokens, four of them cached, and five completion tokens. `n` makes it another call.
pub(crate) fn entry(n: u32, groups: &[GroupId], admitted_ms: u64, settled_ms: u64) -> Entry {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    let at = |wall_ms: u64| Now { mono_ns: wall_ms.saturating_mul(1_000_000), wall_ms };
    Entry {
        request_id: RequestId::new(admitted_ms, random),
        admitted: at(admitted_ms),
        settled: at(settled_ms),
        terms: Arc::new(terms(groups)),
        key_prefix: "tg_1234567".into(),
        route: "/v1/chat/completions".into(),
        attempts: 1,
        usage: Usage { input: 10, output: 5, cached: 4, cache_written: 2, source: UsageSource::Reported },
        late: Box::default(),
        outcome: Outcome::Completed,
        upstream_status: Some(200),
        first_byte_ms: Some(12),
        metadata: Some(r#"{"ticket":7}"#.into()),
        user: Some("ada".into()),
        cost: Some(Usd(75_000)),
    }
}

fn terms(groups: &[GroupId]) -> Terms {
    Terms {
        workspace: WorkspaceId(1),
        groups: groups.into(),
        external_entity_id: "cust".into(),
        slug: slug("acme/m1"),
        provider: Provider::OpenAiCompatible.name().into(),
        upstream_model: "llama".into(),
        price: Some(price()),
        lines: [(LineId::new([1; 16]), Meter::Usd), (LineId::new([2; 16]), Meter::Requests)].into(),
    }
}

/// The same call, charged to these lines.
pub(crate) fn charged_to(lines: Arc<[(LineId, Meter)]>, entry: Entry) -> Entry {
    on_terms(|terms| terms.lines = lines, entry)
}

/// The same call on other terms.
pub(crate) fn on_terms(change: impl FnOnce(&mut Terms), mut entry: Entry) -> Entry {
    change(Arc::make_mut(&mut entry.terms));
    entry
}

/// Every step that a new store takes.
pub(crate) const MIGRATIONS: &[&str] =
    &["0001_first", "0002_tenants", "0003_model_configs", "0004_ledger", "0005_webhooks", "0006_late_sums"];
/// The schema version that they lead to.
pub(crate) const SCHEMA: u32 = 6;

/// A call that holds nothing.
pub(crate) const OBSERVED: Ask =
    Ask { need: Need::Observed, tariff: Tariff { input: Usd::ZERO, output: Usd::ZERO } };

/// Five dollars for a million tokens of any kind.
pub(crate) fn price() -> Arc<Pricing> {
    let five = Usd(5_000_000_000);
    let rates = Rates {
        input_per_million: five,
        output_per_million: five,
        cached_input_per_million: None,
        cache_write_per_million: Some(five),
    };
    Arc::new(Pricing { rates, tiers: vec![Tier { above_input_tokens: 200_000, rates }] })
}

pub(crate) fn record(store: &Store, entry: Entry) {
    store.permit().unwrap().record(entry);
}

/// Records a call at noon and waits until it is on disk.
pub(crate) fn book(store: &Store, n: u32, groups: &[GroupId]) {
    record(store, entry(n, groups, NOON_MS, NOON_MS));
    wait(store.flush());
}
