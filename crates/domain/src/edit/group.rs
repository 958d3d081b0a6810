//! Groups: create, update, delete, and the rules that keep a tree sound.
//!
//! Rules follow the Frontier Gateway contract; `docs/conformance.md` numbers its cases.

use std::sync::Arc;

use super::{Change, Context, Record, Rejection};
use crate::group::{Admission, Enforcement, Group, LEVELS_MAX, Metadata, Model};
use crate::id::{GroupId, Slug, WorkspaceId};
use crate::limit::{Limit, LimitType, THRESHOLD_MAX, Unit};
use crate::snapshot::{Snapshot, Version};

/// Longest name or identifier, in Unicode scalar values.
pub const NAME_LEN_MAX: usize = 255;

const EXCEEDS_ANCESTOR: &str = "Child group exceeds parent group limit.";
const NO_GROUP: &str = "No group with this id exists in this workspace.";

/// A limit as a client writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitDraft {
    /// What is counted.
    pub kind: LimitType,
    /// Within which span.
    pub unit: Unit,
    /// The ceiling.
    pub threshold: u64,
}

/// A model entry as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDraft {
    /// The slug.
    pub slug: Slug,
    /// Limits per SECOND or MINUTE.
    pub rate_limits: Vec<LimitDraft>,
    /// Limits per DAY.
    pub usage_limits: Vec<LimitDraft>,
    /// The group's own choice of admission.
    pub admission: Option<Admission>,
    /// The most calls in flight at once.
    pub max_concurrent_requests: Option<u64>,
}

/// A group as a client writes it.
#[derive(Debug, Clone)]
pub struct GroupDraft {
    /// The tenant that writes.
    pub workspace: WorkspaceId,
    /// Names.
    pub metadata: Metadata,
    /// What it may call.
    pub models: Vec<ModelDraft>,
    /// The mode; `None` takes the parent's, or INDEPENDENT for a root.
    pub enforcement: Option<Enforcement>,
    /// The node above.
    pub parent: Option<GroupId>,
}

/// A change to a group as a client writes it. At least one field is set.
#[derive(Debug, Clone, Default)]
pub struct GroupPatch {
    /// A new display name, or none.
    pub name: Option<Option<Arc<str>>>,
    /// The new complete set of models.
    pub models: Option<Vec<ModelDraft>>,
}

/// Checks what can be seen in a model set alone. `threshold_min` is 1, or 0 where a threshold of 0 may block.
///
/// # Errors
/// The first rule that is broken, naming the place.
pub fn check_models(models: &[ModelDraft], threshold_min: u64) -> Result<(), Rejection> {
    for (at, model) in models.iter().enumerate() {
        if models.iter().take(at).any(|earlier| earlier.slug == model.slug) {
            return Err(Rejection::invalid(format!("models lists the slug `{}` twice.", model.slug)));
        }
        check_limits(&model.rate_limits, threshold_min, &[Unit::Second, Unit::Minute], "rate_limits")?;
        check_limits(&model.usage_limits, threshold_min, &[Unit::Day], "usage_limits")?;
        check_ceiling(model.max_concurrent_requests)?;
    }
    Ok(())
}

fn check_limits(
    limits: &[LimitDraft],
    threshold_min: u64,
    units: &[Unit],
    list: &str,
) -> Result<(), Rejection> {
    for (at, limit) in limits.iter().enumerate() {
        if !units.contains(&limit.unit) {
            let unit = limit.unit.name();
            return Err(Rejection::invalid(format!("{list} takes no limit with the unit {unit}.")));
        }
        if !(threshold_min..=THRESHOLD_MAX).contains(&limit.threshold) {
            return Err(Rejection::invalid(format!(
                "{list}: a threshold is an integer from {threshold_min} to {THRESHOLD_MAX}."
            )));
        }
        if limits.iter().take(at).any(|earlier| earlier.kind == limit.kind) {
            let kind = limit.kind.name();
            return Err(Rejection::invalid(format!("{list} holds at most one {kind} limit for a slug.")));
        }
    }
    Ok(())
}

fn check_ceiling(ceiling: Option<u64>) -> Result<(), Rejection> {
    match ceiling {
        Some(calls) if !(1..=THRESHOLD_MAX).contains(&calls) => Err(Rejection::invalid(format!(
            "max_concurrent_requests is an integer from 1 to {THRESHOLD_MAX}; leave it out for no ceiling."
        ))),
        _ => Ok(()),
    }
}

/// Checks the length of a name or identifier.
///
/// # Errors
/// When it is longer than [`NAME_LEN_MAX`].
pub fn check_name(field: &str, name: &str) -> Result<(), Rejection> {
    if name.chars().count() > NAME_LEN_MAX {
        return Err(Rejection::invalid(format!("{field} is longer than {NAME_LEN_MAX} characters.")));
    }
    Ok(())
}

/// Creates a group. Its models and names have passed [`check_models`] and [`check_name`].
///
/// # Errors
/// An unknown parent, a mode that is not the tree's, a sixth level, a taken identifier, or a limit above an ancestor's.
pub fn create(cx: &Context<'_>, draft: GroupDraft) -> Result<(Change, Arc<Group>), Rejection> {
    let parent = match draft.parent {
        Some(id) => Some(visible(cx.snapshot, draft.workspace, id)?),
        None => None,
    };
    let enforcement = mode_of_tree(parent, draft.enforcement)?;
    let level = parent.map_or(1, |parent| parent.level.saturating_add(1));
    if level > LEVELS_MAX {
        return Err(Rejection::invalid(format!("A tree has at most {LEVELS_MAX} levels.")));
    }
    let external = &draft.metadata.external_entity_id;
    if cx.snapshot.group_by_external_id(draft.workspace, external).is_some() {
        return Err(Rejection::invalid(
            "A group with this external_entity_id exists already; update that group, or choose another identifier.",
        ));
    }
    let id = GroupId(cx.fresh_id);
    let group = Arc::new(Group {
        id,
        workspace: draft.workspace,
        serial: cx.version,
        metadata: draft.metadata,
        models: draft.models.into_iter().map(|model| declare(model, None, cx.version)).collect(),
        enforcement,
        parent: parent.map(|parent| parent.id),
        root: parent.map_or(id, |parent| parent.root),
        level,
        created_s: cx.now_s,
    });
    check_ancestors(cx.snapshot, &group)?;
    Ok((change(cx, vec![Record::Group(Arc::clone(&group))], group.root), group))
}

/// Updates a group. Its models and name have passed [`check_models`] and [`check_name`].
///
/// # Errors
/// An unknown group, or a limit above an ancestor's or below a descendant's.
pub fn update(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: GroupId,
    patch: GroupPatch,
) -> Result<(Change, Arc<Group>), Rejection> {
    let before = visible(cx.snapshot, workspace, id)?;
    let mut after = Group::clone(before);
    if let Some(name) = patch.name {
        after.metadata.name = name;
    }
    if let Some(models) = patch.models {
        let declared = |model: ModelDraft| {
            let earlier = before.model(model.slug.as_str());
            declare(model, earlier, cx.version)
        };
        after.models = models.into_iter().map(declared).collect();
    }
    let after = Arc::new(after);
    check_ancestors(cx.snapshot, &after)?;
    check_descendants(cx.snapshot, before, &after)?;
    Ok((change(cx, vec![Record::Group(Arc::clone(&after))], after.root), after))
}

/// Deletes a group, every group below it, and all their keys.
///
/// # Errors
/// An unknown group.
pub fn delete(
    cx: &Context<'_>,
    workspace: WorkspaceId,
    id: GroupId,
) -> Result<(Change, Arc<Group>), Rejection> {
    let group = visible(cx.snapshot, workspace, id)?;
    let mut records = Vec::new();
    for doomed in std::iter::once(group).chain(cx.snapshot.descendants(id)) {
        let keys = cx.snapshot.keys_after(doomed.id, Version(0));
        records.extend(keys.map(|key| Record::KeyRevoked { hash: key.hash, at_s: cx.now_s }));
        records.push(Record::GroupDeleted { id: doomed.id, at_s: cx.now_s });
    }
    Ok((change(cx, records, group.root), Arc::clone(group)))
}

/// The group with this id, if the workspace may see it.
///
/// # Errors
/// When there is none.
pub fn visible(snapshot: &Snapshot, workspace: WorkspaceId, id: GroupId) -> Result<&Arc<Group>, Rejection> {
    snapshot.group(id).filter(|group| group.workspace == workspace).ok_or(Rejection::NotFound(NO_GROUP))
}

fn change(cx: &Context<'_>, records: Vec<Record>, root: GroupId) -> Change {
    Change { version: cx.version, records, trees: vec![root], workspaces: Vec::new() }
}

fn mode_of_tree(parent: Option<&Arc<Group>>, stated: Option<Enforcement>) -> Result<Enforcement, Rejection> {
    match (parent, stated) {
        (Some(parent), Some(stated)) if stated != parent.enforcement => {
            Err(Rejection::invalid("limit_enforcement must be the same for all groups of a tree."))
        }
        (Some(parent), _) => Ok(parent.enforcement),
        (None, stated) => Ok(stated.unwrap_or(Enforcement::Independent)),
    }
}

/// Turns a draft into the stored form. A limit that was declared before keeps the version since which it stands.
fn declare(draft: ModelDraft, earlier: Option<&Model>, version: Version) -> Model {
    let declared = |limit: LimitDraft| {
        let fresh = Limit { kind: limit.kind, unit: limit.unit, threshold: limit.threshold, since: version };
        let standing = earlier.and_then(|model| model.limits().find(|l| l.same_window(&fresh)));
        Limit { since: standing.map_or(version, |limit| limit.since), ..fresh }
    };
    Model {
        slug: draft.slug,
        rate_limits: draft.rate_limits.into_iter().map(declared).collect(),
        usage_limits: draft.usage_limits.into_iter().map(declared).collect(),
        admission: draft.admission,
        max_concurrent_requests: draft.max_concurrent_requests,
    }
}

/// CASCADING: no limit may exceed the same limit of any ancestor. Sums are not checked.
fn check_ancestors(snapshot: &Snapshot, group: &Arc<Group>) -> Result<(), Rejection> {
    if group.enforcement == Enforcement::Independent {
        return Ok(());
    }
    match snapshot.lineage(group).skip(1).any(|ancestor| exceeds(group, ancestor)) {
        true => Err(Rejection::invalid(EXCEEDS_ANCESTOR)),
        false => Ok(()),
    }
}

/// CASCADING: no descendant may exceed a limit. Only a new or lowered limit can break this, so only those make
/// the walk over the subtree.
fn check_descendants(snapshot: &Snapshot, before: &Group, after: &Group) -> Result<(), Rejection> {
    if after.enforcement == Enforcement::Independent {
        return Ok(());
    }
    let mut tightened = after.clone();
    for model in &mut tightened.models {
        let earlier = before.model(model.slug.as_str());
        let tighter = |limit: &Limit| {
            let standing = earlier.and_then(|model| model.limits().find(|l| l.same_window(limit)));
            standing.is_none_or(|standing| limit.threshold < standing.threshold)
        };
        model.rate_limits.retain(tighter);
        model.usage_limits.retain(tighter);
        let standing = earlier.and_then(|model| model.max_concurrent_requests);
        model.max_concurrent_requests =
            model.max_concurrent_requests.filter(|calls| standing.is_none_or(|standing| *calls < standing));
    }
    let says_nothing =
        |model: &Model| model.limits().next().is_none() && model.max_concurrent_requests.is_none();
    if tightened.models.iter().all(says_nothing) {
        return Ok(());
    }
    match snapshot.descendants(after.id).iter().any(|descendant| exceeds(descendant, &tightened)) {
        true => Err(Rejection::invalid(EXCEEDS_ANCESTOR)),
        false => Ok(()),
    }
}

fn exceeds(child: &Group, ancestor: &Group) -> bool {
    child.models.iter().any(|model| {
        ancestor.model(model.slug.as_str()).is_some_and(|above| {
            let more_calls = match (model.max_concurrent_requests, above.max_concurrent_requests) {
                (Some(calls), Some(cap)) => calls > cap,
                (None, _) | (_, None) => false,
            };
            more_calls
                || model.limits().any(|limit| {
                    above.limits().any(|cap| cap.same_window(limit) && limit.threshold > cap.threshold)
                })
        })
    })
}
