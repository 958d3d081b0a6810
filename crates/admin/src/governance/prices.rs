//! What a budget cannot count: endpoints that it covers and that have no price. The log of the write that brings the two
//! together names them, whichever of them was written.
//!
//! Begins at [`warn`] and [`warn_of`].

use domain::{Endpoint, ModelConfig, Snapshot, Unpriced, Version, cannot_count};

/// Most endpoints that one write names in the log.
const NAMED_MAX: usize = 8;

/// After a write of a config: says which endpoints its budgets cannot count.
pub(super) fn warn(snapshot: &Snapshot, config: &ModelConfig, unpriced: Unpriced) {
    let endpoints = snapshot.endpoints_after(config.workspace, Version::default());
    let uncounted = endpoints.filter(|endpoint| cannot_count(snapshot, config, endpoint));
    uncounted.take(NAMED_MAX).for_each(|endpoint| say(config, endpoint, unpriced));
}

/// After a write of an endpoint: says so, if a budget covers it and cannot count it. The first such config is named.
pub(crate) fn warn_of(snapshot: &Snapshot, endpoint: &Endpoint, unpriced: Unpriced) {
    let mut configs = snapshot.configs_after(endpoint.workspace, Version::default());
    if let Some(config) = configs.find(|config| cannot_count(snapshot, config, endpoint)) {
        say(config, endpoint, unpriced);
    }
}

fn say(config: &ModelConfig, endpoint: &Endpoint, unpriced: Unpriced) {
    tracing::warn!(
        model_config.id = %config.id,
        slug = %endpoint.slug,
        "this endpoint has no price, so calls to it under this budget {}; give its target pricing",
        outcome(unpriced)
    );
}

fn outcome(unpriced: Unpriced) -> &'static str {
    match unpriced {
        Unpriced::Refused => "are refused",
        Unpriced::Allowed => "cost nothing",
    }
}
