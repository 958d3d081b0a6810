//! From an origin to a connection: resolve, check the address, connect to that very address, TLS.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::destination::Network;
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Origin;
use crate::address::AddressRules;
use crate::stream::Stream;

/// A connection of hyper's, ready for one request with such a body.
pub type Connection<B> = http1::SendRequest<B>;

/// What connections are made by.
#[derive(Debug, Clone)]
pub struct DialerSettings {
    /// Until a connection stands, TLS included.
    pub connect_timeout: Duration,
    /// Private networks that may be dialled when no operator wrote the origin.
    pub allow_networks: Vec<Network>,
    /// Where this program listens itself: never dialled, or a request would go round for ever.
    pub own_listeners: Vec<SocketAddr>,
}

/// Why no connection came about.
#[derive(Debug)]
pub enum DialError {
    /// The name has no address, or cannot be resolved now.
    Unresolved(std::io::Error),
    /// Every address it has is one that must not be dialled.
    Forbidden,
    /// It leads back to this gateway.
    Ourselves,
    /// Nobody answers there.
    Refused(std::io::Error),
    /// No trust came about.
    Tls(std::io::Error),
    /// It took longer than the connect timeout.
    Timeout,
    /// The connection broke before it stood.
    Handshake(hyper::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "the name cannot be resolved: {error}"),
            Self::Forbidden => f.write_str("the address is one that must not be dialled"),
            Self::Ourselves => f.write_str("the address is this gateway's own listener"),
            Self::Refused(error) => write!(f, "no connection: {error}"),
            Self::Tls(error) => write!(f, "no TLS: {error}"),
            Self::Timeout => f.write_str("no connection within the connect timeout"),
            Self::Handshake(error) => write!(f, "no HTTP: {error}"),
        }
    }
}

impl std::error::Error for DialError {}

/// How connections are made; shared by all threads.
pub struct Dialer {
    rules: AddressRules,
    tls: TlsConnector,
    connect_timeout: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Dialer {
    /// A dialer that trusts the certificates this machine trusts.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn new(settings: DialerSettings) -> Result<Self, rustls::Error> {
        let DialerSettings { connect_timeout, allow_networks, own_listeners } = settings;
        Ok(Self { rules: AddressRules { allow_networks, own_listeners }, tls: tls()?, connect_timeout })
    }

    /// A dialer for a program that speaks to servers its own user names: no listener is its own.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn for_clients(connect_timeout: Duration) -> Result<Self, rustls::Error> {
        Ok(Self { rules: AddressRules::default(), tls: tls()?, connect_timeout })
    }

    /// A new connection, on which nothing was said yet.
    ///
    /// # Errors
    /// As [`DialError`] says.
    pub async fn open(&self, origin: &Origin) -> Result<Stream, DialError> {
        let opened = tokio::time::timeout(self.connect_timeout, self.open_untimed(origin)).await;
        opened.map_err(|_| DialError::Timeout)?
    }

    /// A new connection on which hyper speaks: for what is said seldom, or is more than a call to a model server.
    ///
    /// # Errors
    /// As [`DialError`] says.
    pub async fn connect<B>(&self, origin: &Origin) -> Result<Connection<B>, DialError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let stream = self.open(origin).await?;
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(DialError::Handshake)?;
        // Ends by itself when the sender is dropped or the server closes.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn open_untimed(&self, origin: &Origin) -> Result<Stream, DialError> {
        let stream = self.reach(origin).await?;
        if !origin.tls {
            return Ok(stream.into());
        }
        let name = ServerName::try_from(origin.host.clone());
        let name = name.map_err(|error| DialError::Tls(std::io::Error::other(error)))?;
        Ok(self.tls.connect(name, stream).await.map_err(DialError::Tls)?.into())
    }

    async fn reach(&self, origin: &Origin) -> Result<TcpStream, DialError> {
        let named = tokio::net::lookup_host((origin.host.as_str(), origin.port)).await;
        let named: Vec<SocketAddr> = named.map_err(DialError::Unresolved)?.collect();
        let allowed = named.into_iter().filter(|address| self.rules.permit(address.ip(), origin.trust));
        let mut last = DialError::Forbidden;
        for address in allowed {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.checked(stream),
                Err(error) => last = DialError::Refused(error),
            }
        }
        Err(last)
    }

    fn checked(&self, stream: TcpStream) -> Result<TcpStream, DialError> {
        let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
        let (local, peer) = ends.map_err(DialError::Refused)?;
        if self.rules.is_own(local, peer) {
            return Err(DialError::Ourselves);
        }
        // Without it, Nagle's algorithm and delayed acknowledgements make small calls wait 40 ms.
        stream.set_nodelay(true).map_err(DialError::Refused)?;
        Ok(stream)
    }
}

fn tls() -> Result<TlsConnector, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be read are left out; a server that needs them is then not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
