//! `POST /v1/gateway/endpoints/{endpoint_id}/test`: does its target answer?

use std::sync::Arc;

use axum::extract::State;
use domain::Usage;
use serde::Serialize;
use utoipa::ToSchema;

use super::named;
use crate::access::Manager;
use crate::admin::{Admin, Probe};
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;

/// What the call showed. A target that does not answer is a finding, not an error of ours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointTested)]
pub(crate) struct ProbeView {
    /// Status of the target's answer, if there was one.
    #[schema(required)]
    status: Option<u16>,
    /// What went wrong, for people.
    #[schema(required)]
    error: Option<String>,
    /// Milliseconds to the first byte of the answer.
    #[schema(required)]
    ttft_ms: Option<u64>,
    #[schema(required)]
    usage: Option<UsageView>,
}

/// What the target says it used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokensUsed)]
struct UsageView {
    input_tokens: u64,
    output_tokens: u64,
    cached_input_tokens: u64,
}

impl UsageView {
    fn of(usage: Usage) -> Self {
        let Usage { input, output, cached, cache_written: _, source: _ } = usage;
        Self { input_tokens: input, output_tokens: output, cached_input_tokens: cached }
    }
}

/// Call an endpoint's target once, charged to nobody.
#[utoipa::path(
    post,
    path = "/v1/gateway/endpoints/{id}/test",
    tag = "endpoints",
    params(("id" = String, Path, description = "The `id` of an endpoint.")),
    responses((status = 200, description = "What the call showed. A target that does not answer is a finding, not an error.", body = ProbeView)),
)]
pub(crate) async fn endpoint_test(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<ProbeView>, Error> {
    let endpoint = Arc::clone(named(&admin.store.snapshot(), manager.workspace, &id)?);
    let Probe { status, error, ttft_ms, usage } =
        admin.waits.during(manager.workspace, admin.prober.probe(endpoint)).await?;
    Ok(Answer(ProbeView { status, error, ttft_ms, usage: usage.map(UsageView::of) }))
}
