//! TLS on the listeners, and SIGHUP.

#![expect(clippy::unwrap_used, reason = "test code: this is how a test fails")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::process::{Program, tollgate};

const KEY: &str = "mgmt_tls-tests-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(30);
const HEALTH: &str = "GET /healthz/ready HTTP/1.1\r\nhost: localhost\r\n\r\n";

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Files of a certificate and its key.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { dir: TempDir::new().unwrap() };
        let certificate = files.renew();
        (files, certificate)
    }

    /// Writes a new pair; its certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.cert(), made.cert.pem()).unwrap();
        fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    fn serve(&self, more: &[(&str, &str)]) -> Program {
        let (cert, key) = (self.cert(), self.key());
        let ours = [
            ("TOLLGATE_MANAGEMENT_KEY", KEY),
            ("TOLLGATE__SERVER__TLS_CERT", cert.to_str().unwrap()),
            ("TOLLGATE__SERVER__TLS_KEY", key.to_str().unwrap()),
        ];
        Program::serve(&self.dir.path().join("data"), &[&ours, more].concat())
    }
}

fn client(trusted: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A connection whose handshake is done.
fn connect(addr: &str, config: Arc<ClientConfig>) -> io::Result<Tls> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

fn status(tls: &mut Tls, request: &str) -> String {
    tls.write_all(request.as_bytes()).unwrap();
    let mut piece = [0; 4096];
    let read = tls.read(&mut piece).unwrap();
    String::from_utf8_lossy(&piece[..read.min(12)]).into_owned()
}

fn addr(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

#[test]
fn both_listeners_speak_tls_and_http_1_1_and_nothing_else() {
    let (files, certificate) = Files::new();
    let serve = files.serve(&[("TOLLGATE__SERVER__ADMIN_LISTEN", "127.0.0.1:0")]);
    for (addr, request, expected) in [
        (addr(&serve.url()), HEALTH.to_owned(), "HTTP/1.1 200"),
        (addr(&serve.url()), "GET /v1/gateway/groups HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "HTTP/1.1 404"),
        (
            addr(&serve.admin_url()),
            format!("GET /v1/gateway/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n"),
            "HTTP/1.1 200",
        ),
    ] {
        let mut tls = connect(&addr, client(&certificate, &["h2", "http/1.1"])).unwrap();
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(status(&mut tls, &request), expected);
        // Kept alive as without TLS.
        assert_eq!(status(&mut tls, &request), expected);
        assert!(connect(&addr, client(&certificate, &["h2"])).is_err(), "nobody speaks HTTP/2 here");
        let mut plain = TcpStream::connect(&addr).unwrap();
        plain.write_all(HEALTH.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    }
    assert!(serve.terminate().success());
}

#[test]
fn sighup_gives_new_connections_the_new_certificate_and_leaves_others_alone() {
    let (files, first) = Files::new();
    let serve = files.serve(&[]);
    let addr = addr(&serve.url());
    let mut standing = connect(&addr, client(&first, &[])).unwrap();
    assert_eq!(status(&mut standing, HEALTH), "HTTP/1.1 200");
    let second = files.renew();
    assert!(connect(&addr, client(&second, &[])).is_err(), "a file alone changes nothing");
    serve.signal(Signal::HUP);
    let line = serve.line_with("SIGHUP");
    assert!(line.contains("INFO") && line.contains("every other setting needs a restart"), "{line}");
    let mut fresh = connect(&addr, client(&second, &[])).unwrap();
    assert_eq!(status(&mut fresh, HEALTH), "HTTP/1.1 200");
    assert!(connect(&addr, client(&first, &[])).is_err());
    assert_eq!(status(&mut standing, HEALTH), "HTTP/1.1 200");
}

#[test]
fn a_broken_file_leaves_the_former_certificate_in_force_and_says_what_is_wrong_and_where() {
    let (files, certificate) = Files::new();
    let serve = files.serve(&[]);
    let addr = addr(&serve.url());
    let key_of_another = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().signing_key;
    let breaks: [(&str, &dyn Fn()); 4] = [
        ("does not belong to", &|| fs::write(files.key(), key_of_another.serialize_pem()).unwrap()),
        ("holds no private key", &|| fs::write(files.key(), "nothing").unwrap()),
        ("holds no certificate", &|| fs::write(files.cert(), "").unwrap()),
        ("it cannot be read", &|| fs::remove_file(files.cert()).unwrap()),
    ];
    for (expected, do_break) in breaks {
        do_break();
        serve.signal(Signal::HUP);
        let line = serve.line_with(expected);
        assert!(line.contains("ERROR") && line.contains(files.dir.path().to_str().unwrap()), "{line}");
        let mut tls = connect(&addr, client(&certificate, &[])).unwrap();
        assert_eq!(status(&mut tls, HEALTH), "HTTP/1.1 200");
    }
    assert_eq!(serve.said().matches("SIGHUP").count(), 4, "one line each");
    let renewed = files.renew();
    serve.signal(Signal::HUP);
    serve.line_with("new connections get");
    assert!(connect(&addr, client(&renewed, &[])).is_ok());
}

#[test]
fn without_tls_sighup_says_that_settings_need_a_restart() {
    let dir = TempDir::new().unwrap();
    let serve = Program::serve(dir.path(), &[]);
    serve.signal(Signal::HUP);
    assert!(serve.line_with("SIGHUP").contains("settings need a restart"));
    assert!(serve.terminate().success(), "and the gateway goes on");
}

#[test]
fn check_and_serve_refuse_a_pair_that_does_not_serve() {
    let (files, _) = Files::new();
    let (cert, key) = (files.cert(), files.key());
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let data = files.dir.path().join("data");
    let check = ["check", "--data-dir", data.to_str().unwrap()];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let both = [("TOLLGATE__SERVER__TLS_CERT", cert), ("TOLLGATE__SERVER__TLS_KEY", key)];
    let checked = tollgate(&check, &both);
    assert!(checked.status.success(), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).contains("TLS: the certificate"), "{checked:?}");
    let swapped = [("TOLLGATE__SERVER__TLS_CERT", key), ("TOLLGATE__SERVER__TLS_KEY", cert)];
    for (environment, expected) in [(&both[..1], "server.tls_key"), (&swapped[..], "server.tls_cert")] {
        for command in [&check[..], &serve[..]] {
            let refused = tollgate(command, environment);
            assert!(matches!(refused.status.code(), Some(1 | 2)), "{refused:?}");
            assert!(String::from_utf8_lossy(&refused.stderr).contains(expected), "{refused:?}");
        }
    }
}

#[test]
fn a_handshake_that_does_not_come_takes_a_place_no_longer_than_header_timeout() {
    let (files, certificate) = Files::new();
    let serve = files.serve(&[
        ("TOLLGATE__SERVER__MAX_CONNECTIONS", "2"),
        ("TOLLGATE__SERVER__HEADER_TIMEOUT", "300ms"),
        ("TOLLGATE__SERVER__WORKERS", "1"),
    ]);
    let addr = addr(&serve.url());
    let silent: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(&addr).unwrap()).collect();
    let mut tls = connect(&addr, client(&certificate, &[])).unwrap();
    assert_eq!(status(&mut tls, HEALTH), "HTTP/1.1 200");
    let is_closed = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0; 16]).is_ok_and(|read| read == 0)
    };
    assert!(silent.iter().any(is_closed), "there was no place before one of them had gone");
    assert!(serve.terminate().success());
}
