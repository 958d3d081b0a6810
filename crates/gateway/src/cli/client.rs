//! The management API, from a terminal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use domain::destination::BaseUrl;
use http::{HeaderMap, Method, Request, StatusCode, header, response};
use http_body_util::{BodyExt, Full, Limited};
use outbound::{Dialer, Origin, Trust};
use serde_json::Value;

use super::Usage;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_MAX: usize = 256 * 1024 * 1024;
/// How often, and for how many seconds at a time, a command waits because its key asks too often.
const WAITS_MAX: usize = 10;
const WAIT_MAX_S: u64 = 10;
/// Items asked for at a time; the API's own maximum.
pub(super) const PAGE: usize = 1_000;

/// What every command's help calls these.
pub(super) const WHICH_GATEWAY: &str = "Which gateway";

/// Where the gateway is, and who is asking.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = WHICH_GATEWAY)]
pub(super) struct Access {
    #[command(flatten)]
    place: Place,
    /// A management key.
    #[arg(long, global = true, env = "TOLLGATE_MANAGEMENT_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// Where the gateway is, and how its answers are shown.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Root of the gateway's management listener.
    #[arg(long, global = true, env = "TOLLGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The id of the workspace to act on; an operator's key acts on its own without it.
    #[arg(long, global = true, env = "TOLLGATE_WORKSPACE")]
    workspace: Option<String>,
    /// JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

impl Access {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let missing = || Usage("a management key is needed: --key, or TOLLGATE_MANAGEMENT_KEY".into());
        self.place.client(self.key.as_deref().ok_or_else(missing)?)
    }
}

impl Place {
    /// A connection for whoever has this management key.
    pub(super) fn client(&self, key: &str) -> anyhow::Result<Client> {
        let url: BaseUrl = self
            .url
            .parse()
            .map_err(|why| Usage(format!("--url: `{}` cannot be called: {why}", self.url)))?;
        let form = if self.json { Form::Json } else { Form::Table };
        Ok(Client { workspace: self.workspace.clone(), ..Client::new(url, key, form)? })
    }
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
}

/// The gateway's own answer to what it did not do.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.status.as_u16())
    }
}

impl std::error::Error for Refused {}

/// A connection to a gateway's management API.
#[derive(Debug)]
pub(super) struct Client {
    dialer: Arc<Dialer>,
    url: BaseUrl,
    authorization: String,
    workspace: Option<String>,
    pub(super) form: Form,
}

impl Client {
    pub(super) fn new(url: BaseUrl, key: &str, form: Form) -> anyhow::Result<Self> {
        let dialer = Arc::new(Dialer::for_clients(CONNECT_TIMEOUT)?);
        Ok(Self { dialer, url, authorization: format!("Bearer {}", key.trim()), workspace: None, form })
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body.to_string().into())).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.put_as_it_is(path, body.to_string().into()).await
    }

    /// Sends a body that is JSON already, to the last digit of its numbers.
    pub(super) async fn put_as_it_is(&self, path: &str, body: Bytes) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, path, Some(body.to_string().into())).await
    }

    /// Every item of a listing, page by page.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit={PAGE}{cursor}")).await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["pagination"]["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", escaped(next)),
                None => return Ok(items),
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.path))
            .header(header::HOST, self.url.authority())
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(workspace) = &self.workspace {
            request = request.header("x-tollgate-workspace", workspace);
        }
        request
            .body(Full::new(body.unwrap_or_default()))
            .context("the key, the workspace or the URL has characters that no request can carry")
    }

    /// An answer that is no JSON, and the cursor of the next page if it names one.
    pub(super) async fn text(&self, path: &str) -> anyhow::Result<(String, Option<String>)> {
        let (headers, body) = self.ask(Method::GET, path, None).await?;
        let next = headers.get("x-next-cursor").and_then(|next| next.to_str().ok()).map(str::to_owned);
        Ok((String::from_utf8(body.to_vec()).context("the answer is no text")?, next))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> anyhow::Result<Value> {
        let (_, body) = self.ask(method, path, body).await?;
        serde_json::from_slice(&body).with_context(|| {
            format!("{} answered with what is not JSON; is it a gateway's management?", self.url.authority())
        })
    }

    /// One exchange, once more a while later where the gateway says that this key asks too often.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> anyhow::Result<(HeaderMap, Bytes)> {
        let mut waits = 0;
        loop {
            let (head, answer) = self.exchange(&method, path, body.clone()).await?;
            let status = head.status;
            if status.is_success() {
                return Ok((head.headers, answer));
            }
            let value = json(&answer);
            if status == StatusCode::TOO_MANY_REQUESTS && waits < WAITS_MAX {
                waits += 1;
                let seconds = value["retry_after"].as_u64().unwrap_or(1).min(WAIT_MAX_S);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                continue;
            }
            let message = [&value["message"], &value["error"]["message"], &value["error"]];
            let message = message.into_iter().find_map(Value::as_str);
            let message = message.unwrap_or("the gateway refused").to_owned();
            return Err(Refused { status, message }.into());
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> anyhow::Result<(response::Parts, Bytes)> {
        let url = &self.url;
        let origin = Origin { tls: url.tls, host: url.host.clone(), port: url.port, trust: Trust::Operator };
        let connected = self.dialer.connect(&origin).await;
        let mut connection = connected.with_context(|| format!("no gateway at {}", url.authority()))?;
        let request = self.request(method.clone(), path, body)?;
        let answer = connection.send_request(request).await.context("the gateway did not answer")?;
        let (head, body) = answer.into_parts();
        let bytes = Limited::new(body, ANSWER_MAX).collect().await;
        let bytes = bytes.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
        Ok((head, bytes))
    }
}

/// An answer as JSON; null where it is none.
fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// A text as it may stand in a path or a query.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
