//! What is measured: somewhere to send calls, and the process that handles them.

use std::net::SocketAddr;

use crate::process::Running;

#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    /// Sent as a bearer token.
    pub(crate) key: Option<String>,
    pub(crate) process: Running,
}
