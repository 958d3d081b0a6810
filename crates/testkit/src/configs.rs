//! Model configs of a gateway under test: made and changed as edits, looked at by what their lines have used.

use std::sync::Arc;

use domain::edit;
use domain::edit::model_config::{self, BudgetDraft, ConfigDraft, ConfigPatch, RatesDraft, RuleDraft};
use domain::{
    Change, Clock as _, ConfigId, ConfigIdentity, ConfigScope, Context, Line, LineId, Meter, ModelConfig,
    PriceBook, PriceSource, Rate, Rejection, ResetDuration, Usd, WorkspaceId,
};
use serde_json::Value;

use crate::gateway::Gateway;

impl Gateway {
    /// Makes a model config of the first workspace, written as its published object: `model_name`, `provider`, `scope`,
    /// `scope_id`, `calendar_aligned`, `budgets` and `rate_limit` (or `rate_limits`).
    pub async fn model_config(&self, body: Value) -> Arc<ModelConfig> {
        self.model_config_in(self.only_workspace(), body).await
    }

    /// The same in another workspace.
    pub async fn model_config_in(&self, workspace: WorkspaceId, body: Value) -> Arc<ModelConfig> {
        let identity = ConfigIdentity {
            scope: scope(&body),
            model_name: text(&body, "model_name").expect("a model config has a model"),
            provider: text(&body, "provider"),
        };
        let draft = ConfigDraft {
            workspace,
            identity,
            calendar_aligned: body["calendar_aligned"] == true,
            budgets: budgets(&body).unwrap_or_default(),
            rate_limits: rates(&body).unwrap_or_default(),
        };
        self.edited(move |cx| model_config::create(cx, draft, &mut storage::random_bytes)).await
    }

    /// Changes a model config, written as a published update: what is absent stays.
    pub async fn change_config(&self, config: &ModelConfig, body: Value) -> Arc<ModelConfig> {
        let (workspace, id) = (config.workspace, config.id);
        let patch = ConfigPatch {
            model_name: text(&body, "model_name"),
            provider: text(&body, "provider"),
            calendar_aligned: body["calendar_aligned"].as_bool(),
            budgets: budgets(&body),
            rate_limits: rates(&body),
            ..ConfigPatch::default()
        };
        self.edited(move |cx| model_config::update(cx, workspace, id, patch, &mut storage::random_bytes))
            .await
    }

    /// Deletes a model config.
    pub async fn delete_config(&self, config: &ModelConfig) {
        let (workspace, id) = (config.workspace, config.id);
        self.edited(move |cx| model_config::delete(cx, workspace, id)).await;
    }

    /// Lets a budget forget what it has used.
    pub async fn reset_budget(&self, config: &ModelConfig, budget: LineId) {
        let workspace = config.workspace;
        self.edited(move |cx| model_config::reset_budget(cx, workspace, budget)).await;
    }

    /// Lets a rate limit forget what it has used.
    pub async fn reset_rate_limit(&self, config: &ModelConfig, limit: LineId) {
        let workspace = config.workspace;
        self.edited(move |cx| model_config::reset_rate_limit(cx, workspace, limit)).await;
    }

    /// What each line of a model config, as it stands now, has used: what calls in flight hold is not in it.
    pub fn lines_used(&self, config: ConfigId) -> Vec<u64> {
        let (store, now) = (self.store(), self.clock.now());
        let snapshot = store.snapshot();
        let config = snapshot.config(config).expect("the config is there");
        config.lines().map(|line| store.line_used(&snapshot, config, &line, now)).collect()
    }

    /// What its first budget has used, in nano-dollars.
    pub fn spent(&self, config: &ModelConfig) -> u64 {
        let usd = |line: &(Line<'_>, u64)| line.0.meter == Meter::Usd;
        let snapshot = self.store().snapshot();
        let config = snapshot.config(config.id).expect("the config is there");
        let used = self.lines_used(config.id);
        let line = config.lines().zip(used).find(usd);
        line.expect("the config has a budget").1
    }

    /// Puts these prices in the place of all that their source had: provider, model there, price.
    pub async fn prices(&self, source: PriceSource, prices: &[(&str, &str, Value)]) {
        let price = |(provider, model, pricing): &(&str, &str, Value)| {
            let pricing = serde_json::from_value(pricing.clone()).expect("a price");
            (((*provider).into(), (*model).into()), Arc::new(pricing))
        };
        let book = PriceBook(prices.iter().map(price).collect());
        let edit = move |cx: &Context<'_>| Ok((edit::prices::replace(cx, source, book), ()));
        self.store().edit(self.clock.now(), edit).await.expect("the edit is made");
    }

    /// The workspace that the gateway began with.
    pub fn only_workspace(&self) -> WorkspaceId {
        let snapshot = self.store().snapshot();
        let first = snapshot.workspaces().min_by_key(|workspace| workspace.serial);
        first.expect("there is always a workspace").id
    }

    async fn edited<F>(&self, edit: F) -> Arc<ModelConfig>
    where
        F: FnOnce(&Context<'_>) -> Result<(Change, Arc<ModelConfig>), Rejection> + Send + 'static,
    {
        self.store().edit(self.clock.now(), edit).await.expect("the edit is made")
    }
}

fn scope(body: &Value) -> ConfigScope {
    let id = || text(body, "scope_id").expect("this scope has an id");
    match body["scope"].as_str() {
        None | Some("global") => ConfigScope::Global,
        Some("virtual_key") => ConfigScope::VirtualKey(id()),
        Some("user") => ConfigScope::User(id()),
        Some("group") => ConfigScope::Group(id().parse().expect("a group's id")),
        Some(other) => panic!("there is no scope {other}"),
    }
}

fn budgets(body: &Value) -> Option<Vec<BudgetDraft>> {
    let budget = |line: &Value| BudgetDraft {
        id: text(line, "id").map(|id| id.parse().expect("a line's id")),
        max: usd(&line["max_limit"]),
        reset: reset(&line["reset_duration"]),
    };
    Some(body["budgets"].as_array()?.iter().map(budget).collect())
}

fn rates(body: &Value) -> Option<RatesDraft> {
    if let Some(rules) = body["rate_limits"].as_array() {
        return Some(RatesDraft::Rules(rules.iter().map(rule).collect()));
    }
    let pair = body["rate_limit"].as_object()?;
    let side = |max: &str, duration: &str| {
        Some(Rate { max: pair.get(max)?.as_u64()?, reset: reset(pair.get(duration)?) })
    };
    Some(RatesDraft::Pair {
        tokens: side("token_max_limit", "token_reset_duration"),
        requests: side("request_max_limit", "request_reset_duration"),
    })
}

fn rule(rule: &Value) -> RuleDraft {
    let meter = rule["metric"].as_str().and_then(|word| word.parse().ok());
    let max = rule["max_limit"].as_u64().expect("a number");
    let rate = Rate { max, reset: reset(&rule["reset_duration"]) };
    RuleDraft { id: None, meter: meter.expect("requests or tokens"), rate }
}

fn text(body: &Value, field: &str) -> Option<Arc<str>> {
    body[field].as_str().map(Into::into)
}

fn usd(amount: &Value) -> Usd {
    serde_json::from_value(amount.clone()).expect("an amount in USD")
}

fn reset(duration: &Value) -> ResetDuration {
    duration.as_str().and_then(|text| text.parse().ok()).expect("a duration")
}
