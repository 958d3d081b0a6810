//! `POST /v1/gateway/endpoints/{endpoint_id}/test`: does its target answer?

use std::sync::Arc;

use axum::extract::State;
use domain::Usage;
use serde::Serialize;

use super::named;
use crate::access::Manager;
use crate::admin::{Admin, Probe};
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;

/// What the call showed. A target that does not answer is a finding, not an error of ours.
#[derive(Debug, Serialize)]
pub(crate) struct ProbeView {
    status: Option<u16>,
    error: Option<String>,
    ttft_ms: Option<u64>,
    usage: Option<UsageView>,
}

#[derive(Debug, Serialize)]
struct UsageView {
    input_tokens: u64,
    output_tokens: u64,
    cached_input_tokens: u64,
}

impl UsageView {
    fn of(usage: Usage) -> Self {
        let Usage { input, output, cached, source: _ } = usage;
        Self { input_tokens: input, output_tokens: output, cached_input_tokens: cached }
    }
}

pub(crate) async fn endpoint_test(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<ProbeView>, Error> {
    let endpoint = Arc::clone(named(&admin.store.snapshot(), manager.workspace, &id)?);
    let Probe { status, error, ttft_ms, usage } = admin.prober.probe(endpoint).await;
    Ok(Answer(ProbeView { status, error, ttft_ms, usage: usage.map(UsageView::of) }))
}
