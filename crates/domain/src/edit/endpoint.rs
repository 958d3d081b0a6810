//! Endpoints: create, update, delete, and which target fields belong to which provider.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::endpoint::{Endpoint, Provider, Region, Target};
use crate::group::Admission;
use crate::id::{EndpointId, Slug, WorkspaceId};

const NO_ENDPOINT: &str = "No endpoint with this id exists in this workspace.";

/// An endpoint as a client writes it.
#[derive(Debug, Clone)]
pub struct EndpointDraft {
    /// The tenant that writes.
    pub workspace: WorkspaceId,
    /// The public name.
    pub slug: Slug,
    /// Stored and shown.
    pub region: Region,
    /// Where it goes; has passed [`check_target`].
    pub target: Target,
    /// The endpoint's own choice of admission.
    pub admission: Option<Admission>,
    /// Whether the writer may point it at private addresses.
    pub private_allowed: bool,
}

/// A change to an endpoint as a client writes it. At least one field is set.
#[derive(Debug, Clone, Default)]
pub struct EndpointPatch {
    /// A new public name.
    pub slug: Option<Slug>,
    /// A new target, and whether its writer may point it at private addresses.
    pub target: Option<(Target, bool)>,
    /// A new region.
    pub region: Option<Region>,
    /// A new choice of admission, or none.
    pub admission: Option<Option<Admission>>,
}

/// Whether a provider takes a target field.
#[derive(Clone, Copy)]
enum Takes {
    Always,
    Maybe,
    Never,
}

/// Checks that the fields of a target are those of its provider.
///
/// # Errors
/// The first field that is missing or out of place, by name.
pub fn check_target(target: &Target) -> Result<(), Rejection> {
    use Takes::{Always, Maybe, Never};
    // The columns: model_id, environment_name, secret_id, target_model, base_url, vertex_config.
    let takes = match target.provider {
        Provider::Baseten => [Always, Maybe, Never, Maybe, Never, Never],
        Provider::Anthropic | Provider::OpenAi => [Never, Never, Always, Always, Never, Never],
        Provider::OpenAiCompatible => [Never, Never, Maybe, Always, Always, Never],
        Provider::Vertex => [Never, Never, Always, Always, Never, Always],
        Provider::BasetenModelApi => [Never, Never, Maybe, Maybe, Never, Never],
    };
    let given = [
        ("model_id", target.model_id.is_some()),
        ("environment_name", target.environment_name.is_some()),
        ("secret_id", target.secret_id.is_some()),
        ("target_model", target.target_model.is_some()),
        ("base_url", target.base_url.is_some()),
        ("vertex_config", target.vertex_config.is_some()),
    ];
    let provider = target.provider.name();
    for (takes, (field, given)) in takes.into_iter().zip(given) {
        match (takes, given) {
            (Always, false) => {
                return Err(Rejection::invalid(format!("A target of {provider} needs {field}.")));
            }
            (Never, true) => {
                return Err(Rejection::invalid(format!("A target of {provider} takes no {field}.")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates an endpoint.
///
/// # Errors
/// A slug whose prefix another workspace owns, or that is taken, anywhere on this gateway; an unknown secret.
pub fn create(cx: &Context<'_>, draft: EndpointDraft) -> Result<(Change, Arc<Endpoint>), Rejection> {
    check_owned(cx, draft.workspace, &draft.slug)?;
    check_free(cx, &draft.slug)?;
    check_secret(cx, draft.workspace, &draft.target)?;
    let endpoint = Arc::new(Endpoint {
        id: EndpointId(cx.fresh_id),
        workspace: draft.workspace,
        serial: cx.version,
        slug: draft.slug,
        region: draft.region,
        target: draft.target,
        admission: draft.admission,
        private_allowed: draft.private_allowed,
        created_s: cx.now_s,
        updated_s: cx.now_s,
    });
    Ok((change(cx, endpoint.workspace, Record::Endpoint(Arc::clone(&endpoint))), endpoint))
}

/// Updates an endpoint: a new target, a new name, or both.
///
/// # Errors
/// An unknown endpoint or secret, or a slug that is taken or whose prefix another workspace owns.
pub fn update(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: EndpointId,
    patch: EndpointPatch,
) -> Result<(Change, Arc<Endpoint>), Rejection> {
    let before = visible(cx, workspace, id)?;
    let mut after = Endpoint::clone(before);
    if let Some(slug) = patch.slug.filter(|slug| *slug != before.slug) {
        check_owned(cx, workspace, &slug)?;
        check_free(cx, &slug)?;
        after.slug = slug;
    }
    if let Some((target, private_allowed)) = patch.target {
        check_secret(cx, workspace, &target)?;
        (after.target, after.private_allowed) = (target, private_allowed);
    }
    after.region = patch.region.unwrap_or(before.region);
    after.admission = patch.admission.unwrap_or(before.admission);
    after.updated_s = cx.now_s;
    let after = Arc::new(after);
    Ok((change(cx, workspace, Record::Endpoint(Arc::clone(&after))), after))
}

/// Deletes an endpoint. Groups that list its slug keep it; their calls answer 404.
///
/// # Errors
/// An unknown endpoint.
pub fn delete(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: EndpointId,
) -> Result<(Change, Arc<Endpoint>), Rejection> {
    let endpoint = visible(cx, workspace, id)?;
    Ok((change(cx, workspace, Record::EndpointDeleted { id }), Arc::clone(endpoint)))
}

fn visible<'a>(
    cx: &Context<'a>,
    workspace: WorkspaceId,
    id: EndpointId,
) -> Result<&'a Arc<Endpoint>, Rejection> {
    let endpoint = cx.snapshot.endpoint(id).filter(|endpoint| endpoint.workspace == workspace);
    endpoint.ok_or(Rejection::NotFound(NO_ENDPOINT))
}

/// Comes before the question whether the slug is free, so that nobody learns what others serve.
fn check_owned(cx: &Context<'_>, workspace: WorkspaceId, slug: &Slug) -> Result<(), Rejection> {
    match cx.snapshot.prefix_owner(slug.prefix()) {
        Some(owner) if owner == workspace => Ok(()),
        _ => Err(Rejection::invalid(format!(
            "This workspace does not own the prefix `{}`; use one of its own, or ask the operator for it.",
            slug.prefix()
        ))),
    }
}

fn check_free(cx: &Context<'_>, slug: &Slug) -> Result<(), Rejection> {
    match cx.snapshot.endpoint_by_slug(slug) {
        Some(_) => Err(Rejection::invalid(format!("An endpoint with the slug `{slug}` exists already."))),
        None => Ok(()),
    }
}

/// A named secret must exist. One from the environment was checked where the environment is known.
fn check_secret(cx: &Context<'_>, workspace: WorkspaceId, target: &Target) -> Result<(), Rejection> {
    match target.secret_id.as_deref() {
        Some(name) if !name.starts_with("env.") && cx.snapshot.secret(workspace, name).is_none() => {
            Err(Rejection::invalid(format!("No secret named `{name}` exists; put it first.")))
        }
        _ => Ok(()),
    }
}

/// Which model configs a call has to fit depends on where its slug goes, so every call of the workspace looks again.
fn change(cx: &Context<'_>, workspace: WorkspaceId, record: Record) -> Change {
    Change { workspaces: vec![workspace], ..Change::of(cx, record) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Snapshot, Version};
    use crate::workspace::{Prefixes, Workspace};

    const HOME: WorkspaceId = WorkspaceId(7);

    /// A configuration with one workspace, which may own any slug.
    fn configured() -> Snapshot {
        let home = Workspace {
            id: HOME,
            name: "home".into(),
            onboarded: true,
            org_prefixes: Prefixes::Rest,
            ed25519_public_key: None,
            serial: Version(1),
            created_s: 0,
        };
        let records = vec![Record::Workspace(Arc::new(home))];
        let change = Change { version: Version(1), records, trees: Vec::new(), workspaces: Vec::new() };
        Snapshot::default().apply(&change)
    }

    fn context(snapshot: &Snapshot, version: u64) -> Context<'_> {
        Context { snapshot, version: Version(version), now_s: 0, now_ms: 0, fresh_id: version }
    }

    fn target(provider_name: Option<&str>) -> Target {
        let json =
            serde_json::json!({ "provider": "BASETEN", "model_id": "m", "provider_name": provider_name });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn wherever_a_slug_goes_from_now_on_every_call_of_its_workspace_looks_again() {
        let empty = configured();
        let draft = EndpointDraft {
            workspace: HOME,
            slug: "acme/chat".parse().unwrap(),
            region: Region::Unrestricted,
            target: target(None),
            admission: None,
            private_allowed: false,
        };
        let (created, endpoint) = create(&context(&empty, 2), draft).unwrap();
        let made = empty.apply(&created);
        let patch = EndpointPatch { target: Some((target(Some("groq")), false)), ..EndpointPatch::default() };
        let (updated, _) = update(&context(&made, 3), HOME, endpoint.id, patch).unwrap();
        let served_elsewhere = made.apply(&updated);
        let (deleted, _) = delete(&context(&served_elsewhere, 4), HOME, endpoint.id).unwrap();
        let gone = served_elsewhere.apply(&deleted);
        let epochs = [&empty, &made, &served_elsewhere, &gone].map(|snapshot| snapshot.workspace_epoch(HOME));
        assert_eq!(epochs[1..], [2, 3, 4].map(Version));
        assert_ne!(epochs[0], epochs[1]);
    }
}
