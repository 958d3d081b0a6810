//! The clerk: makes and edits model configs and prices while calls run, and writes down what was in force when.
//!
//! Configs are edited through the store, as management does; prices through management itself.
//!
//! Begins at [`Clerk::open`] and [`Clerk::work`].

use std::sync::Arc;
use std::time::Duration;

use domain::edit::model_config::{self, BudgetDraft, ConfigDraft, ConfigPatch, RatesDraft};
use domain::{
    ANY_MODEL, Change, Clock as _, ConfigId, ConfigIdentity, ConfigScope, Context, Meter, ModelConfig, Rate,
    Rejection, Usd, WorkspaceId,
};
use http::Method;
use serde_json::json;
use storage::{EditError, Store, random_bytes};

use crate::chance::Chance;
use crate::clock::SteppedClock;
use crate::configs::{
    Config, Fate, Length, Line, LineKey, Model, PROVIDER, SHORT, Scope, UPSTREAM_MODEL, Wish,
};
use crate::history::Timeline;
use crate::http::Desk;
use crate::load::Scene;
use crate::prices::Price;
use crate::world::{SLUGS, World};

/// Everything about configs and prices that was in force in a run.
#[derive(Debug, Default)]
pub struct Record {
    /// The lines of each config; none while it is not there.
    pub configs: Vec<Timeline<Vec<Line>>>,
    /// The price of each model.
    pub prices: Vec<Timeline<Price>>,
    /// Lines that were reset: when it was asked for, and answered.
    pub resets: Vec<(LineKey, (u64, u64))>,
    /// Edits that were made.
    pub taken: u64,
    /// Edits that failed.
    pub wrong: Vec<String>,
}

/// Who edits.
#[derive(Debug)]
pub struct Clerk {
    office: Option<Office>,
    desk: Desk,
    record: Record,
    made: Vec<Option<(ConfigId, Vec<Wish>)>>,
    endpoints: Vec<Endpoint>,
}

/// Where configs are edited.
#[derive(Debug)]
pub struct Office {
    /// The store under the gateway.
    pub store: Store,
    /// The gateway's clock.
    pub clock: Arc<SteppedClock>,
    /// The tenant whose configs they are.
    pub workspace: WorkspaceId,
}

/// A model and where management keeps it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where.
    pub path: String,
    /// Where its calls go.
    pub base_url: String,
}

/// One target, at this price.
#[must_use]
pub fn target(base_url: &str, price: &Price) -> serde_json::Value {
    json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": UPSTREAM_MODEL,
        "pricing": price.json(),
    })
}

impl Clerk {
    /// Makes every config of the world. Without an office there are none.
    ///
    /// # Errors
    /// A config that is not taken.
    pub async fn open(
        world: &World,
        office: Option<Office>,
        desk: Desk,
        endpoints: Vec<Endpoint>,
    ) -> anyhow::Result<Self> {
        let prices = world.prices.iter().cloned().map(Timeline::new).collect();
        let record = Record { prices, ..Record::default() };
        let mut clerk = Self { office, desk, record, made: Vec::new(), endpoints };
        if clerk.office.is_some() {
            for config in &world.configs {
                clerk.record.configs.push(Timeline::new(Vec::new()));
                clerk.made.push(None);
                let at = clerk.made.len() - 1;
                clerk.make(world, at, config.wishes.clone(), 0).await;
            }
        }
        anyhow::ensure!(clerk.record.wrong.is_empty(), "{}", clerk.record.wrong.join("; "));
        Ok(clerk)
    }

    /// Edits, one edit after the other, until the load ends.
    pub async fn work(mut self, scene: Arc<Scene>, mut chance: Chance) -> Record {
        while scene.clock.us() < scene.until_us {
            tokio::time::sleep(Duration::from_millis(chance.log_between(2, 300))).await;
            let asked_us = scene.clock.us();
            if self.made.is_empty() || chance.percent(10) {
                self.change_price(&scene.clock, asked_us, &mut chance).await;
                continue;
            }
            let at = chance.index(self.made.len());
            let config = &scene.world.configs[at];
            let changes = config.fate == Fate::Changes;
            match &self.made[at] {
                None => self.make(&scene.world, at, config.wishes.clone(), asked_us).await,
                Some((id, _)) if changes && chance.percent(8) => self.delete(at, *id, asked_us).await,
                Some((_, wishes)) if changes && chance.percent(15) => {
                    let wish = wishes[chance.index(wishes.len())];
                    self.reset(wish, asked_us).await;
                }
                Some((id, wishes)) => {
                    let mut wishes = wishes.clone();
                    change(config, &mut wishes, &mut chance);
                    self.update(at, *id, wishes, asked_us).await;
                }
            }
        }
        self.record
    }

    async fn make(&mut self, world: &World, at: usize, wishes: Vec<Wish>, asked_us: u64) {
        let Some(office) = &self.office else { return };
        let config = &world.configs[at];
        let draft = office.draft(world, config, &wishes);
        let made = office.edit(move |cx| model_config::create(cx, draft, &mut || random_bytes())).await;
        self.write_down(at, wishes, (asked_us, made));
    }

    async fn update(&mut self, at: usize, id: ConfigId, wishes: Vec<Wish>, asked_us: u64) {
        let Some(office) = &self.office else { return };
        let (workspace, patch) = (office.workspace, patch(&wishes));
        let made = office
            .edit(move |cx| model_config::update(cx, workspace, id, patch, &mut || random_bytes()))
            .await;
        self.write_down(at, wishes, (asked_us, made));
    }

    async fn delete(&mut self, at: usize, id: ConfigId, asked_us: u64) {
        let Some(office) = &self.office else { return };
        let workspace = office.workspace;
        match office.edit(move |cx| model_config::delete(cx, workspace, id)).await {
            Ok(_) => {
                self.made[at] = None;
                let answered_us = office.clock.us();
                self.record.configs[at].edit(Vec::new(), (asked_us, answered_us));
                self.record.taken += 1;
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn reset(&mut self, wish: Wish, asked_us: u64) {
        let (Some(office), Some(line)) = (&self.office, wish.line) else { return };
        let workspace = office.workspace;
        let done = office
            .edit(move |cx| match wish.meter {
                Meter::Usd => model_config::reset_budget(cx, workspace, line),
                Meter::Requests | Meter::Tokens => model_config::reset_rate_limit(cx, workspace, line),
            })
            .await;
        match done {
            Ok(config) => {
                let span = (asked_us, office.clock.us());
                let reset = config.lines().filter(|its| its.id == line);
                self.record.resets.extend(reset.map(|its| ((its.id, its.meter), span)));
                self.record.taken += 1;
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn change_price(&mut self, clock: &SteppedClock, asked_us: u64, chance: &mut Chance) {
        let slug = chance.index(SLUGS.len());
        let (price, endpoint) = (Price::draw(slug, chance), &self.endpoints[slug]);
        let body = json!({ "targets": [target(&endpoint.base_url, &price)] });
        match self.desk.must(Method::PATCH, &endpoint.path, &body).await {
            Ok(_) => {
                self.record.prices[slug].edit(price, (asked_us, clock.us()));
                self.record.taken += 1;
            }
            Err(error) => self.record.wrong.push(format!("a price was not taken: {error:#}")),
        }
    }

    /// A config is in force as it was answered.
    fn write_down(
        &mut self,
        at: usize,
        wishes: Vec<Wish>,
        (asked_us, made): (u64, Result<Arc<ModelConfig>, EditError>),
    ) {
        let Some(office) = &self.office else { return };
        let config = match made {
            Ok(config) => config,
            Err(error) => return self.failed(&error),
        };
        let lines = lines(&config, &wishes);
        let known = |wish: Wish| Wish {
            line: lines.iter().find(|line| is(line, &wish)).map(|line| line.key.0),
            ..wish
        };
        let span = (asked_us, office.clock.us());
        self.made[at] = Some((config.id, wishes.into_iter().map(known).collect()));
        self.record.configs[at].edit(lines, span);
        self.record.taken += 1;
    }

    fn failed(&mut self, error: &EditError) {
        self.record.wrong.push(format!("an edit of a model config failed: {error:?}"));
    }
}

impl Office {
    async fn edit<F>(&self, edit: F) -> Result<Arc<ModelConfig>, EditError>
    where
        F: FnOnce(&Context<'_>) -> Result<(Change, Arc<ModelConfig>), Rejection> + Send + 'static,
    {
        self.store.edit(self.clock.now(), edit).await
    }

    fn draft(&self, world: &World, config: &Config, wishes: &[Wish]) -> ConfigDraft {
        let scope = match config.scope {
            Scope::Global => ConfigScope::Global,
            Scope::Key(tree, group) => {
                ConfigScope::VirtualKey(world.trees[tree].groups[group].prefix.as_str().into())
            }
            Scope::User(user) => ConfigScope::User(user.into()),
            Scope::Group(tree, group) => {
                let id = world.trees[tree].groups[group].id.parse();
                ConfigScope::Group(id.unwrap_or(domain::GroupId(0)))
            }
        };
        let model_name = match config.model {
            Model::Any => ANY_MODEL,
            Model::Slug(slug) => SLUGS[slug],
            Model::Upstream => UPSTREAM_MODEL,
        };
        ConfigDraft {
            workspace: self.workspace,
            identity: ConfigIdentity {
                scope,
                model_name: model_name.into(),
                provider: config.provider.then(|| PROVIDER.into()),
            },
            calendar_aligned: config.aligned,
            budgets: budgets(wishes),
            rate_limits: rates(wishes),
        }
    }
}

/// One limit is scaled, or its periods become others; or a budget comes or goes.
fn change(config: &Config, wishes: &mut Vec<Wish>, chance: &mut Chance) {
    let at = chance.index(wishes.len());
    let other = SHORT[chance.index(SHORT.len())];
    let is_free =
        |length: Length| !wishes.iter().any(|wish| wish.meter == Meter::Usd && wish.length == length);
    let more = wishes.len() > config.wishes.len();
    let changes = config.fate == Fate::Changes;
    if changes && chance.percent(12) && is_free(other) {
        wishes[at].length = other;
    } else if changes && chance.percent(12) && is_free(other) && !more {
        wishes.push(Wish {
            line: None,
            meter: Meter::Usd,
            max: chance.log_between(10_000_000, 2_000_000_000),
            length: other,
        });
    } else if changes && chance.percent(30) && more {
        wishes.pop();
    } else {
        // Around what it was at first, so that it does not grow out of reach.
        let first = config.wishes.get(at).map_or(wishes[at].max, |wish| wish.max);
        wishes[at].max = (first.saturating_mul(chance.between(40, 250)) / 100).max(1);
    }
}

fn patch(wishes: &[Wish]) -> ConfigPatch {
    ConfigPatch { budgets: Some(budgets(wishes)), rate_limits: Some(rates(wishes)), ..ConfigPatch::default() }
}

fn budgets(wishes: &[Wish]) -> Vec<BudgetDraft> {
    let of_money = wishes.iter().filter(|wish| wish.meter == Meter::Usd);
    let draft = |wish: &Wish| {
        Some(BudgetDraft { id: wish.line, max: Usd(wish.max), reset: wish.length.text.parse().ok()? })
    };
    of_money.filter_map(draft).collect()
}

fn rates(wishes: &[Wish]) -> RatesDraft {
    let side = |meter| {
        let wish = wishes.iter().find(|wish| wish.meter == meter)?;
        Some(Rate { max: wish.max, reset: wish.length.text.parse().ok()? })
    };
    RatesDraft::Pair { tokens: side(Meter::Tokens), requests: side(Meter::Requests) }
}

/// The lines of a config that was wished for, with the anchors that it says.
fn lines(config: &ModelConfig, wishes: &[Wish]) -> Vec<Line> {
    let mut lines = Vec::new();
    for wish in wishes {
        let budget = config.budgets.iter().filter(|_| wish.meter == Meter::Usd);
        let mut budgets = budget.map(|budget| (budget.id, &budget.reset, budget.created_ms));
        let rate = config
            .rate_limits
            .iter()
            .filter_map(|limit| limit.side(wish.meter).map(|side| (limit.id, &side.reset, limit.created_ms)));
        let found = budgets.by_ref().chain(rate).find(|(_, reset, _)| reset.as_str() == wish.length.text);
        lines.extend(found.map(|(id, _, created_ms)| Line {
            key: (id, wish.meter),
            max: wish.max,
            length: wish.length,
            anchor_ms: if config.calendar_aligned && wish.length.text.ends_with('d') {
                0
            } else {
                created_ms
            },
        }));
    }
    lines
}

fn is(line: &Line, wish: &Wish) -> bool {
    (line.key.1, line.length) == (wish.meter, wish.length)
}
