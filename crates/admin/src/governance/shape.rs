//! The form of governance bodies: JSON to drafts.
//!
//! Members that only our answers have may be sent back and state nothing ([`Echo`]); any other member that we do not
//! know is refused by name, so that nothing is silently dropped. Begins at [`CreateBody`] and [`UpdateBody`].

mod budgets;
mod rates;

use std::sync::Arc;

use domain::edit::model_config::{ConfigDraft, ConfigPatch, LINES_MAX, ProviderPatch};
use domain::{ConfigId, ConfigIdentity, ConfigScope, ModelConfig, RateLimits, USER_LEN_MAX, WorkspaceId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::ToSchema;

use self::budgets::{BudgetBody, aligned};
use self::rates::{PairBody, RuleBody};
use crate::error::Error;
use crate::json::Object;

/// Longest name of a model, in bytes: as long as the longest slug.
const MODEL_NAME_LEN_MAX: usize = 255;
/// Longest name of a provider, in bytes: as long as those that targets have.
const PROVIDER_LEN_MAX: usize = 64;
const _: () = assert!(LINES_MAX == 16, "the document says so");

/// A new model config.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ModelConfigCreate, examples(json!({
    "model_name": "acme/chat",
    "budgets": [{ "max_limit": 10, "reset_duration": "1d" }, { "max_limit": 100, "reset_duration": "1M" }],
    "rate_limit": { "token_max_limit": 100_000, "token_reset_duration": "1m" },
})))]
pub(super) struct CreateBody {
    /// A slug, a model's name at its provider, or `*` for all; case-sensitive.
    #[schema(min_length = 1, max_length = 255)]
    model_name: String,
    /// Who serves; left out for every provider. Case does not matter.
    #[schema(min_length = 1, max_length = 64)]
    provider: Option<String>,
    /// `global` if it is left out.
    #[schema(value_type = Option<ScopeWord>)]
    scope: Option<String>,
    /// A key's prefix, a user or a group's `id`. Dropped where the scope is `global`, needed anywhere else.
    #[schema(max_length = 256)]
    scope_id: Option<String>,
    /// Whether whole days, weeks, months and years follow the calendar in UTC.
    calendar_aligned: Option<bool>,
    #[schema(value_type = Option<Vec<BudgetBody>>, max_items = 16)]
    budgets: Option<Vec<Object<BudgetBody>>>,
    /// One budget, in place of `budgets`.
    #[schema(value_type = Option<BudgetBody>)]
    budget: Option<Object<BudgetBody>>,
    #[schema(value_type = Option<PairBody>)]
    rate_limit: Option<Object<PairBody>>,
    /// Any number of rules, in place of `rate_limit`.
    #[schema(value_type = Option<Vec<RuleBody>>, max_items = 16)]
    rate_limits: Option<Vec<Object<RuleBody>>>,
}

/// What to change of a model config. What is left out or `null` stays; an answer may be sent back as it came.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ModelConfigUpdate)]
pub(super) struct UpdateBody {
    #[schema(min_length = 1, max_length = 255)]
    model_name: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    provider: Option<String>,
    /// Cannot change: if it is sent, it must be as it is.
    scope: Option<String>,
    /// Cannot change: if it is sent, it must be as it is.
    scope_id: Option<String>,
    calendar_aligned: Option<bool>,
    /// All of them: one that is not listed goes.
    #[schema(value_type = Option<Vec<BudgetBody>>, max_items = 16)]
    budgets: Option<Vec<Object<BudgetBody>>>,
    /// The only budget; beside `budgets` it has to be the first of them.
    #[schema(value_type = Option<BudgetBody>)]
    budget: Option<Object<BudgetBody>>,
    /// Both sides: one that is left out goes.
    #[schema(value_type = Option<PairBody>)]
    rate_limit: Option<Object<PairBody>>,
    /// All of them: a rule that is not listed goes.
    #[schema(value_type = Option<Vec<RuleBody>>, max_items = 16)]
    rate_limits: Option<Vec<Object<RuleBody>>>,
    /// Cannot change: if it is sent, it must be as it is.
    id: Option<ConfigId>,
    #[serde(default, rename = "scope_name")]
    _scope_name: Echo,
    #[serde(default, rename = "rate_limit_id")]
    _rate_limit_id: Echo,
    #[serde(default, rename = "budget_id")]
    _budget_id: Echo,
    #[serde(default, rename = "budget_ids")]
    _budget_ids: Echo,
    #[serde(default, rename = "config_hash")]
    _config_hash: Echo,
    #[serde(default, rename = "created_at")]
    _created_at: Echo,
    #[serde(default, rename = "updated_at")]
    _updated_at: Echo,
}

/// What may be spent at a provider. What is left out or `null` stays; with no limit left the provider has no entry.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderLimitsPut)]
pub(super) struct ProviderBody {
    /// That of the path.
    provider: Option<String>,
    calendar_aligned: Option<bool>,
    /// All of them: one that is not listed goes.
    #[schema(value_type = Option<Vec<BudgetBody>>, max_items = 16)]
    budgets: Option<Vec<Object<BudgetBody>>>,
    /// The only budget; beside `budgets` it has to be the first of them.
    #[schema(value_type = Option<BudgetBody>)]
    budget: Option<Object<BudgetBody>>,
    /// Both sides: one that is left out goes.
    #[schema(value_type = Option<PairBody>)]
    rate_limit: Option<Object<PairBody>>,
    /// All of them: a rule that is not listed goes.
    #[schema(value_type = Option<Vec<RuleBody>>, max_items = 16)]
    rate_limits: Option<Vec<Object<RuleBody>>>,
}

/// Whose calls a config is about.
// For the document alone: an unknown word is refused by name, which a type of words would not do.
#[derive(ToSchema)]
#[schema(as = ModelConfigScope, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum ScopeWord {
    /// Every call in the workspace.
    Global,
    /// Those by one key.
    VirtualKey,
    /// Those made for one end user.
    User,
    /// Those by a group and every group below it.
    Group,
}

/// Something that our answers say and nobody can set. It may be sent back, and is ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(value_type = Value)]
struct Echo(IgnoredAny);

impl CreateBody {
    /// The config that the client wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself.
    pub(super) fn draft(self, workspace: WorkspaceId) -> Result<ConfigDraft, Error> {
        let identity = ConfigIdentity {
            model_name: model_name(&self.model_name)?,
            scope: scope(self.scope.as_deref().unwrap_or("global"), self.scope_id)?,
            provider: self.provider.as_deref().map(provider).transpose()?,
        };
        let budgets = budgets::of_new(self.budgets, self.budget)?;
        let calendar_aligned = self.calendar_aligned.unwrap_or_else(|| aligned(&budgets));
        let rate_limits = rates::written(self.rate_limit, self.rate_limits, &RateLimits::None)?;
        Ok(ConfigDraft {
            workspace,
            identity,
            calendar_aligned,
            budgets: budgets.into_iter().map(BudgetBody::draft).collect(),
            rate_limits: rate_limits.unwrap_or_default(),
        })
    }
}

impl UpdateBody {
    /// The change that the client wants of `config`.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself, or beside what there is.
    pub(super) fn patch(self, config: &ModelConfig) -> Result<ConfigPatch, Error> {
        if self.id.is_some_and(|id| id != config.id) {
            return Err(Error::invalid("id of a model config cannot change; leave it out."));
        }
        let budgets = budgets::of_known(self.budgets, self.budget, &config.budgets)?;
        Ok(ConfigPatch {
            model_name: self.model_name.as_deref().map(model_name).transpose()?,
            provider: self.provider.as_deref().map(provider).transpose()?,
            scope: self.scope.map(Arc::from),
            scope_id: self.scope_id.map(Arc::from),
            calendar_aligned: self.calendar_aligned,
            budgets: budgets.map(|budgets| budgets.into_iter().map(BudgetBody::draft).collect()),
            rate_limits: rates::written(self.rate_limit, self.rate_limits, &config.rate_limits)?,
        })
    }
}

impl ProviderBody {
    /// The change that the client wants of what may be spent at the provider called `name`, given its config.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself, or beside what there is.
    pub(super) fn patch(self, name: &str, config: Option<&ModelConfig>) -> Result<ProviderPatch, Error> {
        if self.provider.is_some_and(|stated| folded(&stated) != name) {
            return Err(Error::invalid("provider is another one than in the path; leave it out."));
        }
        let before = config.map_or(&[][..], |config| &config.budgets);
        let budgets = budgets::of_known(self.budgets, self.budget, before)?;
        // Only what is new can take it from its lines.
        let by_lines = || budgets.as_deref().filter(|_| config.is_none()).map(aligned);
        let calendar_aligned = self.calendar_aligned.or_else(by_lines);
        let known_rates = config.map_or(&RateLimits::None, |config| &config.rate_limits);
        Ok(ProviderPatch {
            calendar_aligned,
            budgets: budgets.map(|budgets| budgets.into_iter().map(BudgetBody::draft).collect()),
            rate_limits: rates::written(self.rate_limit, self.rate_limits, known_rates)?,
        })
    }
}

/// A provider's name as it is compared.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

fn provider(text: &str) -> Result<Arc<str>, Error> {
    let name = folded(text);
    match name.len() {
        0 => Err(Error::invalid("provider is empty; leave it out for every provider.")),
        1..=PROVIDER_LEN_MAX => Ok(name.into()),
        _ => Err(Error::invalid(format!("provider is longer than {PROVIDER_LEN_MAX} bytes."))),
    }
}

fn model_name(text: &str) -> Result<Arc<str>, Error> {
    let name = text.trim();
    match name.len() {
        0 => Err(Error::invalid("model_name is empty; name a model, or `*` for all.")),
        1..=MODEL_NAME_LEN_MAX => Ok(name.into()),
        _ => Err(Error::invalid(format!("model_name is longer than {MODEL_NAME_LEN_MAX} bytes."))),
    }
}

fn scope(word: &str, id: Option<String>) -> Result<ConfigScope, Error> {
    match word {
        "global" => Ok(ConfigScope::Global),
        "virtual_key" => Ok(ConfigScope::VirtualKey(scope_id(id)?.into())),
        "user" => Ok(ConfigScope::User(scope_id(id)?.into())),
        "group" => {
            let unknown = |_| {
                Error::invalid(
                    "scope_id: no group with this id exists in this workspace; name one by its id.",
                )
            };
            scope_id(id)?.parse().map(ConfigScope::Group).map_err(unknown)
        }
        other => {
            Err(Error::invalid(format!("scope `{other}` is not one of global, virtual_key, user and group.")))
        }
    }
}

fn scope_id(id: Option<String>) -> Result<String, Error> {
    match id {
        Some(id) if id.len() > USER_LEN_MAX => {
            Err(Error::invalid(format!("scope_id is longer than {USER_LEN_MAX} bytes.")))
        }
        Some(id) if !id.is_empty() => Ok(id),
        Some(_) | None => Err(Error::invalid(
            "scope_id is missing; send a key's prefix, a user or a group's id, as the scope wants it.",
        )),
    }
}

#[cfg(test)]
mod tests;
