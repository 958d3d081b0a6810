//! A group as a line of an import: the body that creates it, its parent by the customer's identifier.

use domain::edit::addition::GroupAddition;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{CreateMetadata, ModelBody, declared};
use crate::admin::{Hierarchy, Settings};
use crate::error::Error;
use crate::json::{Object, Text, Word, present};

/// A new group.
#[derive(Deserialize)]
pub(crate) struct GroupLine {
    metadata: Object<CreateMetadata>,
    models: Vec<Object<ModelBody>>,
    hierarchy: Option<Object<PlaceLine>>,
    /// Belongs into `hierarchy`.
    parent_external_entity_id: Option<IgnoredAny>,
}

/// A place in the customer tree.
#[derive(Deserialize)]
struct PlaceLine {
    limit_enforcement: Option<Word<domain::Enforcement>>,
    #[serde(default, deserialize_with = "present")]
    parent_external_entity_id: Option<Option<Text>>,
    /// `null` is as good as the other; ids are not known before an import.
    #[serde(default, deserialize_with = "present")]
    parent_group_id: Option<Option<IgnoredAny>>,
}

impl GroupLine {
    /// The group that the line wants.
    ///
    /// # Errors
    /// The first rule that the line breaks by itself.
    pub(crate) fn addition(self, settings: &Settings) -> Result<GroupAddition, Error> {
        if self.parent_external_entity_id.is_some() {
            return Err(Error::invalid("parent_external_entity_id stands in hierarchy; move it there."));
        }
        let (metadata, models) = declared(self.metadata, self.models, settings)?;
        let place = self.hierarchy.map(|Object(place)| place);
        let (mode, parent) = match place {
            Some(place) => (place.limit_enforcement, place.parent()?),
            None => (None, None),
        };
        if settings.hierarchy == Hierarchy::Required && (mode.is_none() || parent.is_none()) {
            return Err(Error::invalid(
                "hierarchy needs limit_enforcement and parent_external_entity_id; the parent of a root is null.",
            ));
        }
        let parent = parent.flatten().map(|Text(external)| external);
        Ok(GroupAddition { metadata, models, enforcement: mode.map(|Word(mode)| mode), parent })
    }
}

impl PlaceLine {
    /// The parent, and whether one was stated.
    fn parent(self) -> Result<Option<Option<Text>>, Error> {
        match (self.parent_external_entity_id, self.parent_group_id) {
            (_, Some(Some(IgnoredAny))) => Err(Error::invalid(
                "parent_group_id is not read here; name the parent by parent_external_entity_id.",
            )),
            (None, Some(None)) => Ok(Some(None)),
            (stated, None | Some(None)) => Ok(stated),
        }
    }
}
