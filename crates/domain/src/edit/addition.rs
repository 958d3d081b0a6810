//! Groups and keys as an import brings them: each names what it belongs to by the customer's identifier, and may come
//! again.
//!
//! Guarantees: what is made, is made by [`group::create`] and [`key::mint`], under their rules. An addition that is there
//! already, exactly as it is wanted, changes nothing.
//! Knows nothing of: files, and how many additions are made at once. Begins at [`add`].

use std::borrow::Cow;
use std::sync::Arc;

use super::group::{GroupDraft, LimitDraft, ModelDraft};
use super::key::KeyDraft;
use super::{Change, Context, Rejection, group, key};
use crate::credential::{Credential, Key};
use crate::group::{Enforcement, Group, Metadata, Model};
use crate::id::WorkspaceId;
use crate::limit::Limit;
use crate::snapshot::Snapshot;

/// One more group or key.
#[derive(Debug, Clone)]
pub enum Addition {
    /// A group.
    Group(GroupAddition),
    /// A key.
    Key(KeyAddition),
}

/// A group. Its models and names have passed [`group::check_models`] and [`group::check_name`].
#[derive(Debug, Clone)]
pub struct GroupAddition {
    /// Names.
    pub metadata: Metadata,
    /// What it may call.
    pub models: Vec<ModelDraft>,
    /// The mode; `None` takes the parent's, or INDEPENDENT for a root.
    pub enforcement: Option<Enforcement>,
    /// The identifier of the node above.
    pub parent: Option<Arc<str>>,
}

/// A key that somebody else made.
#[derive(Debug, Clone)]
pub struct KeyAddition {
    /// The identifier of the group that it speaks for.
    pub external_entity_id: Arc<str>,
    /// The key.
    pub draft: KeyDraft,
}

/// What became of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// A group was made.
    Group,
    /// A key was made.
    Key,
    /// Nothing: it was there already, as it is wanted.
    AlreadyThere,
}

/// Adds a group or a key, unless it is there.
///
/// # Errors
/// A group that is named and not there; one that is there and differs; whatever [`group::create`] and [`key::mint`]
/// refuse.
pub fn add(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    addition: Addition,
) -> Result<(Change, Added), Rejection> {
    match addition {
        Addition::Group(addition) => add_group(cx, workspace, addition),
        Addition::Key(addition) => add_key(cx, workspace, addition),
    }
}

fn add_group(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    addition: GroupAddition,
) -> Result<(Change, Added), Rejection> {
    let GroupAddition { metadata, models, enforcement, parent } = addition;
    let parent = match parent {
        Some(external) => Some(named(cx.snapshot, workspace, &external, "parent_external_entity_id")?),
        None => None,
    };
    let parent_id = parent.map(|parent| parent.id);
    let draft = GroupDraft { workspace, metadata, models, enforcement, parent: parent_id };
    if let Some(known) = cx.snapshot.group_by_external_id(workspace, &draft.metadata.external_entity_id) {
        return match difference(known, &draft, parent) {
            None => Ok((Change::none(cx), Added::AlreadyThere)),
            Some(what) => Err(differs(known, what)),
        };
    }
    let (change, _) = group::create(cx, draft)?;
    Ok((change, Added::Group))
}

fn add_key(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    addition: KeyAddition,
) -> Result<(Change, Added), Rejection> {
    let KeyAddition { external_entity_id, draft } = addition;
    let group = named(cx.snapshot, workspace, &external_entity_id, "external_entity_id")?;
    match cx.snapshot.credential(&draft.hash) {
        Some(Credential::Federated(known)) if is_same_key(known, group, &draft) => {
            Ok((Change::none(cx), Added::AlreadyThere))
        }
        Some(Credential::Federated(_)) => Err(Rejection::invalid(
            "This key exists already, of another group or with another name or user_id; take the line out, or make it \
             like the key that exists.",
        )),
        Some(Credential::Management(_)) | None => {
            let (change, _) = key::mint(cx, workspace, group.id, draft)?;
            Ok((change, Added::Key))
        }
    }
}

fn named<'a>(
    snapshot: &'a Snapshot,
    workspace: WorkspaceId,
    external: &str,
    field: &str,
) -> Result<&'a Arc<Group>, Rejection> {
    let missing = || {
        Rejection::invalid(format!(
            "{field}: no group has the identifier `{external}`; put the line of that group before this one."
        ))
    };
    snapshot.group_by_external_id(workspace, external).ok_or_else(missing)
}

fn differs(known: &Group, what: &'static str) -> Rejection {
    let external: Cow<'_, str> = known.metadata.external_entity_id.as_ref().into();
    Rejection::invalid(format!(
        "The group `{external}` exists already and differs in {what}; change it through the management API, or make the \
         line like it."
    ))
}

/// In what a group is not as it is wanted.
fn difference(known: &Group, wanted: &GroupDraft, parent: Option<&Arc<Group>>) -> Option<&'static str> {
    let mode = wanted.enforcement.or(parent.map(|parent| parent.enforcement));
    let is_same_set = known.models.len() == wanted.models.len()
        && known.models.iter().zip(&wanted.models).all(|(model, wanted)| is_same_model(model, wanted));
    if known.metadata.name != wanted.metadata.name {
        Some("its name")
    } else if known.parent != wanted.parent {
        Some("its parent")
    } else if known.enforcement != mode.unwrap_or(Enforcement::Independent) {
        Some("its limit_enforcement")
    } else if is_same_set {
        None
    } else {
        Some("its models")
    }
}

fn is_same_model(model: &Model, wanted: &ModelDraft) -> bool {
    model.slug == wanted.slug
        && is_same_list(&model.rate_limits, &wanted.rate_limits)
        && is_same_list(&model.usage_limits, &wanted.usage_limits)
        && model.admission == wanted.admission
        && model.max_concurrent_requests == wanted.max_concurrent_requests
}

fn is_same_list(limits: &[Limit], wanted: &[LimitDraft]) -> bool {
    let draft = |limit: &Limit| LimitDraft { kind: limit.kind, unit: limit.unit, threshold: limit.threshold };
    limits.iter().map(draft).eq(wanted.iter().copied())
}

fn is_same_key(known: &Key, group: &Group, wanted: &KeyDraft) -> bool {
    known.group == group.id && known.name == wanted.name && known.user_id == wanted.user_id
}
