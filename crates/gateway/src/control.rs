//! The control socket: how commands on this machine speak to the gateway that serves from a data directory.
//!
//! `DATA/control.sock`, for its owner only. A request and its answer are a line of JSON each. Whoever may open the socket
//! may read the data directory as well, so nobody is asked for a key.
//!
//! Guarantees: requests, connections and the time that one may be silent are bounded; a socket that a killed process left
//! is replaced by whoever holds the directory's lock.
//! Knows nothing of: what is asked, which is in `desk`.
//! Begins at [`Control::bind`] and, for commands, [`ask`].

mod client;
mod desk;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::client::ask;
pub(crate) use self::desk::Desk;
pub(crate) use self::server::Control;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub(crate) enum Request {
    /// Is somebody there.
    Ping,
    /// Hold the ledger against everything that is kept beside it.
    Audit,
    /// Copy everything.
    Backup {
        /// The directory to make, from the root of the machine.
        to: PathBuf,
        with_master_key: bool,
    },
    /// Mint an operator's key.
    Recover,
}

/// What comes of it. Holds a credential where one was minted, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done(Value),
    /// Why not, in words for whoever asked.
    Refused(String),
}

/// Where the socket of a data directory is.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}
