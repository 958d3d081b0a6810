//! An endpoint: a public model name and where it goes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::group::Admission;
use crate::id::{EndpointId, Slug, WorkspaceId};
use crate::price::Pricing;
use crate::snapshot::Version;

/// Who serves a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Provider {
    /// A dedicated Baseten deployment, by `model_id`.
    Baseten,
    /// Anthropic's API.
    Anthropic,
    /// OpenAI's API.
    #[serde(rename = "OPENAI")]
    OpenAi,
    /// Any server that speaks OpenAI's dialect, by `base_url`.
    #[serde(rename = "OPENAI_COMPATIBLE")]
    OpenAiCompatible,
    /// Google Vertex AI.
    Vertex,
    /// Baseten's shared Model APIs.
    BasetenModelApi,
}

impl Provider {
    /// The published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseten => "BASETEN",
            Self::Anthropic => "ANTHROPIC",
            Self::OpenAi => "OPENAI",
            Self::OpenAiCompatible => "OPENAI_COMPATIBLE",
            Self::Vertex => "VERTEX",
            Self::BasetenModelApi => "BASETEN_MODEL_API",
        }
    }

    /// The name that model configs and prices know it by.
    #[must_use]
    pub fn config_name(self) -> &'static str {
        match self {
            Self::Baseten | Self::BasetenModelApi => "baseten",
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai_compatible",
            Self::Vertex => "vertex",
        }
    }
}

/// Where data may be processed; a label that is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum Region {
    /// Anywhere.
    #[default]
    #[serde(rename = "UNRESTRICTED")]
    Unrestricted,
    /// In the European Union.
    #[serde(rename = "EU")]
    Eu,
}

/// How prompts for a target are counted before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokenizer {
    /// By the vocabulary of OpenAI's models since GPT-4o, and of gpt-oss.
    O200k,
    /// By the vocabulary of GPT-4, GPT-3.5 and OpenAI's embeddings.
    Cl100k,
    /// One token for every three bytes of text.
    Bytes,
}

/// The workspace secret that Baseten's targets are called with.
pub const BASETEN_SECRET: &str = "BASETEN_API_KEY";

/// A Baseten environment other than production, which is never named.
pub type Environment = Arc<str>;

/// Where Vertex AI calls go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VertexConfig {
    /// The Google Cloud project.
    pub project_id: Arc<str>,
    /// The Google Cloud location.
    pub location: Arc<str>,
}

/// One place a slug can be served from. Members that do not apply to the provider are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Who serves it.
    pub provider: Provider,
    /// Baseten's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub model_id: Option<Arc<str>>,
    /// Baseten's environment; left out, it is production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub environment_name: Option<Environment>,
    /// Name of the workspace's secret, or `env.NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret_id: Option<Arc<str>>,
    /// The model name sent upstream in place of the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target_model: Option<Arc<str>>,
    /// Root of an OpenAI-compatible server, as an SDK would take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base_url: Option<Arc<str>>,
    /// Vertex AI's project and location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub vertex_config: Option<VertexConfig>,
    /// The most the model can write; it caps the guess for calls that declare nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub max_output_tokens: Option<u64>,
    /// How prompts are counted before they are sent; left out, the name that the model has upstream decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tokenizer: Option<Tokenizer>,
    /// Whether the model writes what streams do not show, such as reasoning; left out, it does not. What is not seen
    /// cannot be counted on the way: such streams are held and settled as whole answers are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hidden_output: Option<bool>,
    /// Who serves it by the name that model configs and prices have for it, such as `groq`; left out, its provider's
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", examples("groq"))]
    pub provider_name: Option<Arc<str>>,
    /// What its tokens cost; left out, the price book says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pricing: Option<Arc<Pricing>>,
}

impl Target {
    /// The secret it is called with: the one it names, or its provider's own; none for servers that want none.
    #[must_use]
    pub fn secret_name(&self) -> Option<&str> {
        let implied = match self.provider {
            Provider::Baseten | Provider::BasetenModelApi => Some(BASETEN_SECRET),
            Provider::Anthropic | Provider::OpenAi | Provider::OpenAiCompatible | Provider::Vertex => None,
        };
        self.secret_id.as_deref().or(implied)
    }

    /// Who serves it, as model configs and prices name it.
    #[must_use]
    pub fn served_by(&self) -> &str {
        self.provider_name.as_deref().unwrap_or(self.provider.config_name())
    }
}

/// A public model name and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Opaque, given by us.
    pub id: EndpointId,
    /// The tenant it belongs to.
    pub workspace: WorkspaceId,
    /// The configuration version that made it: the order of lists.
    pub serial: Version,
    /// The public name, unique over the gateway.
    pub slug: Slug,
    /// Stored and shown.
    pub region: Region,
    /// Where it goes; exactly one today.
    pub target: Target,
    /// The endpoint's own choice of admission.
    pub admission: Option<Admission>,
    /// Whether an operator wrote the target, who may point it at private addresses.
    pub private_allowed: bool,
    /// Seconds since 1970 UTC.
    pub created_s: u64,
    /// Seconds since 1970 UTC, of the last edit.
    pub updated_s: u64,
}

impl Endpoint {
    /// The name its model has upstream: the target's, or else the slug.
    #[must_use]
    pub fn upstream_model(&self) -> &str {
        self.target.target_model.as_deref().unwrap_or(self.slug.as_str())
    }
}
