//! A group: one customer, or one part of a customer, and what it may use.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::endpoint::Endpoint;
use crate::id::{GroupId, Slug, WorkspaceId};
use crate::limit::Limit;
use crate::snapshot::Version;

/// Levels of a tree, the root included.
pub const LEVELS_MAX: u8 = 5;

/// How the limits of a tree combine. One mode for a whole tree, chosen at its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Enforcement {
    /// Every group counts for itself; limits are inherited as a template.
    Independent,
    /// A call counts against its group and every ancestor, and must fit all of them.
    Cascading,
}

/// What a call holds when it is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// The prompt and the declared or guessed output are held; the surplus comes back when the call ends.
    Estimate,
    /// The prompt and what such answers usually stay within are held, though more be declared.
    Learned,
    /// What is held is also the most that the model may write: it is told so, and a stream that may not go on is ended.
    Hard,
    /// Only the request is counted; tokens are charged when they are known.
    Observed,
}

/// What people call a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metadata {
    /// For display only.
    #[schema(required)]
    pub name: Option<Arc<str>>,
    /// The customer's identifier in the operator's own systems, unique in the workspace.
    pub external_entity_id: Arc<str>,
}

/// A slug that a group may call, and the limits the group itself declares for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The slug.
    pub slug: Slug,
    /// Limits per SECOND or MINUTE, at most one per type.
    pub rate_limits: Vec<Limit>,
    /// Limits per DAY, at most one per type.
    pub usage_limits: Vec<Limit>,
    /// The group's own choice of admission for this slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// The most calls in flight at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_requests: Option<u64>,
}

impl Model {
    /// All limits, rate limits first, in declared order.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.rate_limits.iter().chain(&self.usage_limits)
    }
}

/// A node of the customer tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Opaque, given by us.
    pub id: GroupId,
    /// The tenant it belongs to.
    pub workspace: WorkspaceId,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// Names.
    pub metadata: Metadata,
    /// What it may call. The complete set: slugs are not inherited.
    pub models: Vec<Model>,
    /// The mode of its tree.
    pub enforcement: Enforcement,
    /// The node above; none for a root.
    pub parent: Option<GroupId>,
    /// The top of its tree, itself for a root. Counters of one tree share one lock.
    pub root: GroupId,
    /// 1 for a root, at most [`LEVELS_MAX`].
    pub level: u8,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
}

impl Model {
    /// How calls are admitted: the group's own choice, that of the endpoint, or the gateway's.
    #[must_use]
    pub fn admission(&self, endpoint: Option<&Endpoint>, otherwise: Admission) -> Admission {
        self.admission.or(endpoint.and_then(|endpoint| endpoint.admission)).unwrap_or(otherwise)
    }
}

impl Group {
    /// The group's own entry for `slug`: whether it may call it, and what it declares.
    #[must_use]
    pub fn model(&self, slug: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.slug.as_str() == slug)
    }
}
