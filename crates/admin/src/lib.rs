//! The control plane: groups, keys, endpoints, secrets, workspaces and model configs over HTTP.
//!
//! Every route does the same four things in the same order: who asks, which object, what they want (the shape), and
//! then one edit of the configuration, which knows the rules. Answers have exactly the fields of the published
//! contract.
//!
//! Guarantees: a request that is refused changes nothing; a write is in force when its answer is sent; no secret
//! reaches a log or an error.
//! Knows nothing of: how configuration is stored, how limits are counted, how upstreams are called, what time it is.
//! Begins at [`Admin::router`].

mod access;
mod admin;
mod authenticate;
mod cursor;
mod decisions;
mod endpoints;
mod error;
mod events;
mod explain;
mod governance;
mod groups;
mod history;
mod import;
mod json;
mod keys;
mod ledger;
mod management_keys;
mod manners;
mod openapi;
mod page;
mod path;
mod prices;
mod rate;
mod secrets;
mod standing;
mod time;
mod waits;
mod watch;
mod webhook;
mod workspaces;

pub use admin::{
    Admin, Hierarchy, HookTested, HookTester, LegacyCustomerId, Outward, Probe, Prober, Receivers, Settings,
};
pub use error::Error;
pub use import::read_addition;
pub use management_keys::mint::new_management_key;
pub use prices::map::{PRICE_MAP_ENTRIES_MAX, PriceMap, PriceMapError, read_price_map};
pub use waits::WAITS_MAX;
pub use watch::may_watch;
