//! Model configs: create, update, delete, and the view of a provider.
//!
//! Rules follow Bifrost's model configs; `docs/conformance.md` numbers its cases.
//! Begins at [`create`] and [`update`]; `lines` says which line of a config is which after an update.

mod lines;
mod provider;

use std::sync::Arc;

use super::{Change, Context, Inherits, Record, Rejection};
use crate::id::{ConfigId, LineId, WorkspaceId};
use crate::model_config::{ConfigIdentity, ConfigScope, Meter, ModelConfig, Rate};
use crate::money::Usd;
use crate::period::ResetDuration;
use crate::snapshot::Version;

pub use self::provider::{ProviderPatch, delete_provider, put_provider};

/// Budgets that one config may have, and rules of its rate limits.
pub const LINES_MAX: usize = 16;

/// For the client of a budget that is not there.
pub const NO_BUDGET: &str = "No budget with this id exists in this workspace.";
/// For the client of a rate limit that is not there.
pub const NO_RATE_LIMIT: &str = "No rate limit with this id exists in this workspace.";

const NO_CONFIG: &str = "No model config with this id exists in this workspace.";

/// Makes what nobody has made before: the bytes of a new id.
pub type Fresh<'a> = &'a mut dyn FnMut() -> [u8; 16];

/// A model config as a client writes it.
#[derive(Debug, Clone)]
pub struct ConfigDraft {
    /// The tenant that writes.
    pub workspace: WorkspaceId,
    /// What it is about.
    pub identity: ConfigIdentity,
    /// Whether its periods follow the calendar.
    pub calendar_aligned: bool,
    /// Ceilings in USD.
    pub budgets: Vec<BudgetDraft>,
    /// Ceilings on requests and tokens.
    pub rate_limits: RatesDraft,
}

/// A budget as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetDraft {
    /// The budget that this is, on an update.
    pub id: Option<LineId>,
    /// The most that may be spent in a period; above 0.
    pub max: Usd,
    /// How long a period is.
    pub reset: ResetDuration,
}

/// Rate limits as a client writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RatesDraft {
    /// None at all.
    #[default]
    None,
    /// One object. With neither side it is none at all.
    Pair {
        /// On tokens.
        tokens: Option<Rate>,
        /// On requests.
        requests: Option<Rate>,
    },
    /// A list of rules.
    Rules(Vec<RuleDraft>),
}

/// One rule as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDraft {
    /// The rule that this is, on an update.
    pub id: Option<LineId>,
    /// What is counted: requests or tokens.
    pub meter: Meter,
    /// How much of it.
    pub rate: Rate,
}

/// A change to a model config as a client writes it.
#[derive(Debug, Clone, Default)]
pub struct ConfigPatch {
    /// Another model.
    pub model_name: Option<Arc<str>>,
    /// Another provider.
    pub provider: Option<Arc<str>>,
    /// The scope it has: no other one is taken.
    pub scope: Option<Arc<str>>,
    /// Whose, within the scope: no other one is taken.
    pub scope_id: Option<Arc<str>>,
    /// Whether its periods follow the calendar.
    pub calendar_aligned: Option<bool>,
    /// All of its budgets.
    pub budgets: Option<Vec<BudgetDraft>>,
    /// All of its rate limits.
    pub rate_limits: Option<RatesDraft>,
}

/// Creates a model config.
///
/// # Errors
/// A key or group of the scope that is not there; two lines of one length; a config about the same thing (a conflict).
pub fn create(
    cx: &Context<'_>,
    draft: ConfigDraft,
    fresh: Fresh<'_>,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let ConfigDraft { workspace, identity, calendar_aligned, budgets, rate_limits } = draft;
    check_scope(cx, workspace, &identity.scope)?;
    check_free(cx, workspace, &identity)?;
    let id = ConfigId::new(fresh());
    let mut line = || LineId::new(fresh());
    let (budgets, _) = lines::budgets(cx, &[], budgets, &mut line)?;
    let rate_limits = lines::rate_limits(cx, &Default::default(), rate_limits, &mut line)?;
    let config = Arc::new(ModelConfig {
        id,
        workspace,
        serial: cx.version,
        identity,
        calendar_aligned,
        budgets,
        rate_limits,
        created_ms: cx.now_ms,
        updated_ms: cx.now_ms,
    });
    Ok((put(cx, &config, Vec::new()), config))
}

/// Updates a model config. Lines that stay keep what they have used.
///
/// # Errors
/// An unknown config or line; another scope; two lines of one length; a config about the same thing (a conflict).
pub fn update(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: ConfigId,
    patch: ConfigPatch,
    fresh: Fresh<'_>,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let before = visible(cx, workspace, id)?;
    let (after, inherits) = updated(cx, before, patch, fresh)?;
    let after = Arc::new(after);
    Ok((put(cx, &after, inherits), after))
}

/// Deletes a model config and all of its lines.
///
/// # Errors
/// An unknown config.
pub fn delete(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: ConfigId,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let config = visible(cx, workspace, id)?;
    Ok((looked_at_again(cx, config, Record::ModelConfigDeleted { id }), Arc::clone(config)))
}

/// Forgets what a budget has used in its present period.
///
/// # Errors
/// An unknown budget ([`NO_BUDGET`]).
pub fn reset_budget(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    line: LineId,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let has_it = |config: &ModelConfig| config.budgets.iter().any(|budget| budget.id == line);
    reset(cx, workspace, (line, has_it), NO_BUDGET)
}

/// Forgets what a rate limit has used in its present periods, requests and tokens.
///
/// # Errors
/// An unknown rate limit ([`NO_RATE_LIMIT`]).
pub fn reset_rate_limit(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    line: LineId,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let has_it = |config: &ModelConfig| config.rate_limits.iter().any(|limit| limit.id == line);
    reset(cx, workspace, (line, has_it), NO_RATE_LIMIT)
}

fn reset(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    (line, has_it): (LineId, impl Fn(&ModelConfig) -> bool),
    missing: &'static str,
) -> Result<(Change, Arc<ModelConfig>), Rejection> {
    let mut configs = cx.snapshot.configs_after(workspace, Version::default());
    let config = configs.find(|config| has_it(config)).ok_or(Rejection::NotFound(missing))?;
    Ok((Change::of(cx, Record::LineReset { config: Arc::clone(config), line }), Arc::clone(config)))
}

fn updated(
    cx: &Context<'_>,
    before: &ModelConfig,
    patch: ConfigPatch,
    fresh: Fresh<'_>,
) -> Result<(ModelConfig, Vec<Inherits>), Rejection> {
    let ConfigPatch { model_name, provider, scope, scope_id, calendar_aligned, budgets, rate_limits } = patch;
    check_same_scope(&before.identity.scope, scope.as_deref(), scope_id.as_deref())?;
    let mut line = || LineId::new(fresh());
    let mut after = ModelConfig { updated_ms: cx.now_ms, ..before.clone() };
    after.identity.model_name = model_name.unwrap_or(after.identity.model_name);
    after.identity.provider = provider.or(after.identity.provider);
    if after.identity != before.identity {
        check_free(cx, before.workspace, &after.identity)?;
    }
    after.calendar_aligned = calendar_aligned.unwrap_or(before.calendar_aligned);
    let mut inherits = Vec::new();
    if let Some(drafts) = budgets {
        (after.budgets, inherits) = lines::budgets(cx, &before.budgets, drafts, &mut line)?;
    }
    if let Some(drafts) = rate_limits {
        after.rate_limits = lines::rate_limits(cx, &before.rate_limits, drafts, &mut line)?;
    }
    Ok((after, inherits))
}

fn visible<'a>(
    cx: &Context<'a>,
    workspace: WorkspaceId,
    id: ConfigId,
) -> Result<&'a Arc<ModelConfig>, Rejection> {
    let config = cx.snapshot.config(id).filter(|config| config.workspace == workspace);
    config.ok_or(Rejection::NotFound(NO_CONFIG))
}

/// The key or group must be there when the config is made. Should it go, the config stays and binds nothing.
fn check_scope(cx: &Context<'_>, workspace: WorkspaceId, scope: &ConfigScope) -> Result<(), Rejection> {
    match scope {
        ConfigScope::VirtualKey(prefix) if cx.snapshot.key_by_prefix(workspace, prefix).is_none() => {
            Err(Rejection::invalid(
                "scope_id: no key with this prefix exists in this workspace; name one by its prefix.",
            ))
        }
        ConfigScope::Group(id) if cx.snapshot.group(*id).is_none_or(|group| group.workspace != workspace) => {
            Err(Rejection::invalid(
                "scope_id: no group with this id exists in this workspace; name one by its id.",
            ))
        }
        ConfigScope::Global | ConfigScope::VirtualKey(_) | ConfigScope::User(_) | ConfigScope::Group(_) => {
            Ok(())
        }
    }
}

fn check_same_scope(scope: &ConfigScope, name: Option<&str>, id: Option<&str>) -> Result<(), Rejection> {
    let same_name = name.is_none_or(|name| name == scope.name());
    // That of a global config is dropped wherever it is sent.
    let same_id = *scope == ConfigScope::Global || id.is_none_or(|id| scope.id().as_deref() == Some(id));
    if same_name && same_id {
        return Ok(());
    }
    let field = if same_name { "scope_id" } else { "scope" };
    Err(Rejection::invalid(format!("{field} of a model config cannot change; create another config.")))
}

fn check_free(cx: &Context<'_>, workspace: WorkspaceId, identity: &ConfigIdentity) -> Result<(), Rejection> {
    if cx.snapshot.config_about(workspace, identity.clone()).is_none() {
        return Ok(());
    }
    let ConfigIdentity { scope, model_name, provider } = identity;
    let provider =
        provider.as_deref().map_or_else(|| "every provider".to_owned(), |name| format!("provider `{name}`"));
    let of = scope.id().map(|id| format!(" `{id}`")).unwrap_or_default();
    Err(Rejection::Conflict(
        format!(
            "A model config for model `{model_name}`, {provider}, scope {}{of} exists already; update that one.",
            scope.name()
        )
        .into(),
    ))
}

fn put(cx: &Context<'_>, config: &Arc<ModelConfig>, inherits: Vec<Inherits>) -> Change {
    looked_at_again(cx, config, Record::ModelConfig { config: Arc::clone(config), inherits })
}

/// The calls that a config is about have to look at it before they are admitted.
fn looked_at_again(cx: &Context<'_>, config: &ModelConfig, record: Record) -> Change {
    let change = Change::of(cx, record);
    let root = |group| cx.snapshot.group(group).map(|group| group.root);
    match &config.identity.scope {
        ConfigScope::Global | ConfigScope::User(_) => Change { workspaces: vec![config.workspace], ..change },
        ConfigScope::Group(group) => Change { trees: root(*group).into_iter().collect(), ..change },
        ConfigScope::VirtualKey(prefix) => {
            let key = cx.snapshot.key_by_prefix(config.workspace, prefix);
            Change { trees: key.and_then(|key| root(key.group)).into_iter().collect(), ..change }
        }
    }
}
