//! The form of endpoint bodies: JSON to drafts, and whether a target may be called at all.

use std::net::IpAddr;
use std::sync::Arc;

use domain::destination::{BaseUrl, Reach, reach};
use domain::edit::endpoint::{EndpointDraft, EndpointPatch, check_target};
use domain::endpoint::VertexConfig;
use domain::{Admission, Provider, Region, Scope, Slug, Target, Tokenizer};
use serde::Deserialize;
use utoipa::ToSchema;

use super::pricing::{PricingBody, pricing};
use crate::access::Manager;
use crate::admin::Settings;
use crate::error::Error;
use crate::json::{Object, Text, Whole, Word, present};
use crate::secrets::ENV_PREFIX;

/// Longest `base_url`, in bytes.
const URL_LEN_MAX: usize = 2048;
/// Longest `provider_name`.
const PROVIDER_NAME_LEN_MAX: usize = 64;
/// The environment that is meant where none is named, and never shown.
const PRODUCTION: &str = "production";
/// Our own variables, the master key among them: no target may send these anywhere.
const OWN_VARIABLES: &str = "TOLLGATE_";

/// A new endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EndpointCreate, examples(json!({
    "slug": "acme/chat",
    "targets": [{
        "provider": "OPENAI_COMPATIBLE", "base_url": "https://models.example.com/v1", "target_model": "chat-large",
    }],
})))]
pub(super) struct CreateBody {
    slug: Slug,
    #[schema(value_type = Option<Region>)]
    region: Option<Word<Region>>,
    #[schema(value_type = Vec<TargetBody>, min_items = 1, max_items = 1)]
    targets: Vec<Object<TargetBody>>,
    #[schema(value_type = Option<Admission>)]
    admission: Option<Word<Admission>>,
}

/// What to change of an endpoint; at least one member.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EndpointUpdate)]
pub(super) struct UpdateBody {
    slug: Option<Slug>,
    #[schema(value_type = Option<Region>)]
    region: Option<Word<Region>>,
    #[schema(value_type = Option<Vec<TargetBody>>, min_items = 1, max_items = 1)]
    targets: Option<Vec<Object<TargetBody>>>,
    /// `null` leaves the choice to the gateway's settings again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Admission>)]
    admission: Option<Option<Word<Admission>>>,
}

/// Where an endpoint goes. Which members are needed depends on the provider.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TargetWanted)]
struct TargetBody {
    #[schema(value_type = Provider)]
    provider: Word<Provider>,
    /// Baseten's model; letters, digits, `_` and `-`.
    model_id: Option<Text>,
    /// Baseten's environment, where it is not production; letters, digits, `_` and `-`.
    environment_name: Option<Text>,
    /// Name of a secret of the workspace, or `env.NAME`, which an operator's key alone may write.
    secret_id: Option<Text>,
    /// The model name that is sent upstream in place of the slug.
    target_model: Option<Text>,
    /// Root of an OpenAI-compatible server, as an SDK would take it.
    #[schema(max_length = 2_048)]
    base_url: Option<String>,
    #[schema(value_type = Option<VertexBody>)]
    vertex_config: Option<Object<VertexBody>>,
    /// The most the model can write; it caps the guess for calls that declare nothing.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    max_output_tokens: Option<Whole>,
    /// How prompts are counted before they are sent; left out, the name that the model has upstream decides.
    #[schema(value_type = Option<Tokenizer>)]
    tokenizer: Option<Word<Tokenizer>>,
    /// Whether the model writes what streams do not show, such as reasoning; left out, it does not.
    hidden_output: Option<bool>,
    /// Who serves it by the name that model configs and prices have for it, such as `groq`; left out, its provider's
    /// own. Small letters, digits, `_` and `-`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$")]
    provider_name: Option<String>,
    /// What its tokens cost; left out, the price book says.
    #[schema(value_type = Option<PricingBody>)]
    pricing: Option<Object<PricingBody>>,
}

/// Where Vertex AI calls go; letters, digits, `_` and `-`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = VertexConfigWanted)]
struct VertexBody {
    project_id: Text,
    location: Text,
}

impl CreateBody {
    /// The endpoint that the operator wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself.
    pub(super) fn draft(self, manager: Manager, settings: &Settings) -> Result<EndpointDraft, Error> {
        Ok(EndpointDraft {
            workspace: manager.workspace,
            slug: self.slug,
            region: self.region.map(|Word(region)| region).unwrap_or_default(),
            target: target(self.targets, manager.scope, settings)?,
            admission: self.admission.map(|Word(admission)| admission),
            private_allowed: manager.scope == Scope::Operator,
        })
    }
}

impl UpdateBody {
    /// The change that the operator wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself; no change at all.
    pub(super) fn patch(self, manager: Manager, settings: &Settings) -> Result<EndpointPatch, Error> {
        let Self { slug, region, targets, admission } = self;
        if slug.is_none() && region.is_none() && targets.is_none() && admission.is_none() {
            return Err(Error::invalid("Nothing to change; send slug, targets, region or admission."));
        }
        let target = targets.map(|targets| target(targets, manager.scope, settings)).transpose()?;
        Ok(EndpointPatch {
            slug,
            target: target.map(|target| (target, manager.scope == Scope::Operator)),
            region: region.map(|Word(region)| region),
            admission: admission.map(|word| word.map(|Word(admission)| admission)),
        })
    }
}

/// The one target of an endpoint, as one with this scope may write it.
fn target(targets: Vec<Object<TargetBody>>, scope: Scope, settings: &Settings) -> Result<Target, Error> {
    let [Object(body)] = <[_; 1]>::try_from(targets).map_err(|other| {
        Error::invalid(format!("targets holds {} targets; list exactly one.", other.len()))
    })?;
    if body.max_output_tokens.is_some_and(|Whole(tokens)| tokens == 0) {
        return Err(Error::invalid("targets[0].max_output_tokens is 0; send 1 or more, or leave it out."));
    }
    let mut target = stated(body)?;
    check_target(&target)?;
    if let Some(url) = &target.base_url {
        check_url(url, scope, settings)?;
    }
    if let Some(secret) = &target.secret_id {
        check_secret(secret, scope, &settings.secrets_env_allow)?;
    }
    target.environment_name = target.environment_name.filter(|name| **name != *PRODUCTION);
    Ok(target)
}

/// The target as it is written, every field in its own form.
fn stated(body: TargetBody) -> Result<Target, Error> {
    Ok(Target {
        provider: body.provider.0,
        model_id: body.model_id.map(|id| url_part("model_id", id)).transpose()?,
        environment_name: body.environment_name.map(|name| url_part("environment_name", name)).transpose()?,
        secret_id: body.secret_id.map(|Text(name)| name),
        target_model: body.target_model.map(|Text(name)| name),
        base_url: body.base_url.map(Arc::from),
        vertex_config: body.vertex_config.map(vertex).transpose()?,
        max_output_tokens: body.max_output_tokens.map(|Whole(tokens)| tokens),
        tokenizer: body.tokenizer.map(|Word(tokenizer)| tokenizer),
        hidden_output: body.hidden_output,
        provider_name: body.provider_name.map(provider_name).transpose()?,
        pricing: body.pricing.map(pricing).transpose()?,
    })
}

fn vertex(Object(VertexBody { project_id, location }): Object<VertexBody>) -> Result<VertexConfig, Error> {
    Ok(VertexConfig {
        project_id: url_part("vertex_config.project_id", project_id)?,
        location: url_part("vertex_config.location", location)?,
    })
}

/// Who serves a target. Prices and model configs are found by it, letter by letter, so it has one spelling.
fn provider_name(name: String) -> Result<Arc<str>, Error> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !(1..=PROVIDER_NAME_LEN_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(Error::invalid(format!(
            "targets[0].provider_name is not a name of a provider; use 1 to {PROVIDER_NAME_LEN_MAX} small letters, \
             digits, `_` and `-`."
        )));
    }
    Ok(name.into())
}

/// A name that becomes part of a host or a path upstream, so it must not be able to mean another one.
fn url_part(field: &str, Text(name): Text) -> Result<Arc<str>, Error> {
    let safe = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !safe {
        return Err(Error::invalid(format!(
            "targets[0].{field} becomes part of a URL; use letters, digits, `_` and `-` only."
        )));
    }
    Ok(name)
}

fn check_url(text: &str, scope: Scope, settings: &Settings) -> Result<(), Error> {
    let refuse = |why: &str| Error::invalid(format!("targets[0].base_url cannot be used: {why}."));
    if text.len() > URL_LEN_MAX {
        return Err(refuse(&format!("it is longer than {URL_LEN_MAX} characters")));
    }
    let url: BaseUrl = text.parse().map_err(|why: domain::destination::BadUrl| refuse(&why.to_string()))?;
    if !url.tls && !settings.allow_http {
        return Err(refuse("it is plain HTTP, which this gateway does not allow; use https://"));
    }
    let Some(address) = url.literal() else { return Ok(()) };
    let allowed = |address: IpAddr| {
        settings.allow_networks.iter().any(|network| network.contains(address.to_canonical()))
    };
    match reach(address) {
        Reach::Never => Err(refuse("it is an address that is never called")),
        Reach::Private if scope != Scope::Operator && !allowed(address) => {
            Err(refuse("it is a private address, which only an operator's key may write"))
        }
        Reach::Public | Reach::Private => Ok(()),
    }
}

/// One from the environment is for operators, and must be allowed by name; whether a named one exists is seen inside the edit.
fn check_secret(name: &str, scope: Scope, allowed: &[String]) -> Result<(), Error> {
    let Some(variable) = name.strip_prefix(ENV_PREFIX) else { return Ok(()) };
    if scope != Scope::Operator {
        return Err(Error::Forbidden(
            "targets[0].secret_id: only an operator's key may use the gateway's environment; put a secret instead.",
        ));
    }
    let listed = allowed.iter().any(|allowed| allowed == variable);
    if !listed || variable.starts_with(OWN_VARIABLES) {
        return Err(Error::invalid(format!(
            "targets[0].secret_id: the variable `{variable}` is not among those that the gateway's configuration \
             lets targets use; add it there, or put the value as a secret."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
