//! The form of group bodies: JSON to drafts. Only what can be seen in the body alone is checked here.

mod import;

use std::sync::Arc;

use domain::edit::Rejection;
use domain::edit::group::{GroupDraft, GroupPatch, LimitDraft, ModelDraft, check_models, check_name};
use domain::{Admission, Enforcement, Group, GroupId, LimitType, Metadata, Slug, Unit, WorkspaceId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::{Hierarchy, Settings};
use crate::error::Error;
use crate::json::{Object, Text, Whole, Word, present};

pub(crate) use self::import::GroupLine;

/// Most slugs of one group. Each is looked up in every list of its tree, so the work grows with the square.
const MODELS_MAX: usize = 1_000;

const IMMUTABLE: &str = "cannot be changed; delete the group and create it anew.";

/// A new group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupCreate, examples(json!({
    "metadata": { "name": "Acme", "external_entity_id": "customer-42" },
    "models": [{
        "slug": "acme/chat",
        "rate_limits": [{ "type": "REQUEST", "unit": "MINUTE", "threshold": 60 }],
        "usage_limits": [{ "type": "TOKEN", "unit": "DAY", "threshold": 1_000_000 }],
    }],
    "hierarchy": { "limit_enforcement": "CASCADING", "parent_group_id": null },
})))]
pub(super) struct CreateBody {
    #[schema(value_type = CreateMetadata)]
    metadata: Object<CreateMetadata>,
    /// What the group may call: the complete set, since slugs are not inherited.
    #[schema(value_type = Vec<ModelBody>, min_items = 1, max_items = 1_000)]
    models: Vec<Object<ModelBody>>,
    /// Must be there with both of its members, unless the gateway is set to do without.
    #[schema(value_type = Option<HierarchyBody>)]
    hierarchy: Option<Object<HierarchyBody>>,
}

/// What people call a new group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupCreateMetadata)]
struct CreateMetadata {
    /// For display only.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// The customer's identifier in your own systems, unique in the workspace.
    external_entity_id: Text,
}

/// What to change of a group; at least `metadata.name` or `models`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupUpdate)]
pub(super) struct UpdateBody {
    #[schema(value_type = Option<UpdateMetadata>)]
    metadata: Option<Object<UpdateMetadata>>,
    /// The complete new set.
    #[schema(value_type = Option<Vec<ModelBody>>, max_items = 1_000)]
    models: Option<Vec<Object<ModelBody>>>,
    /// Cannot change: if it is sent, it must be as it is.
    #[schema(value_type = Option<HierarchyBody>)]
    hierarchy: Option<Object<HierarchyBody>>,
}

/// What people shall call the group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupUpdateMetadata)]
struct UpdateMetadata {
    /// `null` takes the name away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Option<String>>,
    /// Cannot change: if it is sent, it must be as it is.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    external_entity_id: Option<Option<String>>,
}

/// A place in the customer tree.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = HierarchyWanted)]
struct HierarchyBody {
    /// That of the whole tree.
    #[schema(value_type = Option<Enforcement>)]
    limit_enforcement: Option<Word<Enforcement>>,
    /// `null` for a root.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<GroupId>)]
    parent_group_id: Option<Option<String>>,
}

/// A slug that the group may call, and the limits that the group itself declares for it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupModelWanted)]
struct ModelBody {
    slug: Slug,
    /// Limits per SECOND or MINUTE, at most one per type and unit.
    #[schema(value_type = Option<Vec<LimitBody>>)]
    rate_limits: Option<Vec<Object<LimitBody>>>,
    /// Limits per DAY, at most one per type.
    #[schema(value_type = Option<Vec<LimitBody>>)]
    usage_limits: Option<Vec<Object<LimitBody>>>,
    #[schema(value_type = Option<Admission>)]
    admission: Option<Word<Admission>>,
    /// The most calls in flight at once.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    max_concurrent_requests: Option<Whole>,
}

/// A ceiling on requests or tokens within a span.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LimitWanted)]
struct LimitBody {
    #[serde(rename = "type")]
    #[schema(value_type = LimitType)]
    kind: Word<LimitType>,
    #[schema(value_type = Unit)]
    unit: Word<Unit>,
    /// The most that may be used. A gateway that is set to accept 0 blocks with it.
    #[schema(value_type = u64, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    threshold: Whole,
}

impl CreateBody {
    /// The group that the client wants.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself; a parent that is no id of ours.
    pub(super) fn draft(self, workspace: WorkspaceId, settings: &Settings) -> Result<GroupDraft, Error> {
        let (metadata, models) = declared(self.metadata, self.models, settings)?;
        let (enforcement, parent) = place(self.hierarchy, settings.hierarchy)?;
        Ok(GroupDraft { workspace, metadata, models, enforcement, parent: parent_id(parent)? })
    }
}

impl UpdateBody {
    /// The change that the client wants of `group`.
    ///
    /// # Errors
    /// The first rule that the body breaks by itself; a change of what cannot change; no change at all.
    pub(super) fn patch(self, group: &Group, settings: &Settings) -> Result<GroupPatch, Error> {
        let metadata = self.metadata.map(|Object(metadata)| metadata);
        let (name, external) = metadata.map_or((None, None), |m| (m.name, m.external_entity_id));
        check_same_identifier(external.as_ref(), group)?;
        check_same_place(self.hierarchy.as_ref(), group)?;
        let name = match name {
            Some(Some(name)) => Some(Some(display_name(name)?)),
            Some(None) => Some(None),
            None => None,
        };
        let models = self.models.map(|models| model_drafts(models, settings.threshold_min)).transpose()?;
        if name.is_none() && models.is_none() {
            return Err(Error::invalid("Nothing to change; send metadata.name, models, or both."));
        }
        Ok(GroupPatch { name, models })
    }
}

/// What a new group is called, and what it may call.
fn declared(
    Object(metadata): Object<CreateMetadata>,
    models: Vec<Object<ModelBody>>,
    settings: &Settings,
) -> Result<(Metadata, Vec<ModelDraft>), Error> {
    let CreateMetadata { name, external_entity_id: Text(external_entity_id) } = metadata;
    let name = name.map(display_name).transpose()?;
    if models.is_empty() {
        return Err(Error::invalid("models is empty; list at least one slug."));
    }
    Ok((Metadata { name, external_entity_id }, model_drafts(models, settings.threshold_min)?))
}

fn display_name(name: String) -> Result<Arc<str>, Rejection> {
    check_name("metadata.name", &name)?;
    Ok(name.into())
}

fn model_drafts(models: Vec<Object<ModelBody>>, threshold_min: u64) -> Result<Vec<ModelDraft>, Error> {
    if models.len() > MODELS_MAX {
        return Err(Error::invalid(format!(
            "models lists more than {MODELS_MAX} slugs; use several groups."
        )));
    }
    let models: Vec<_> = models.into_iter().map(|Object(model)| model_draft(model)).collect();
    check_models(&models, threshold_min)?;
    Ok(models)
}

fn model_draft(model: ModelBody) -> ModelDraft {
    let ModelBody { slug, rate_limits, usage_limits, admission, max_concurrent_requests } = model;
    ModelDraft {
        slug,
        rate_limits: limit_drafts(rate_limits),
        usage_limits: limit_drafts(usage_limits),
        admission: admission.map(|Word(admission)| admission),
        max_concurrent_requests: max_concurrent_requests.map(|Whole(calls)| calls),
    }
}

fn limit_drafts(limits: Option<Vec<Object<LimitBody>>>) -> Vec<LimitDraft> {
    let draft = |Object(LimitBody { kind: Word(kind), unit: Word(unit), threshold: Whole(threshold) })| {
        LimitDraft { kind, unit, threshold }
    };
    limits.into_iter().flatten().map(draft).collect()
}

/// The mode and the parent, each `None` where it was left out or is `null`.
fn place(
    stated: Option<Object<HierarchyBody>>,
    rule: Hierarchy,
) -> Result<(Option<Enforcement>, Option<String>), Error> {
    let stated = stated.map(|Object(hierarchy)| hierarchy);
    let (mode, parent) = stated.map_or((None, None), |h| (h.limit_enforcement, h.parent_group_id));
    if rule == Hierarchy::Required && (mode.is_none() || parent.is_none()) {
        return Err(Error::invalid(
            "hierarchy needs limit_enforcement and parent_group_id; the parent of a root is null.",
        ));
    }
    Ok((mode.map(|Word(mode)| mode), parent.flatten()))
}

fn parent_id(text: Option<String>) -> Result<Option<GroupId>, Error> {
    let no_parent = |_| Error::NotFound("No group has the id in hierarchy.parent_group_id; create it first.");
    text.map(|text| text.parse().map_err(no_parent)).transpose()
}

fn check_same_identifier(stated: Option<&Option<String>>, group: &Group) -> Result<(), Error> {
    match stated {
        Some(external) if external.as_deref() != Some(&*group.metadata.external_entity_id) => {
            Err(Error::invalid(format!("metadata.external_entity_id {IMMUTABLE}")))
        }
        _ => Ok(()),
    }
}

fn check_same_place(stated: Option<&Object<HierarchyBody>>, group: &Group) -> Result<(), Error> {
    let Some(Object(HierarchyBody { limit_enforcement, parent_group_id })) = stated else { return Ok(()) };
    if limit_enforcement.is_some_and(|Word(mode)| mode != group.enforcement) {
        return Err(Error::invalid(format!("hierarchy.limit_enforcement {IMMUTABLE}")));
    }
    let parent = group.parent.map(|parent| parent.to_string());
    match parent_group_id {
        Some(stated) if *stated != parent => {
            Err(Error::invalid(format!("hierarchy.parent_group_id {IMMUTABLE}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
