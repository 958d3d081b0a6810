//! `/api/governance/providers`: what may be spent at a provider, whoever calls whichever model.
//!
//! A view of the model config with the scope `global`, the model `*` and the provider's name: the same ids, the same use.

use std::sync::Arc;

use axum::extract::State;
use domain::edit::{self, model_config};
use domain::{ConfigIdentity, ModelConfig, Snapshot, WorkspaceId};
use serde::Serialize;
use storage::random_bytes;
use utoipa::ToSchema;

use super::shape::{ProviderBody, folded};
use super::view::{LimitsView, Live};
use super::{DoneView, configs_of, prices};
use crate::access::{Manager, Viewer};
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// What may be spent at a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderLimits)]
pub(crate) struct ProviderView {
    provider: Arc<str>,
    #[serde(flatten)]
    limits: LimitsView,
    calendar_aligned: bool,
}

/// The providers that have limits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderList)]
pub(crate) struct ProvidersView {
    providers: Vec<ProviderView>,
    count: usize,
}

/// A provider after its limits were written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderWritten)]
pub(crate) struct ProviderWrittenView {
    /// What was done, for people.
    message: &'static str,
    provider: ProviderView,
}

impl ProviderView {
    fn of(live: Live<'_>, config: &ModelConfig, provider: &Arc<str>) -> Self {
        let limits = LimitsView::of(live, config);
        Self { provider: Arc::clone(provider), limits, calendar_aligned: config.calendar_aligned }
    }

    fn unlimited(provider: Arc<str>) -> Self {
        Self { provider, limits: LimitsView::none(), calendar_aligned: false }
    }
}

/// List the providers that have limits of their own.
#[utoipa::path(
    get,
    path = "/api/governance/providers",
    tag = "governance",
    responses((status = 200, description = "The providers.", body = ProvidersView)),
)]
pub(crate) async fn provider_list(
    viewer: Viewer,
    State(admin): State<Arc<Admin>>,
) -> Result<Answer<ProvidersView>, Error> {
    let snapshot = admin.store.snapshot();
    let live = Live::at(&admin, &snapshot);
    let limited = configs_of(&snapshot, viewer.workspace).filter(|config| config.is_limited());
    let of_providers = limited.filter_map(|config| {
        let name = config.identity.provider.as_ref()?;
        (config.identity == ConfigIdentity::of_provider(Arc::clone(name)))
            .then(|| ProviderView::of(live, config, name))
    });
    let providers: Vec<_> = of_providers.collect();
    Ok(Answer(ProvidersView { count: providers.len(), providers }))
}

/// Set what may be spent at a provider.
///
/// What is left out or `null` stays; a list that is sent is the whole new list. Without any limit left, the model config
/// that holds them is deleted.
#[utoipa::path(
    put,
    path = "/api/governance/providers/{name}",
    tag = "governance",
    params(("name" = String, Path, description = "The provider of some endpoint; case does not matter.")),
    request_body = ProviderBody,
    responses((status = 200, description = "The provider as it now stands.", body = ProviderWrittenView)),
)]
pub(crate) async fn provider_put(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(name): InPath<String>,
    Received(body): Received,
) -> Result<Answer<ProviderWrittenView>, Error> {
    let name: Arc<str> = folded(&name).into();
    let known = config_of(&admin.store.snapshot(), manager.workspace, &name);
    let patch = parse::<ProviderBody>(&body)?.patch(&name, known.as_deref())?;
    let provider = Arc::clone(&name);
    let put = move |cx: &edit::Context<'_>| {
        let put = model_config::put_provider(cx, manager.workspace, &provider, patch, &mut || random_bytes());
        let (change, config) = put?;
        let snapshot = cx.snapshot.apply(&change);
        Ok((change, (snapshot, config)))
    };
    let (snapshot, config) = admin.edit(manager.right, put).await?;
    tracing::info!(provider = %name, "limits of a provider updated");
    let Some(config) = config else {
        let provider = ProviderView::unlimited(name);
        return Ok(Answer(ProviderWrittenView { message: "Provider has no limits.", provider }));
    };
    prices::warn(&snapshot, &config, admin.settings.unpriced);
    let provider = ProviderView::of(Live::at(&admin, &snapshot), &config, &name);
    Ok(Answer(ProviderWrittenView { message: "Provider limits updated.", provider }))
}

/// Take every limit of a provider away.
///
/// There may be none.
#[utoipa::path(
    delete,
    path = "/api/governance/providers/{name}",
    tag = "governance",
    params(("name" = String, Path, description = "A provider; case does not matter.")),
    responses((status = 200, description = "The provider has no limits.", body = DoneView)),
)]
pub(crate) async fn provider_delete(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(name): InPath<String>,
) -> Result<Answer<DoneView>, Error> {
    let name = folded(&name);
    let provider = name.clone();
    let deleted = move |cx: &edit::Context<'_>| {
        Ok((model_config::delete_provider(cx, manager.workspace, &provider), ()))
    };
    admin.edit(manager.right, deleted).await?;
    tracing::info!(provider = %name, "limits of a provider deleted");
    Ok(Answer(DoneView { message: "Provider limits deleted." }))
}

fn config_of(snapshot: &Snapshot, workspace: WorkspaceId, provider: &Arc<str>) -> Option<Arc<ModelConfig>> {
    snapshot.config_about(workspace, ConfigIdentity::of_provider(Arc::clone(provider))).cloned()
}
