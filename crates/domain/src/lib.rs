//! The nouns of Tollgate and the rules between them: groups, keys, endpoints, limits, usage.
//!
//! A [`Snapshot`] is the whole configuration at one [`Version`]: immutable, cheap to copy, never half-made.
//! An edit reads a snapshot and answers with a [`Change`] or a [`Rejection`]; it touches nothing itself.
//!
//! Guarantees: pure values. Nothing here waits, fails at run time, or depends on when it is called.
//! Knows nothing of: clocks, storage, HTTP, randomness; those are arguments.
//! Begins at [`snapshot::Snapshot`] for what is known, and at [`edit`] for what may change it.

mod advice;
pub mod credential;
pub mod destination;
pub mod edit;
pub mod effective;
pub mod endpoint;
mod event;
pub mod group;
pub mod id;
pub mod limit;
mod matching;
pub mod model_config;
pub mod money;
pub mod period;
pub mod price;
pub mod snapshot;
pub mod time;
mod unpriced;
pub mod usage;
pub mod webhook;
pub mod workspace;

pub use advice::{advice, advice_on};
pub use credential::{Credential, Key, KeyHash, ManagementKey, Scope, Secret, SecretValue, USER_LEN_MAX};
pub use edit::{Change, Context, Record, Rejection};
pub use effective::{BindingLimit, Ceiling, binding_limits, ceilings};
pub use endpoint::{Endpoint, Environment, Provider, Region, Target, Tokenizer};
pub use event::{BillingEvent, EventForm, EventId, EventView};
pub use group::{Admission, Enforcement, Group, LEVELS_MAX, Metadata, Model};
pub use id::{ConfigId, EndpointId, GroupId, LineId, ManagementKeyId, RequestId, Slug, WorkspaceId};
pub use limit::{Limit, LimitType, THRESHOLD_MAX, Unit};
pub use matching::{ConfigCaller, matching_configs};
pub use model_config::{
    ANY_MODEL, Budget, ConfigIdentity, ConfigScope, Line, Meter, ModelConfig, Rate, RateLimit, RateLimits,
};
pub use money::{Amount, SignedUsd, Usd};
pub use period::{Cycle, NotADuration, Period, ResetDuration};
pub use price::{PriceBook, PriceSource, Pricing, Rates, Tariff, Tier, Unpriced};
pub use snapshot::{Snapshot, Stored, Version};
pub use time::{Clock, Day, Now, shown_ms};
pub use unpriced::{cannot_count, unpriced_under_budget};
pub use usage::{Entry, LateCharge, Outcome, Terms, UnknownWord, Usage, UsageSource, is_billed};
pub use webhook::{
    DeliveryId, HookUrl, PreviousSecret, SECRET_OVERLAP_S, WEBHOOK_BATCH_MAX, WEBHOOK_URL_LEN_MAX, Webhook,
};
pub use workspace::{Prefix, Prefixes, Workspace};
