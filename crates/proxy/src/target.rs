//! Where an endpoint's calls go: address, paths and credential, worked out once per version of the endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::destination::BaseUrl;
use domain::{Endpoint, EndpointId, Pricing, Provider, SecretValue, Snapshot, Target, Version};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use outbound::http1::{Opening, Request};
use outbound::{Origin, Trust};
use tokens::Tokenizer;
use wire::{Dialect, Operation};

use crate::barred::Barred;
use crate::error::{Error, UpstreamFailure};
use crate::settings::UpstreamSettings;

/// Endpoints one worker remembers; past this it forgets all and begins anew.
const REMEMBERED_MAX: usize = 10_000;

/// What Anthropic's API is asked for where the caller names no version of it.
static ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// Where an endpoint's calls go.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) origin: Arc<Origin>,
    /// How every request to it begins: host, credential, and what we ask for ourselves.
    opening: Opening,
    /// The path of each operation that it serves.
    paths: Vec<(Operation, PathAndQuery)>,
    /// The model name sent upstream in place of the slug.
    pub(crate) model: Option<Arc<str>>,
    /// How its prompts are counted.
    pub(crate) tokenizer: Tokenizer,
    /// What its tokens cost.
    pub(crate) price: Option<Arc<Pricing>>,
    credential: Option<SecretValue>,
}

impl Destination {
    /// Whether its model writes what its streams do not show.
    pub(crate) fn hides_output(&self) -> bool {
        self.endpoint.target.hidden_output == Some(true)
    }

    /// The path of an operation.
    ///
    /// # Errors
    /// Its provider does not speak the operation's dialect.
    pub(crate) fn path_of(&self, operation: Operation) -> Result<&PathAndQuery, Error> {
        let served = self.paths.iter().find(|(served, _)| *served == operation);
        let provider = self.endpoint.target.provider.name();
        served.map(|(_, path)| path).ok_or(Barred::Unsupported { provider }.into())
    }

    /// A request to it: `headers`, and what every request of ours carries.
    pub(crate) fn post<'a>(
        &self,
        operation: Operation,
        headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
        body: Vec<Bytes>,
    ) -> Result<Request, Error> {
        let mut draft = self.opening.post(self.path_of(operation)?);
        let mut is_versioned = self.endpoint.target.provider != Provider::Anthropic;
        for (name, value) in headers {
            is_versioned |= *name == ANTHROPIC_VERSION.0;
            draft.header(name, value);
        }
        if !is_versioned {
            draft.header(&ANTHROPIC_VERSION.0, &ANTHROPIC_VERSION.1);
        }
        Ok(draft.with_body(body))
    }
}

/// The destinations one worker has worked out, each with the configuration version it was last found right in.
#[derive(Debug, Default)]
pub(crate) struct Targets(
    Mutex<HashMap<EndpointId, (Version, Arc<Destination>), foldhash::fast::RandomState>>,
);

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
        let price = snapshot.price_of(endpoint);
        let same = found.map(|(_, found)| found).filter(|found| {
            Arc::ptr_eq(&found.endpoint, endpoint) && found.credential == credential && found.price == price
        });
        let destination = match same {
            Some(same) => Arc::clone(same),
            None => Arc::new(Destination { price, ..destination(endpoint, credential, settings)? }),
        };
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(endpoint.id, (snapshot.version(), Arc::clone(&destination)));
        Ok(destination)
    }
}

/// Works out where an endpoint's calls go, whatever they cost.
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
    Ok(Destination {
        endpoint: Arc::clone(endpoint),
        opening: opening(&authority, endpoint.target.provider, credential.as_ref())?,
        paths: paths(endpoint.target.provider, &base.path)?,
        origin: Arc::new(Origin {
            tls: base.tls,
            host: base.host,
            port: base.port,
            trust: if endpoint.private_allowed { Trust::Operator } else { Trust::Tenant },
        }),
        model: endpoint.target.target_model.clone(),
        tokenizer: tokenizer(endpoint),
        price: None,
        credential,
    })
}

/// The tokenizer that the endpoint names, or else the one of its model's family.
fn tokenizer(endpoint: &Endpoint) -> Tokenizer {
    let model = endpoint.target.target_model.as_deref().unwrap_or(endpoint.slug.as_str());
    match endpoint.target.tokenizer {
        Some(domain::Tokenizer::O200k) => Tokenizer::O200k,
        Some(domain::Tokenizer::Cl100k) => Tokenizer::Cl100k,
        Some(domain::Tokenizer::Bytes) => Tokenizer::Bytes,
        None => Tokenizer::for_model(model),
    }
}

fn base_url(target: &Target, settings: &UpstreamSettings) -> Result<String, Error> {
    let model_id = target.model_id.as_deref().unwrap_or_default();
    match target.provider {
        Provider::OpenAiCompatible => Ok(target.base_url.as_deref().unwrap_or_default().to_owned()),
        Provider::OpenAi => Ok(settings.openai_base_url.clone()),
        Provider::Anthropic => Ok(settings.anthropic_base_url.clone()),
        Provider::BasetenModelApi => Ok(settings.baseten_model_api_url.clone()),
        Provider::Baseten => {
            let environment = target.environment_name.as_deref().unwrap_or("production");
            Ok(settings.baseten_url.replace("{model_id}", model_id).replace("{environment}", environment))
        }
        Provider::Vertex => Err(Barred::Unsupported { provider: target.provider.name() }.into()),
    }
}

/// The paths of what a provider serves, below the root of its API: ours, without our `/v1`.
fn paths(provider: Provider, root: &str) -> Result<Vec<(Operation, PathAndQuery)>, Error> {
    let path = |operation: Operation| {
        let below = operation.path().strip_prefix("/v1").unwrap_or_default();
        let path = PathAndQuery::try_from(format!("{root}{below}"));
        path.map(|path| (operation, path))
            .map_err(|_| UpstreamFailure::Garbage("the endpoint's URL is no URL").into())
    };
    Operation::ALL.into_iter().filter(|operation| serves(provider, *operation)).map(path).collect()
}

/// Whether a provider's servers speak the dialect of an operation. Nothing is translated.
fn serves(provider: Provider, operation: Operation) -> bool {
    match (provider, operation.dialect()) {
        (Provider::OpenAiCompatible, _) | (Provider::Anthropic, Dialect::Anthropic) => true,
        (Provider::OpenAi | Provider::Baseten | Provider::BasetenModelApi, dialect) => {
            dialect == Dialect::OpenAi
        }
        (Provider::Anthropic, Dialect::OpenAi) | (Provider::Vertex, _) => false,
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

/// What every request to a destination carries.
fn opening(
    authority: &HeaderValue,
    provider: Provider,
    credential: Option<&SecretValue>,
) -> Result<Opening, Error> {
    // SDKs ask for gzip, and a compressed answer would blind the meter.
    let identity = (header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let mut headers = vec![identity];
    if let Some(secret) = credential {
        headers.push(authorization(provider, secret)?);
    }
    Ok(Opening::new(authority, &headers))
}

fn authorization(provider: Provider, secret: &SecretValue) -> Result<(HeaderName, HeaderValue), Error> {
    let secret = secret.expose();
    let (name, value) = match provider {
        Provider::Baseten | Provider::BasetenModelApi => (header::AUTHORIZATION, format!("Api-Key {secret}")),
        Provider::Anthropic => (HeaderName::from_static("x-api-key"), secret.to_owned()),
        Provider::OpenAi | Provider::OpenAiCompatible | Provider::Vertex => {
            (header::AUTHORIZATION, format!("Bearer {secret}"))
        }
    };
    let unsendable = |_| UpstreamFailure::Credentials("the secret has characters that no header can carry");
    let mut value = HeaderValue::try_from(value).map_err(unsendable)?;
    value.set_sensitive(true);
    Ok((name, value))
}
