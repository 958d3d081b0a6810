//! `POST /api/governance/budgets/{id}/reset` and `POST /api/governance/rate-limits/{id}/reset`: what is used is
//! forgotten; what calls in flight hold, and when the period ends, stay as they are.

use std::sync::Arc;

use axum::extract::State;
use domain::LineId;
use domain::edit::model_config::{NO_BUDGET, NO_RATE_LIMIT};
use domain::edit::{self, model_config};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{BudgetView, Live, RateLimitView};
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::Answer;
use crate::path::InPath;

/// A budget of which nothing is used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BudgetReset)]
pub(crate) struct BudgetResetView {
    /// What was done, for people.
    message: &'static str,
    budget: BudgetView,
}

/// A rate limit of which nothing is used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RateLimitReset)]
pub(crate) struct RateLimitResetView {
    /// What was done, for people.
    message: &'static str,
    rate_limit: RateLimitView,
}

/// Forget what a budget has spent in its present period.
///
/// What calls in flight hold stays held, and the period ends when it would have.
#[utoipa::path(
    post,
    path = "/api/governance/budgets/{id}/reset",
    tag = "governance",
    params(("id" = String, Path, description = "The `id` of a budget.")),
    responses((status = 200, description = "The budget as it now stands.", body = BudgetResetView)),
)]
pub(crate) async fn budget_reset(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<BudgetResetView>, Error> {
    let id: LineId = id.parse().map_err(|_| Error::NotFound(NO_BUDGET))?;
    let reset = move |cx: &edit::Context<'_>| {
        let (change, config) = model_config::reset_budget(cx, manager.workspace, id)?;
        Ok((change, (cx.snapshot.clone(), config)))
    };
    let (snapshot, config) = admin.edit(manager.right, reset).await?;
    tracing::info!(model_config.id = %config.id, budget.id = %id, "budget reset");
    let budget = BudgetView::one(Live::at(&admin, &snapshot), &config, id);
    let budget = budget.ok_or(Error::NotFound(NO_BUDGET))?;
    Ok(Answer(BudgetResetView { message: "Budget reset.", budget }))
}

/// Forget what a rate limit has used in its present periods, tokens and requests.
///
/// What calls in flight hold stays held, and the periods end when they would have.
#[utoipa::path(
    post,
    path = "/api/governance/rate-limits/{id}/reset",
    tag = "governance",
    params(("id" = String, Path, description = "The `id` of a rate limit.")),
    responses((status = 200, description = "The rate limit as it now stands.", body = RateLimitResetView)),
)]
pub(crate) async fn rate_limit_reset(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<RateLimitResetView>, Error> {
    let id: LineId = id.parse().map_err(|_| Error::NotFound(NO_RATE_LIMIT))?;
    let reset = move |cx: &edit::Context<'_>| {
        let (change, config) = model_config::reset_rate_limit(cx, manager.workspace, id)?;
        Ok((change, (cx.snapshot.clone(), config)))
    };
    let (snapshot, config) = admin.edit(manager.right, reset).await?;
    tracing::info!(model_config.id = %config.id, rate_limit.id = %id, "rate limit reset");
    let rate_limit = RateLimitView::one(Live::at(&admin, &snapshot), &config, id);
    let rate_limit = rate_limit.ok_or(Error::NotFound(NO_RATE_LIMIT))?;
    Ok(Answer(RateLimitResetView { message: "Rate limit reset.", rate_limit }))
}
