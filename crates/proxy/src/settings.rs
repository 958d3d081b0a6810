//! What an operator may choose about the data plane. Plain values; `gateway` fills them from the configuration file.

use std::collections::HashMap;
use std::time::Duration;

use domain::{Admission, SecretValue, Unpriced};
use http::StatusCode;
use limits::Shown;

/// Everything the data plane may be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How calls are admitted where neither endpoint nor group says otherwise.
    pub admission: Admission,
    /// In the mode `hard`: the smallest output that is worth a call, in tokens.
    pub hard_min_output: u64,
    /// Longest request body, in bytes.
    pub body_max: usize,
    /// Request bodies held in memory at once, over all callers, in bytes; and as much again for long answers.
    pub buffered_max: usize,
    /// Whether a call may say for which end user it is made, where its key does not.
    pub declared_users: DeclaredUsers,
    /// Whether every call has to be made for an end user.
    pub user_required: bool,
    /// What becomes of a call that a budget applies to, where its route has no price.
    pub unpriced: Unpriced,
    /// The status of a refusal by a budget.
    pub budget_status: StatusCode,
    /// Whether a federated key may come as `Authorization: Bearer`, as the official SDKs send it.
    pub bearer: Bearer,
    /// Whose live numbers refusals and rate-limit headers tell.
    pub shown: Shown,
    /// What becomes of a stream whose caller leaves.
    pub on_client_gone: OnClientGone,
    /// How long an answer is read on after its caller left.
    pub drain_timeout: Duration,
    /// Which calls are logged.
    pub calls: CallLog,
    /// How upstreams are reached.
    pub upstream: UpstreamSettings,
}

/// Whether federated keys may be sent as Bearer tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// They may.
    Accepted,
    /// 401: only `Api-Key` and the API-key headers.
    Refused,
}

/// Whether a call may say for which end user it is made. A label, not a control: what must hold is bound to the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredUsers {
    /// It may.
    Trusted,
    /// Only the key says.
    Ignored,
}

/// What becomes of a stream whose caller leaves. Whole answers are read on in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClientGone {
    /// It ends at once, at the model server too, and what was seen of it is charged.
    Cancel,
    /// It is read on for its usage.
    Drain,
}

/// Which calls get a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallLog {
    /// None.
    Off,
    /// Those we answered with an error, and those that broke off.
    Errors,
    /// Every one.
    All,
}

/// How upstreams are reached.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// Idle connections kept per upstream and worker.
    pub idle_max: usize,
    /// Root of OpenAI's API.
    pub openai_base_url: String,
    /// Root of Anthropic's API.
    pub anthropic_base_url: String,
    /// Root of a dedicated Baseten deployment, with `{model_id}` and `{environment}`.
    pub baseten_url: String,
    /// Root of Baseten's Model APIs.
    pub baseten_model_api_url: String,
    /// Values of the environment variables that targets may name as `env.NAME`.
    pub environment_secrets: HashMap<String, SecretValue>,
}

/// How long each stage of an upstream call may take, once a connection stands.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the first byte of the answer's header.
    pub first_byte: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// From admission to the last byte.
    pub total: Duration,
}
