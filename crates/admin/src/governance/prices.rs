//! What a budget cannot count: endpoints that it covers and that have no price.
//!
//! Begins at [`warn`].

use domain::{ANY_MODEL, ConfigIdentity, Endpoint, ModelConfig, Snapshot, Version};

/// Most endpoints that one write names in the log.
const NAMED_MAX: usize = 8;

/// Says in the log which endpoints this config's budgets will keep from being called, for want of a price.
pub(super) fn warn(snapshot: &Snapshot, config: &ModelConfig) {
    if config.budgets.is_empty() {
        return;
    }
    let endpoints = snapshot.endpoints_after(config.workspace, Version::default());
    let covered = endpoints.filter(|endpoint| covers(&config.identity, endpoint));
    let unpriced = covered.filter(|endpoint| snapshot.price_of(endpoint).is_none());
    for endpoint in unpriced.take(NAMED_MAX) {
        tracing::warn!(
            model_config.id = %config.id,
            slug = %endpoint.slug,
            "this endpoint has no price, so calls to it under this budget are refused; give its target pricing"
        );
    }
}

/// Whether a config is about calls to this endpoint, whoever makes them.
fn covers(identity: &ConfigIdentity, endpoint: &Endpoint) -> bool {
    let names = [ANY_MODEL, endpoint.slug.as_str(), endpoint.upstream_model()];
    let served = identity.provider.as_deref().is_none_or(|name| name == endpoint.target.served_by());
    served && names.contains(&&*identity.model_name)
}
