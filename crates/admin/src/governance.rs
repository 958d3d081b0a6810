//! Model configs and their views: `/api/governance`, in the shapes of Bifrost. A file for each thing done to one.
//!
//! A budget or rate limit is read with what it has used at this moment, from the live counter where one is open.
//! Errors of this root have a form of their own, which [`manners`](crate::manners) gives them.
//! Begins at [`view`] for what is answered and at `shape` for what is read.

pub(crate) mod create;
mod customer;
pub(crate) mod delete;
pub(crate) mod lines;
pub(crate) mod list;
pub(crate) mod prices;
pub(crate) mod providers;
pub(crate) mod quota;
pub(crate) mod reset;
mod shape;
pub(crate) mod update;
pub(crate) mod view;

use std::sync::Arc;

use domain::{ConfigId, ModelConfig, Snapshot, Version, WorkspaceId};
use serde::Serialize;
use utoipa::ToSchema;

use self::view::ModelConfigView;
use crate::error::Error;

const NO_CONFIG: &str = "No model config with this id exists in this workspace; list them to see their ids.";

/// A model config after something was done to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelConfigWritten)]
pub(crate) struct WrittenView {
    /// What was done, for people.
    message: &'static str,
    model_config: ModelConfigView,
}

/// Something was done, and nothing is left to show.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Done)]
pub(crate) struct DoneView {
    /// What was done, for people.
    message: &'static str,
}

/// The configs of a workspace, in order of creation.
fn configs_of(snapshot: &Snapshot, workspace: WorkspaceId) -> impl Iterator<Item = &Arc<ModelConfig>> {
    snapshot.configs_after(workspace, Version::default())
}

/// The config that a path names. One of another workspace is not there.
///
/// # Errors
/// When there is none.
fn named<'a>(
    snapshot: &'a Snapshot,
    workspace: WorkspaceId,
    id: &str,
) -> Result<&'a Arc<ModelConfig>, Error> {
    let config = id.parse::<ConfigId>().ok().and_then(|id| snapshot.config(id));
    config.filter(|config| config.workspace == workspace).ok_or(Error::NotFound(NO_CONFIG))
}
