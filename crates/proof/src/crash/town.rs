//! The customers of a crash run: five levels CASCADING, a parent with two children INDEPENDENT, a budget for all.
//!
//! Every group has limits of its own on both models: REQUEST and TOKEN, per MINUTE and DAY. They are never reached, but
//! for one group's requests per minute, so that refusals are met as well. One group is admitted in `hard`.
//! Begins at [`Town::build`].

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use super::counters::{Counter, Measure, Owner, Window};
use crate::configs::UPSTREAM_MODEL;
use crate::edits::{number, rows};
use crate::http::Desk;
use crate::world::SLUGS;

/// Never reached.
const AMPLE: u64 = 1_000_000_000_000;
/// Reached.
const TIGHT: u64 = 8;
/// Nano-dollars of a token read, and of one written: no cost is rounded.
pub const PRICE: (u64, u64) = (1_000, 2_000);
/// Levels of the CASCADING tree; the groups behind them are INDEPENDENT.
const LEVELS: usize = 5;
/// The group that is refused now and then, and the one that is admitted in `hard`.
const TIGHT_GROUP: usize = 6;
const HARD_GROUP: usize = 7;
const GROUPS: usize = 8;

/// Everybody.
#[derive(Debug)]
pub struct Town {
    /// Parents before children.
    pub groups: Vec<Group>,
}

/// One group with its key.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its caller's credential.
    pub key: String,
    /// Whose counters its calls are on: its own and, CASCADING, those above.
    pub counted_by: Vec<usize>,
}

impl Town {
    /// Makes endpoints, groups, keys and the budget.
    ///
    /// # Errors
    /// Whatever the gateway does not take.
    pub async fn build(desk: &mut Desk, base_url: &str) -> anyhow::Result<Self> {
        for slug in SLUGS {
            let target = json!({
                "provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": UPSTREAM_MODEL,
                "pricing": { "input_per_million": "1", "output_per_million": "2" },
            });
            let endpoint = json!({ "slug": slug, "targets": [target] });
            desk.must(Method::POST, "/v1/gateway/endpoints", &endpoint).await?;
        }
        let budget = json!({
            "model_name": "*", "calendar_aligned": true,
            "budgets": [{ "max_limit": 1_000_000, "reset_duration": "1d" }],
        });
        desk.must(Method::POST, "/api/governance/model-configs", &budget).await?;
        let mut town = Self { groups: Vec::new() };
        for at in 0..GROUPS {
            let group = town.group(desk, at).await?;
            town.groups.push(group);
        }
        Ok(town)
    }

    async fn group(&self, desk: &mut Desk, at: usize) -> anyhow::Result<Group> {
        let cascading = at < LEVELS;
        let parent = match at {
            0 | LEVELS => None,
            _ if cascading => Some(at - 1),
            _ => Some(LEVELS),
        };
        let above = parent.filter(|_| cascading).and_then(|parent| self.groups.get(parent));
        let parent = parent.and_then(|parent| self.groups.get(parent)).map(|group| group.id.clone());
        let body = json!({
            "metadata": { "external_entity_id": format!("g{at}") },
            "models": models(at, 0),
            "hierarchy": {
                "limit_enforcement": if cascading { "CASCADING" } else { "INDEPENDENT" },
                "parent_group_id": parent,
            },
        });
        let made = desk.must(Method::POST, "/v1/gateway/groups", &body).await?;
        let id = text(&made, "id")?;
        let made = desk.must(Method::POST, &format!("/v1/gateway/groups/{id}/api_keys"), &json!({})).await?;
        let mut counted_by = vec![at];
        counted_by.extend(above.into_iter().flat_map(|above| above.counted_by.iter().copied()));
        Ok(Group { id, key: text(&made, "api_key")?, counted_by })
    }

    /// Whose counters a call is on.
    #[must_use]
    pub fn owners(&self, group: usize, slug: usize) -> Vec<Owner> {
        let groups = self.groups[group].counted_by.iter().map(|group| Owner::Group(*group, slug));
        groups.chain([Owner::All]).collect()
    }

    /// The place of a group with this id.
    #[must_use]
    pub fn place(&self, id: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.id == id)
    }

    /// What every counter shows.
    ///
    /// # Errors
    /// A gateway that does not answer.
    pub async fn shown(&self, desk: &mut Desk) -> anyhow::Result<Vec<(Counter, u64)>> {
        let mut shown = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            for row in rows(desk, &group.id).await? {
                let counter = counter(&row, at);
                // The budget stands in the rows of every group.
                shown.extend(
                    counter
                        .filter(|counter| at == 0 || counter.owner != Owner::All)
                        .map(|counter| (counter, number(&row, "used"))),
                );
            }
        }
        shown.dedup();
        Ok(shown)
    }
}

/// The limits of the group at this place, after so many edits.
#[must_use]
pub fn models(at: usize, edits: u64) -> Value {
    let limit = |kind: &str, unit: &str, threshold: u64| json!({ "type": kind, "unit": unit, "threshold": threshold });
    let requests = if at == TIGHT_GROUP { TIGHT } else { AMPLE };
    let model = |slug: &&str| {
        let mut model = json!({
            "slug": slug,
            "rate_limits": [limit("REQUEST", "MINUTE", requests), limit("TOKEN", "MINUTE", AMPLE)],
            "usage_limits": [limit("REQUEST", "DAY", AMPLE), limit("TOKEN", "DAY", AMPLE.saturating_add(edits))],
        });
        if at == HARD_GROUP {
            model["admission"] = "hard".into();
        }
        model
    };
    SLUGS.iter().map(model).collect()
}

/// Which counter a row of the group at this place is about, if it is one that is looked at.
fn counter(row: &Value, at: usize) -> Option<Counter> {
    let slug = || SLUGS.iter().position(|slug| row["slug"] == *slug);
    let owner = match row["scope"].as_str()? {
        "group" => Owner::Group(at, slug()?),
        "model_config" => Owner::All,
        _ => return None,
    };
    let measure = match row["type"].as_str()? {
        "REQUEST" => Measure::Requests,
        "TOKEN" => Measure::Tokens,
        _ => Measure::Usd,
    };
    let window = if row["unit"] == "MINUTE" { Window::Minute } else { Window::Day };
    Some(Counter { owner, measure, window })
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    Ok(value[field].as_str().with_context(|| format!("an answer without `{field}`"))?.to_owned())
}
