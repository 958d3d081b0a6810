use std::future::poll_fn;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::Trust;
use crate::http1::{Fault, Opening};

static WANTED: [HeaderName; 1] = [header::CONTENT_TYPE];

/// A server for `localhost` with a certificate of its own, and a dialer that trusts it.
async fn server() -> (TlsAcceptor, TcpListener, Dialer, Origin) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let trusting = trusting.with_root_certificates(roots).with_no_client_auth();
    let dialer = Dialer {
        rules: AddressRules::default(),
        tls: TlsConnector::from(Arc::new(trusting)),
        connect_timeout: Duration::from_secs(10),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = Origin { tls: true, host: "localhost".to_owned(), port, trust: Trust::Operator };
    (TlsAcceptor::from(Arc::new(config)), listener, dialer, origin)
}

/// Reads a request whose body ends in a full stop, and answers with its length.
async fn answer(stream: &mut TlsStream<TcpStream>) {
    let mut request = Vec::new();
    while !request.ends_with(b".") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let length = request.len().to_string();
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}", length.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

async fn post(connection: &mut crate::http1::Connection<Stream>, body: Vec<Bytes>) -> Result<String, Fault> {
    let opening = Opening::new(&HeaderValue::from_static("localhost"), &[]);
    connection.begin(opening.post(&PathAndQuery::from_static("/")).with_body(body));
    poll_fn(|cx| connection.poll_answer(cx)).await?;
    let mut text = String::new();
    while let Some(data) = poll_fn(|cx| connection.poll_data(cx)).await {
        text.push_str(std::str::from_utf8(&data?).unwrap());
    }
    Ok(text)
}

#[tokio::test]
async fn over_tls_requests_of_any_length_are_answered_on_one_connection_until_the_server_ends_it() {
    let (acceptor, listener, dialer, origin) = server().await;
    let serving = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        for _ in 0..3 {
            answer(&mut stream).await;
        }
        stream.shutdown().await.unwrap();
    });
    let mut connection = crate::http1::Connection::new(dialer.open(&origin).await.unwrap(), &WANTED);
    for pieces in [0, 500, 1] {
        assert!(connection.is_quiet(), "what TLS says between answers is nothing of theirs");
        let mut body = vec![Bytes::from(vec![b'x'; 10_000]); pieces];
        body.push(Bytes::from_static(b"."));
        let length = pieces * 10_000 + 1;
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n").len();
        assert_eq!(post(&mut connection, body).await.unwrap(), (head + length).to_string());
        assert!(connection.is_reusable());
    }
    serving.await.unwrap();
    while connection.is_quiet() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_is_not_spoken_to() {
    let (acceptor, listener, dialer, origin) = server().await;
    let serving =
        tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.is_err() });
    let origin = Origin { host: "127.0.0.1".to_owned(), ..origin };
    assert!(matches!(dialer.open(&origin).await, Err(DialError::Tls(_))));
    assert!(serving.await.unwrap());
}
