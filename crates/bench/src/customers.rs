//! Many customers and model configs, written into a store before its gateway starts: through edits, in batches.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use domain::edit::group::{self, GroupDraft, LimitDraft, ModelDraft};
use domain::edit::key::{self, KeyDraft};
use domain::edit::model_config::{self, BudgetDraft, ConfigDraft, RatesDraft};
use domain::{
    ANY_MODEL, Change, ConfigIdentity, ConfigScope, Context, GroupId, LimitType, Metadata, Now, Rate,
    Rejection, Slug, Unit, Usd, WorkspaceId,
};
use limits::Engine;
use storage::{DecisionBounds, EditError, JournalOptions, Options, Store, random_base62, random_bytes};

use crate::clock;
use crate::tollgate::{SLUG, THRESHOLD};

/// Objects that are written at once.
const BATCH: usize = 2_000;
/// Characters of a key, and of those it is known by.
const KEY_LEN: usize = 40;
const PREFIX_LEN: usize = 16;
/// The name that the target gives its model.
pub(crate) const UPSTREAM_MODEL: &str = "sim";
/// Who serves it, as model configs name it.
const PROVIDER: &str = "openai_compatible";

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// Keys, and those of them that call: each of another group, which is a tree of its own.
    pub(crate) keys: usize,
    pub(crate) calling: usize,
    /// Model configs that every call has to fit; at most 4.
    pub(crate) matching: usize,
    /// Model configs of other keys, other users, other groups and other models.
    pub(crate) others: usize,
}

/// Writes them all. The keys that are to call.
pub(crate) fn write(data: &Path, numbers: Numbers) -> anyhow::Result<Vec<String>> {
    let registry = Registry::open(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let keys = runtime.block_on(async {
        let groups = registry.groups(numbers.calling).await?;
        let keys = registry.keys(&groups, numbers.keys).await?;
        // The first key of each group calls.
        let (calling, silent) = keys.split_at(numbers.calling);
        registry.configs(numbers, &groups, silent).await?;
        anyhow::Ok(calling.iter().map(|(_, whole)| whole.clone()).collect())
    })?;
    registry.store.close();
    Ok(keys)
}

/// Writes customers into a store that nobody serves from.
pub(crate) struct Registry {
    pub(crate) store: Store,
    pub(crate) workspace: WorkspaceId,
    now: Now,
}

impl Registry {
    /// A store in this folder, which is made if it is not there.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Registry> {
        std::fs::create_dir_all(data)?;
        let now = clock::wall()?;
        let master_key = gateway::keys::master_key(data, None)?;
        let decisions = DecisionBounds { in_memory: 1, on_disk: 1 << 20 };
        let engine = Arc::new(Engine::new());
        let store = Store::open(Options {
            dir: data.to_owned(),
            master_key,
            engine,
            now,
            decisions,
            journal: JournalOptions::default(),
        })?;
        let workspace = store.snapshot().workspaces().next().context("a store has a workspace")?.id;
        Ok(Registry { store, workspace, now })
    }

    async fn groups(&self, count: usize) -> anyhow::Result<Vec<GroupId>> {
        let drafts = (0..count).map(|at| anyhow::Ok(self.group(format!("c{at}"), None)?));
        self.make(drafts.collect::<anyhow::Result<_>>()?).await
    }

    /// A group that may call the model, with three limits that are never reached. CASCADING below another.
    pub(crate) fn group(&self, name: String, parent: Option<GroupId>) -> anyhow::Result<GroupDraft> {
        let slug: Slug = SLUG.parse().ok().context("a slug")?;
        let limit = |kind, unit| LimitDraft { kind, unit, threshold: THRESHOLD };
        let model = ModelDraft {
            slug,
            rate_limits: vec![limit(LimitType::Request, Unit::Minute), limit(LimitType::Token, Unit::Minute)],
            usage_limits: vec![limit(LimitType::Token, Unit::Day)],
            admission: None,
            max_concurrent_requests: None,
        };
        Ok(GroupDraft {
            workspace: self.workspace,
            metadata: Metadata { external_entity_id: name.into(), name: None },
            models: vec![model],
            enforcement: None,
            parent,
        })
    }

    /// Makes groups; none may be the parent of another of them.
    pub(crate) async fn make(&self, drafts: Vec<GroupDraft>) -> anyhow::Result<Vec<GroupId>> {
        self.all(drafts, |cx, draft| {
            let (change, group) = group::create(cx, draft)?;
            Ok((change, group.id))
        })
        .await
    }

    /// Prefixes and whole keys, the groups by turns.
    pub(crate) async fn keys(
        &self,
        groups: &[GroupId],
        count: usize,
    ) -> anyhow::Result<Vec<(Arc<str>, String)>> {
        ensure!(!groups.is_empty(), "keys need groups");
        let whole: Vec<String> = (0..count).map(|_| random_base62(KEY_LEN)).collect();
        let vault = self.store.vault();
        let drafts = whole.iter().zip(groups.iter().cycle()).map(|(whole, group)| {
            let (prefix, hash) = (whole[..PREFIX_LEN].into(), vault.hash(whole.as_bytes()));
            (*group, KeyDraft { prefix, hash, name: None, user_id: None })
        });
        let workspace = self.workspace;
        let prefixes = self
            .all(drafts.collect(), move |cx, (group, draft)| {
                let (change, key) = key::mint(cx, workspace, group, draft)?;
                Ok((change, Arc::clone(&key.prefix)))
            })
            .await?;
        Ok(prefixes.into_iter().zip(whole).collect())
    }

    async fn configs(
        &self,
        numbers: Numbers,
        groups: &[GroupId],
        silent: &[(Arc<str>, String)],
    ) -> anyhow::Result<()> {
        let about = |scope, model: &str, provider: Option<&str>| ConfigIdentity {
            scope,
            model_name: model.into(),
            provider: provider.map(Into::into),
        };
        let matching = [
            about(ConfigScope::Global, ANY_MODEL, None),
            about(ConfigScope::Global, ANY_MODEL, Some(PROVIDER)),
            about(ConfigScope::Global, SLUG, None),
            about(ConfigScope::Global, UPSTREAM_MODEL, None),
        ];
        let others = (0..numbers.others).map(|at| {
            let silent = || silent.get(at).map(|(prefix, _)| ConfigScope::VirtualKey(Arc::clone(prefix)));
            let group = || groups.get(at % groups.len()).map(|group| ConfigScope::Group(*group));
            let (scope, model) = match at % 4 {
                0 => (silent(), ANY_MODEL.to_owned()),
                1 => (Some(ConfigScope::User(format!("user-{at}").into())), ANY_MODEL.to_owned()),
                2 => (group(), format!("other/model-{at}")),
                _ => (Some(ConfigScope::Global), format!("other/model-{at}")),
            };
            about(scope.unwrap_or(ConfigScope::Global), &model, None)
        });
        let workspace = self.workspace;
        let drafts: Vec<_> = matching.into_iter().take(numbers.matching).chain(others).collect();
        self.all(drafts, move |cx, identity| {
            let (change, _) = model_config::create(cx, draft(workspace, identity)?, &mut random_bytes)?;
            Ok((change, ()))
        })
        .await
        .map(drop)
    }

    /// Makes an edit of each, many in one transaction.
    async fn all<D, T>(
        &self,
        drafts: Vec<D>,
        edit: impl Fn(&Context<'_>, D) -> Result<(Change, T), Rejection> + Clone + Send + 'static,
    ) -> anyhow::Result<Vec<T>>
    where
        D: Send + 'static,
        T: Send + 'static,
    {
        let (mut made, mut drafts) = (Vec::new(), drafts.into_iter());
        loop {
            let batch: Vec<D> = drafts.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(made);
            }
            let edit = edit.clone();
            let edited = self.store.edit(self.now, move |cx| together(cx, batch, &edit)).await;
            made.extend(edited.map_err(refused)?);
        }
    }
}

/// One change of many. Each has an id of its own.
fn together<D, T>(
    cx: &Context<'_>,
    drafts: Vec<D>,
    edit: &impl Fn(&Context<'_>, D) -> Result<(Change, T), Rejection>,
) -> Result<(Change, Vec<T>), Rejection> {
    let (mut sum, mut made) = (Change::none(cx), Vec::new());
    for (draft, nth) in drafts.into_iter().zip(0..) {
        let (change, one) = edit(&Context { fresh_id: cx.fresh_id.wrapping_add(nth), ..*cx }, draft)?;
        sum.records.extend(change.records);
        sum.trees.extend(change.trees);
        made.push(one);
    }
    Ok((sum, made))
}

fn draft(workspace: WorkspaceId, identity: ConfigIdentity) -> Result<ConfigDraft, Rejection> {
    let reset = |text: &str| text.parse().map_err(|_| Rejection::Invalid("not a duration".into()));
    Ok(ConfigDraft {
        workspace,
        identity,
        calendar_aligned: true,
        budgets: vec![BudgetDraft { id: None, max: Usd(THRESHOLD), reset: reset("1d")? }],
        rate_limits: RatesDraft::Pair {
            tokens: Some(Rate { max: THRESHOLD, reset: reset("1h")? }),
            requests: Some(Rate { max: THRESHOLD, reset: reset("1h")? }),
        },
    })
}

fn refused(error: EditError) -> anyhow::Error {
    match error {
        EditError::Rejected(rejection) => anyhow::anyhow!("an edit was refused: {rejection:?}"),
        EditError::Unavailable => anyhow::anyhow!("the store cannot be written"),
    }
}
