//! Endpoints: `/v1/gateway/endpoints`. Here is what one looks like from outside, and the short actions.

pub(crate) mod create;
mod pricing;
mod shape;
pub(crate) mod test;
pub(crate) mod update;

use std::sync::Arc;

use axum::extract::State;
use domain::{Admission, Endpoint, EndpointId, Region, Slug, Snapshot, Target, WorkspaceId, edit};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::{ELSEWHERE, Error};
use crate::json::Answer;
use crate::page::{Kind, ListQuery, Page};
use crate::path::InPath;
use crate::time::Timestamp;

const NO_ENDPOINT: &str = "No endpoint has this id; use the `id` that create answered.";

/// An endpoint as clients see it. Target fields that do not apply are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(crate) struct EndpointView {
    id: EndpointId,
    slug: Slug,
    region: Region,
    #[schema(min_items = 1, max_items = 1)]
    targets: [Target; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    admission: Option<Admission>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An endpoint that is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointDeleted)]
pub(crate) struct DeletedView {
    id: EndpointId,
    slug: Slug,
}

impl EndpointView {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id,
            slug: endpoint.slug.clone(),
            region: endpoint.region,
            targets: [endpoint.target.clone()],
            admission: endpoint.admission,
            created_at: Timestamp(endpoint.created_s),
            updated_at: Timestamp(endpoint.updated_s),
        }
    }
}

/// List the endpoints of the workspace, oldest first.
#[utoipa::path(
    get,
    path = "/v1/gateway/endpoints",
    tag = "endpoints",
    params(ListQuery),
    responses((status = 200, description = "A page of endpoints.", body = Page<EndpointView>)),
)]
pub(crate) async fn endpoint_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    query: ListQuery,
) -> Result<Answer<Page<EndpointView>>, Error> {
    let (limit, after) = (query.limit()?, query.after(Kind::Endpoint)?);
    let snapshot = admin.store.snapshot();
    let endpoints = snapshot.endpoints_after(viewer.workspace, after);
    let serial = |endpoint: &&Arc<Endpoint>| endpoint.serial.0.to_string();
    Ok(Answer(Page::cut(Kind::Endpoint, limit, endpoints, serial, |endpoint| EndpointView::of(endpoint))))
}

/// Read an endpoint.
#[utoipa::path(
    get,
    path = "/v1/gateway/endpoints/{id}",
    tag = "endpoints",
    params(("id" = String, Path, description = "The `id` of an endpoint.")),
    responses((status = 200, description = "The endpoint.", body = EndpointView)),
)]
pub(crate) async fn endpoint_get(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<EndpointView>, Error> {
    let snapshot = admin.store.snapshot();
    Ok(Answer(EndpointView::of(named(&snapshot, viewer.workspace, &id)?)))
}

/// Delete an endpoint.
#[utoipa::path(
    delete,
    path = "/v1/gateway/endpoints/{id}",
    tag = "endpoints",
    params(("id" = String, Path, description = "The `id` of an endpoint.")),
    responses((status = 200, description = "The endpoint is gone.", body = DeletedView)),
)]
pub(crate) async fn endpoint_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Result<Answer<DeletedView>, Error> {
    let id = named(&admin.store.snapshot(), manager.workspace, &id)?.id;
    let deleted = move |cx: &edit::Context<'_>| edit::endpoint::delete(cx, manager.workspace, id);
    let endpoint = admin.edit(manager.right, deleted).await?;
    tracing::info!(endpoint.id = %id, endpoint.slug = %endpoint.slug, "endpoint deleted");
    Ok(Answer(DeletedView { id, slug: endpoint.slug.clone() }))
}

/// The endpoint that a path names.
///
/// # Errors
/// When there is none, or it is another workspace's.
fn named<'a>(snapshot: &'a Snapshot, workspace: WorkspaceId, id: &str) -> Result<&'a Arc<Endpoint>, Error> {
    let endpoint = id.parse().ok().and_then(|id| snapshot.endpoint(id));
    let endpoint = endpoint.ok_or(Error::NotFound(NO_ENDPOINT))?;
    if endpoint.workspace == workspace { Ok(endpoint) } else { Err(Error::Forbidden(ELSEWHERE)) }
}
