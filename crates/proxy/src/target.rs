//! Where an endpoint's calls go: address, path and credential, worked out once per version of the endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::destination::BaseUrl;
use domain::{Endpoint, EndpointId, Provider, SecretValue, Snapshot, Target, Version};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;

use crate::error::{Error, UpstreamFailure};
use crate::settings::UpstreamSettings;
use crate::upstream::{Origin, Trust};

/// Endpoints one worker remembers; past this it forgets all and begins anew.
const REMEMBERED_MAX: usize = 10_000;

/// Where an endpoint's chat calls go.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) origin: Origin,
    /// Host and port, as they stand in the `Host` header.
    authority: HeaderValue,
    /// Path of chat completions.
    chat_path: String,
    authorization: Option<HeaderValue>,
    /// The model name sent upstream in place of the slug.
    pub(crate) model: Option<Arc<str>>,
    credential: Option<SecretValue>,
}

impl Destination {
    /// A chat request to it: `headers` and what every request of ours carries.
    pub(crate) fn post(&self, mut headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
        headers.insert(header::HOST, self.authority.clone());
        // SDKs ask for gzip, and a compressed answer would blind the meter.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let request = Request::builder().method(Method::POST).uri(&*self.chat_path).body(Full::new(body));
        let mut request = request.map_err(|_| UpstreamFailure::Garbage("the endpoint's URL is no URL"))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// The destinations one worker has worked out, each with the configuration version it was last found right in.
#[derive(Debug, Default)]
pub(crate) struct Targets(Mutex<HashMap<EndpointId, (Version, Arc<Destination>)>>);

impl Targets {
    /// Where this endpoint's calls go.
    pub(crate) fn resolve(
        &self,
        endpoint: &Arc<Endpoint>,
        snapshot: &Snapshot,
        settings: &UpstreamSettings,
    ) -> Result<Arc<Destination>, Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&endpoint.id);
        if let Some((version, found)) = found
            && *version == snapshot.version()
        {
            return Ok(Arc::clone(found));
        }
        let credential = credential(endpoint, snapshot, settings)?;
        let same = found
            .map(|(_, found)| found)
            .filter(|found| Arc::ptr_eq(&found.endpoint, endpoint) && found.credential == credential);
        let destination = match same {
            Some(same) => Arc::clone(same),
            None => Arc::new(destination(endpoint, credential, settings)?),
        };
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(endpoint.id, (snapshot.version(), Arc::clone(&destination)));
        Ok(destination)
    }
}

/// Works out where an endpoint's calls go.
pub(crate) fn destination(
    endpoint: &Arc<Endpoint>,
    credential: Option<SecretValue>,
    settings: &UpstreamSettings,
) -> Result<Destination, Error> {
    let unusable = |what| Error::from(UpstreamFailure::Garbage(what));
    let base: BaseUrl = base_url(&endpoint.target, settings)?
        .parse()
        .map_err(|_| unusable("the endpoint's URL is not one that can be called"))?;
    let authority = HeaderValue::try_from(base.authority())
        .map_err(|_| unusable("the endpoint's host is not one that can be called"))?;
    let authorization = match &credential {
        None => None,
        Some(secret) => Some(authorization(endpoint.target.provider, secret)?),
    };
    Ok(Destination {
        endpoint: Arc::clone(endpoint),
        authority,
        chat_path: format!("{}/chat/completions", base.path),
        origin: Origin {
            tls: base.tls,
            host: base.host,
            port: base.port,
            trust: if endpoint.private_allowed { Trust::Operator } else { Trust::Tenant },
        },
        authorization,
        model: endpoint.target.target_model.clone(),
        credential,
    })
}

fn base_url(target: &Target, settings: &UpstreamSettings) -> Result<String, Error> {
    let model_id = target.model_id.as_deref().unwrap_or_default();
    match target.provider {
        Provider::OpenAiCompatible => Ok(target.base_url.as_deref().unwrap_or_default().to_owned()),
        Provider::OpenAi => Ok(settings.openai_base_url.clone()),
        Provider::BasetenModelApi => Ok(settings.baseten_model_api_url.clone()),
        Provider::Baseten => {
            let environment = target.environment_name.as_deref().unwrap_or("production");
            Ok(settings.baseten_url.replace("{model_id}", model_id).replace("{environment}", environment))
        }
        Provider::Anthropic | Provider::Vertex => {
            Err(Error::Unsupported { provider: target.provider.name() })
        }
    }
}

/// The credential a target is called with; none only for servers that want none.
pub(crate) fn credential(
    endpoint: &Endpoint,
    snapshot: &Snapshot,
    settings: &UpstreamSettings,
) -> Result<Option<SecretValue>, Error> {
    let Some(name) = endpoint.target.secret_name() else { return Ok(None) };
    let value = match name.strip_prefix("env.") {
        Some(variable) => settings.environment_secrets.get(variable).cloned(),
        None => snapshot.secret(endpoint.workspace, name).map(|secret| secret.value.clone()),
    };
    let missing = UpstreamFailure::Credentials("the secret that the target names is not there");
    value.map(Some).ok_or(missing.into())
}

fn authorization(provider: Provider, secret: &SecretValue) -> Result<HeaderValue, Error> {
    let scheme = match provider {
        Provider::Baseten | Provider::BasetenModelApi => "Api-Key",
        Provider::Anthropic | Provider::OpenAi | Provider::OpenAiCompatible | Provider::Vertex => "Bearer",
    };
    let unsendable = |_| UpstreamFailure::Credentials("the secret has characters that no header can carry");
    let mut value = HeaderValue::try_from(format!("{scheme} {}", secret.expose())).map_err(unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}
