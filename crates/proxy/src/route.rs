//! Which model a call reaches: the slug it names, whether its group may call it, and where that goes.

use std::sync::Arc;

use domain::{Admission, Slug, Snapshot};
use wire::Operation;

use crate::authenticate::Caller;
use crate::barred::Barred;
use crate::error::Error;
use crate::target::Destination;
use crate::worker::Worker;

/// A call's way: decided before anything is charged.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) slug: Slug,
    pub(crate) destination: Arc<Destination>,
    pub(crate) admission: Admission,
}

/// Chooses the route. A slug the group does not list is refused in the same words whether or not it exists.
pub(crate) fn choose_route(
    worker: &Worker,
    snapshot: &Snapshot,
    caller: &Caller,
    (operation, model): (Operation, &str),
) -> Result<Route, Error> {
    let granted = caller.group.model(model).ok_or_else(|| Barred::NotAllowed { slug: shown(model) })?;
    let endpoint = snapshot.endpoint_of(&caller.group, &granted.slug);
    let endpoint = endpoint.ok_or_else(|| Barred::NoEndpoint { slug: shown(model) })?;
    let settings = &worker.shared.settings;
    let destination = worker.targets.resolve(endpoint, snapshot, &settings.upstream)?;
    destination.path_of(operation)?;
    let admission = granted.admission(Some(endpoint), settings.admission);
    Ok(Route { operation, slug: granted.slug.clone(), destination, admission })
}

/// A model name as it may stand in an error: a caller can send anything, of any length.
pub(crate) fn shown(model: &str) -> String {
    model.chars().filter(|c| !c.is_control()).take(Slug::LEN_MAX).collect()
}
