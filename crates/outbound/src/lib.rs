//! Connections outward: a name is resolved, its address judged, and that very address connected to.
//!
//! Guarantees: no link-local, multicast or reserved address is ever dialled, a private one only on the word of an
//! operator, and never one of our own listeners; what was judged is what is connected to, so a name cannot be pointed
//! elsewhere in between.
//! Knows nothing of: what is said on a connection beyond HTTP's framing, pools, retries.
//! Begins at [`Dialer::open`].

mod address;
mod dial;
pub mod http1;
mod stream;

pub use dial::{Connection, DialError, Dialer, DialerSettings};
pub use stream::Stream;

/// Where a connection leads, and under which rules it may be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// A name or a literal address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Who answers for it.
    pub trust: Trust,
}

/// How far an origin may reach into private networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// An operator wrote it: private and loopback addresses are allowed wherever they lie.
    Operator,
    /// Somebody else did: only inside the networks that the operator named.
    Tenant,
}
