//! Where a budget meets a model that nobody priced: calls that cannot be counted in USD.
//!
//! Said by `tollgate check` and the log of a write, before a caller finds out.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::model_config::{ANY_MODEL, ConfigIdentity, ConfigScope, ModelConfig};
use crate::snapshot::{Snapshot, Version};

/// Each endpoint without a price that some model config with a budget covers, with the first such config of its
/// workspace. A config of a key or group that is no more binds nothing and is left out.
#[must_use]
pub fn unpriced_under_budget(snapshot: &Snapshot) -> Vec<(&Arc<ModelConfig>, &Arc<Endpoint>)> {
    let budgeted = |config: &&Arc<ModelConfig>| !config.budgets.is_empty() && binds(snapshot, config);
    let of_workspace = snapshot.workspaces().flat_map(|workspace| {
        let configs: Vec<_> =
            snapshot.configs_after(workspace.id, Version::default()).filter(budgeted).collect();
        let endpoints = snapshot.endpoints_after(workspace.id, Version::default());
        let unpriced = endpoints.filter(|endpoint| snapshot.price_of(endpoint).is_none());
        unpriced.filter_map(move |endpoint| {
            let covers = |config: &&&Arc<ModelConfig>| config.identity.covers(endpoint);
            Some((*configs.iter().find(covers)?, endpoint))
        })
    });
    of_workspace.collect()
}

/// Whether calls that this endpoint serves come under a budget of this config and have no price to be counted by.
#[must_use]
pub fn cannot_count(snapshot: &Snapshot, config: &ModelConfig, endpoint: &Endpoint) -> bool {
    let is_covered = !config.budgets.is_empty() && config.identity.covers(endpoint);
    is_covered && snapshot.price_of(endpoint).is_none() && binds(snapshot, config)
}

fn binds(snapshot: &Snapshot, config: &ModelConfig) -> bool {
    match config.identity.scope {
        ConfigScope::Group(group) => snapshot.group(group).is_some(),
        ConfigScope::VirtualKey(ref prefix) => snapshot.key_by_prefix(config.workspace, prefix).is_some(),
        ConfigScope::Global | ConfigScope::User(_) => true,
    }
}

impl ConfigIdentity {
    /// Whether it is about calls that this endpoint serves, whoever makes them.
    #[must_use]
    pub fn covers(&self, endpoint: &Endpoint) -> bool {
        let names = [ANY_MODEL, endpoint.slug.as_str(), endpoint.upstream_model()];
        let is_served =
            self.provider.as_ref().is_none_or(|provider| **provider == *endpoint.target.served_by());
        names.contains(&&*self.model_name) && is_served
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Record;
    use crate::endpoint::{Provider, Region, Target};
    use crate::id::{ConfigId, EndpointId, GroupId, LineId, WorkspaceId};
    use crate::model_config::{Budget, RateLimits};
    use crate::money::Usd;
    use crate::price::{PriceBook, PriceSource, Pricing};
    use crate::snapshot::Stored;
    use crate::workspace::{Prefixes, Workspace};

    fn workspace(id: u64) -> Record {
        Record::Workspace(Arc::new(Workspace {
            id: WorkspaceId(id),
            name: "tenant".into(),
            onboarded: true,
            org_prefixes: Prefixes::Listed([].into()),
            ed25519_public_key: None,
            serial: Version(id),
            created_s: 0,
        }))
    }

    /// `acme/N`, served by OpenAI as `gpt-N`.
    fn endpoint(id: u64, workspace: u64, pricing: Option<Pricing>) -> Arc<Endpoint> {
        let model = format!("gpt-{id}");
        Arc::new(Endpoint {
            id: EndpointId(id),
            workspace: WorkspaceId(workspace),
            serial: Version(id),
            slug: format!("acme/{id}").parse().unwrap(),
            region: Region::Unrestricted,
            target: Target {
                provider: Provider::OpenAi,
                model_id: None,
                environment_name: None,
                secret_id: None,
                target_model: Some(model.into()),
                base_url: None,
                vertex_config: None,
                max_output_tokens: None,
                tokenizer: None,
                hidden_output: None,
                provider_name: None,
                pricing: pricing.map(Arc::new),
            },
            admission: None,
            private_allowed: false,
            created_s: 0,
            updated_s: 0,
        })
    }

    fn about(model: &str, provider: Option<&str>) -> ConfigIdentity {
        let scope = ConfigScope::Global;
        ConfigIdentity { scope, model_name: model.into(), provider: provider.map(Into::into) }
    }

    fn config(id: u8, identity: ConfigIdentity, budgets: usize) -> Record {
        let budget = Budget {
            id: LineId::new([id; 16]),
            max: Usd(1),
            reset: "1d".parse().unwrap(),
            created_ms: 0,
            updated_ms: 0,
        };
        let config = Arc::new(ModelConfig {
            id: ConfigId::new([id; 16]),
            workspace: WorkspaceId(1),
            serial: Version(id.into()),
            identity,
            calendar_aligned: false,
            budgets: vec![budget; budgets],
            rate_limits: RateLimits::None,
            created_ms: 0,
            updated_ms: 0,
        });
        Record::ModelConfig { config, inherits: Vec::new() }
    }

    fn price() -> Pricing {
        serde_json::from_str(r#"{"input_per_million":1,"output_per_million":1}"#).unwrap()
    }

    /// Endpoints that are named, by number.
    fn named(records: Vec<Record>) -> Vec<u64> {
        let tenants = [workspace(1), workspace(2)];
        let others = tenants.into_iter().chain(records).collect();
        let snapshot = Snapshot::load(Stored { version: Version(99), others, ..Stored::default() });
        unpriced_under_budget(&snapshot).iter().map(|(_, endpoint)| endpoint.id.0).collect()
    }

    #[test]
    fn a_price_of_its_own_or_of_a_book_is_enough() {
        let [own, listed, none] =
            [endpoint(1, 1, Some(price())), endpoint(2, 1, None), endpoint(3, 1, None)].map(Record::Endpoint);
        let key = ("openai".into(), "gpt-2".into());
        let book = PriceBook([(key, Arc::new(price()))].into_iter().collect());
        let prices = Record::Prices { source: PriceSource::Imported, book: Arc::new(book) };
        assert_eq!(named(vec![own, listed, none, prices, config(1, about("*", None), 1)]), [3]);
    }

    #[test]
    fn what_no_budget_of_its_workspace_covers_needs_no_price() {
        let endpoints =
            || [endpoint(1, 1, None), endpoint(2, 1, None), endpoint(3, 2, None)].map(Record::Endpoint);
        let gone = ConfigIdentity { scope: ConfigScope::Group(GroupId(7)), ..about("*", None) };
        let revoked = ConfigIdentity { scope: ConfigScope::VirtualKey("sky_1".into()), ..about("*", None) };
        for (identity, budgets, expected) in [
            (about("*", None), 1, vec![1, 2]),
            (about("*", None), 0, vec![]),
            (about("acme/2", None), 1, vec![2]),
            (about("gpt-1", Some("openai")), 2, vec![1]),
            (about("gpt-1", Some("azure")), 1, vec![]),
            (gone, 1, vec![]),
            (revoked, 1, vec![]),
        ] {
            let records = endpoints().into_iter().chain([config(1, identity.clone(), budgets)]);
            assert_eq!(named(records.collect()), expected, "{identity:?}");
        }
    }

    #[test]
    fn an_endpoint_is_told_of_once_with_the_first_config() {
        let configs = [config(1, about("gpt-1", None), 1), config(2, about("*", None), 1)];
        let endpoint = Record::Endpoint(endpoint(1, 1, None));
        assert_eq!(named(configs.into_iter().chain([endpoint]).collect()), [1]);
    }
}
