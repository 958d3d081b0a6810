//! The way to a collector: one connection, kept alive, made anew when it breaks.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use domain::destination::BaseUrl;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use outbound::{Dialer, Origin, Trust};
use tokio::time::timeout;

/// Until a connection stands.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Until a batch is taken.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes; nothing in it matters.
const ANSWER_LEN_MAX: usize = 64 * 1024;
/// Where spans are taken, below the collector's address.
const TRACES: &str = "/v1/traces";

/// A collector.
pub(super) struct Collector {
    dialer: Dialer,
    origin: Origin,
    authority: HeaderValue,
    path: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Collector {
    pub(super) fn at(endpoint: &str) -> anyhow::Result<Self> {
        let base: BaseUrl =
            endpoint.parse().map_err(|why| anyhow::anyhow!("telemetry.otlp_endpoint: {why}"))?;
        let dialer = Dialer::for_clients(CONNECT_MAX).context("TLS cannot be set up")?;
        Ok(Self {
            dialer,
            authority: HeaderValue::try_from(base.authority()).context("telemetry.otlp_endpoint")?,
            path: format!("{}{TRACES}", base.path),
            origin: Origin { tls: base.tls, host: base.host, port: base.port, trust: Trust::Operator },
            connection: None,
        })
    }

    /// Posts one batch.
    pub(super) async fn post(&mut self, json: Bytes) -> anyhow::Result<()> {
        let taken = timeout(ANSWER_MAX, self.exchange(json)).await;
        taken.context("no answer in time")?
    }

    /// Whatever goes wrong, the next exchange begins with a new connection.
    async fn exchange(&mut self, json: Bytes) -> anyhow::Result<()> {
        let mut connection = match self.connection.take().filter(SendRequest::is_ready) {
            Some(standing) => standing,
            None => self.dialer.connect(&self.origin).await?,
        };
        let answer = connection.send_request(self.request(json)?).await?;
        let status = answer.status();
        Limited::new(answer.into_body(), ANSWER_LEN_MAX)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        self.connection = Some(connection);
        if !status.is_success() {
            bail!("the collector answered {}", status.as_u16());
        }
        Ok(())
    }

    fn request(&self, json: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json");
        Ok(request.body(Full::new(json))?)
    }
}
