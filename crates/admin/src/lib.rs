//! The control plane: groups, keys, endpoints, secrets and workspaces over HTTP.
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
mod decisions;
mod endpoints;
mod error;
mod explain;
mod groups;
mod json;
mod keys;
mod management_keys;
mod openapi;
mod page;
mod path;
mod rate;
mod secrets;
mod standing;
mod time;
mod waits;
mod workspaces;

pub use admin::{Admin, Hierarchy, Probe, Prober, Settings};
pub use error::Error;
pub use management_keys::mint::new_management_key;
pub use waits::WAITS_MAX;
