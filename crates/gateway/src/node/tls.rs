//! TLS on the listeners: a certificate and its key from two files, read at the start and again when asked.
//!
//! Guarantees: a pair is in force whole or not at all; one that cannot be read or does not belong together leaves the
//! former in force. A connection keeps what its handshake began with. Begins at [`Tls::of`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Config;

/// The only protocol we speak. A client that offers others besides gets this one.
const PROTOCOL: &[u8] = b"http/1.1";

/// What listeners greet their callers with.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    in_force: ArcSwap<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert", &self.0.cert).field("key", &self.0.key).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS as it is configured; `None` where it is off.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong together, named by setting and path.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let (Some(cert), Some(key)) = (&config.server.tls_cert, &config.server.tls_key) else {
            return Ok(None);
        };
        let in_force = ArcSwap::new(read(cert, key)?);
        Ok(Some(Self(Arc::new(Inner { cert: cert.clone(), key: key.clone(), in_force }))))
    }

    /// Reads both files again.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        self.0.in_force.store(read(&self.0.cert, &self.0.key)?);
        Ok(())
    }

    /// One handshake. Its time is bounded by the caller.
    pub(super) async fn greet(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.in_force.load_full()).accept(stream).await
    }
}

fn read(cert: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = certificates(cert).with_context(|| format!("server.tls_cert: {}", cert.display()))?;
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| {
        format!("server.tls_key: {} holds no private key that can be read", key.display())
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| {
            format!(
                "server.tls_key: {} does not belong to the certificate in {}",
                key.display(),
                cert.display()
            )
        })?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .context("it cannot be read")?
        .collect::<Result<_, _>>()
        .context("it is not PEM")?;
    ensure!(!chain.is_empty(), "it holds no certificate");
    Ok(chain)
}
