//! Edits of the configuration: each reads a snapshot and answers with a [`Change`] or a [`Rejection`].
//!
//! The store runs them one at a time, so a check and the write that follows see the same configuration.

pub mod addition;
pub mod endpoint;
pub mod group;
pub mod key;
pub mod management_key;
pub mod model_config;
pub mod prices;
pub mod secret;
pub mod webhook;
pub mod workspace;

use std::borrow::Cow;
use std::sync::Arc;

use crate::credential::{Key, KeyHash, ManagementKey, Secret};
use crate::endpoint::Endpoint;
use crate::group::Group;
use crate::id::{ConfigId, EndpointId, GroupId, LineId, WorkspaceId};
use crate::model_config::ModelConfig;
use crate::price::{PriceBook, PriceSource};
use crate::snapshot::{Snapshot, Version};
use crate::webhook::Webhook;
use crate::workspace::Workspace;

/// What an edit may rely on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The configuration as it stands; nobody else changes it meanwhile.
    pub snapshot: &'a Snapshot,
    /// The version this edit will make.
    pub version: Version,
    /// Seconds since 1970 UTC.
    pub now_s: u64,
    /// Milliseconds since 1970 UTC.
    pub now_ms: u64,
    /// A random number nobody used yet, for the id of a new object.
    pub fresh_id: u64,
}

/// One object written or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A tenant.
    Workspace(Arc<Workspace>),
    /// A group, new or changed.
    Group(Arc<Group>),
    /// A group that is no more. Its past stays in the ledger.
    GroupDeleted {
        /// Which.
        id: GroupId,
        /// When, in seconds since 1970 UTC.
        at_s: u64,
    },
    /// A key.
    Key(Arc<Key>),
    /// A key that no longer speaks for anyone. This cannot be undone.
    KeyRevoked {
        /// Which.
        hash: KeyHash,
        /// When, in seconds since 1970 UTC.
        at_s: u64,
    },
    /// A management key.
    ManagementKey(Arc<ManagementKey>),
    /// A management key that no longer opens anything.
    ManagementKeyDeleted {
        /// Which.
        hash: KeyHash,
        /// When, in seconds since 1970 UTC.
        at_s: u64,
    },
    /// An endpoint, new or changed.
    Endpoint(Arc<Endpoint>),
    /// An endpoint that is no more.
    EndpointDeleted {
        /// Which.
        id: EndpointId,
    },
    /// A secret, new or replaced.
    Secret(Arc<Secret>),
    /// A secret that is no more.
    SecretDeleted {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        name: Arc<str>,
    },
    /// A webhook, new or changed.
    Webhook(Arc<Webhook>),
    /// A webhook that is no more.
    WebhookDeleted {
        /// Whose.
        workspace: WorkspaceId,
        /// When, in milliseconds since 1970 UTC.
        at_ms: u64,
    },
    /// A model config, new or changed.
    ModelConfig {
        /// The config.
        config: Arc<ModelConfig>,
        /// Its new lines that do not begin at 0.
        inherits: Vec<Inherits>,
    },
    /// A model config that is no more.
    ModelConfigDeleted {
        /// Which.
        id: ConfigId,
    },
    /// What a line has used in its present period is forgotten; what it holds is not.
    LineReset {
        /// The config it belongs to.
        config: Arc<ModelConfig>,
        /// The budget or rate limit.
        line: LineId,
    },
    /// The prices of one source, all of them.
    Prices {
        /// Which source.
        source: PriceSource,
        /// Its prices.
        book: Arc<PriceBook>,
    },
}

/// A new budget that begins with what another has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherits {
    /// The new one.
    pub line: LineId,
    /// The one it takes its use from.
    pub from: LineId,
}

/// Everything one edit does, as one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version it makes.
    pub version: Version,
    /// The objects written and taken away, in this order.
    pub records: Vec<Record>,
    /// Roots of the trees whose calls must look at the configuration again before they are admitted.
    pub trees: Vec<GroupId>,
    /// Workspaces in all of whose trees they must.
    pub workspaces: Vec<WorkspaceId>,
}

/// Why an edit was not made. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A rule forbids it; the sentence is for the client.
    Invalid(Cow<'static, str>),
    /// No such object, or no longer; the sentence is for the client.
    NotFound(&'static str),
    /// Another object is what this one would be; the sentence is for the client.
    Conflict(Cow<'static, str>),
}

impl Change {
    /// Nothing at all. It makes no version.
    #[must_use]
    pub fn none(cx: &Context<'_>) -> Self {
        Self { version: cx.version, records: Vec::new(), trees: Vec::new(), workspaces: Vec::new() }
    }

    /// Everything that is stored, at the version it was stored at.
    #[must_use]
    pub fn load(version: Version, records: Vec<Record>) -> Self {
        Self { version, records, trees: Vec::new(), workspaces: Vec::new() }
    }

    /// One object, which no call has to look at again for.
    fn of(cx: &Context<'_>, record: Record) -> Self {
        Self { records: vec![record], ..Self::none(cx) }
    }
}

impl Rejection {
    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(message.into())
    }
}
