//! `GET /api/governance/budgets` and `GET /api/governance/rate-limits`: those of every config, in one list.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::configs_of;
use super::view::{BudgetView, Live, RateLimitView};
use crate::access::Viewer;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;

/// Every budget of a workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BudgetList)]
pub(crate) struct BudgetsView {
    budgets: Vec<BudgetView>,
    count: usize,
}

/// Every rate limit of a workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RateLimitList)]
pub(crate) struct RateLimitsView {
    rate_limits: Vec<RateLimitView>,
    count: usize,
}

/// List the budgets of all model configs, with what is spent of each.
#[utoipa::path(
    get,
    path = "/api/governance/budgets",
    tag = "governance",
    responses((status = 200, description = "Every budget of the workspace.", body = BudgetsView)),
)]
pub(crate) async fn budget_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<BudgetsView>, Error> {
    let snapshot = admin.store.snapshot();
    let live = Live::at(&admin, &snapshot);
    let configs = configs_of(&snapshot, viewer.workspace);
    let budgets: Vec<_> = configs.flat_map(|config| BudgetView::all(live, config)).collect();
    Ok(Answer(BudgetsView { count: budgets.len(), budgets }))
}

/// List the rate limits of all model configs, with what is used of each.
#[utoipa::path(
    get,
    path = "/api/governance/rate-limits",
    tag = "governance",
    responses((status = 200, description = "Every rate limit of the workspace.", body = RateLimitsView)),
)]
pub(crate) async fn rate_limit_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<RateLimitsView>, Error> {
    let snapshot = admin.store.snapshot();
    let live = Live::at(&admin, &snapshot);
    let configs = configs_of(&snapshot, viewer.workspace);
    let rate_limits: Vec<_> = configs.flat_map(|config| RateLimitView::all(live, config)).collect();
    Ok(Answer(RateLimitsView { count: rate_limits.len(), rate_limits }))
}
