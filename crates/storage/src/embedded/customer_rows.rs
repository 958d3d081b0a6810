//! What a start reads of customers: groups and keys, of which there may be millions.
//!
//! Columns are read by their place, and what is the same in many rows is kept once. Rows come in the order in which they
//! lie in the file, each page once: whoever wants another order sorts what it has made of them.
//! Begins at [`read`].

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use domain::{Enforcement, Group, GroupId, Key, Metadata, Model, Slug, Version, WorkspaceId};
use rusqlite::{Connection, Row};

use super::fields::{Json, Word, read_count, read_hash, read_id};
use super::open_reader;
use crate::error::OpenError;

/// Groups and keys.
pub(crate) type Customers = (Vec<Arc<Group>>, Vec<Arc<Key>>);

/// Groups and keys in force, each read on a thread and a connection of its own: what these cached is given back.
pub(crate) fn read(dir: &Path) -> Result<Customers, OpenError> {
    let (for_groups, for_keys) = (open_reader(dir)?, open_reader(dir)?);
    let (groups, keys) = thread::scope(|scope| {
        let keys = scope.spawn(move || keys(&for_keys));
        (groups(&for_groups), keys.join())
    });
    let keys = keys.map_err(|_| OpenError::database("reading the keys")(rusqlite::Error::InvalidQuery))?;
    let doing = OpenError::database;
    Ok((groups.map_err(doing("reading the groups"))?, keys.map_err(doing("reading the keys"))?))
}

/// Groups that were not deleted.
pub(crate) fn groups(connection: &Connection) -> rusqlite::Result<Vec<Arc<Group>>> {
    let sql =
        "SELECT id, workspace, serial, name, external_entity_id, models, enforcement, parent, root, level,
                   created_s
               FROM groups NOT INDEXED WHERE deleted_s IS NULL";
    let mut slugs = Slugs::default();
    connection.prepare(sql)?.query_map([], |row| group(row, &mut slugs))?.collect()
}

/// Keys that were not revoked.
fn keys(connection: &Connection) -> rusqlite::Result<Vec<Arc<Key>>> {
    let sql = "SELECT hash, workspace, prefix, group_id, name, user_id, serial, created_s
               FROM keys WHERE revoked_s IS NULL";
    connection.prepare(sql)?.query_map([], key)?.collect()
}

fn group(row: &Row<'_>, slugs: &mut Slugs) -> rusqlite::Result<Arc<Group>> {
    let Json(models) = row.get(5)?;
    let Word(enforcement): Word<Enforcement> = row.get(6)?;
    Ok(Arc::new(Group {
        id: GroupId(read_id(row, 0)?),
        workspace: WorkspaceId(read_id(row, 1)?),
        serial: Version(read_count(row, 2)?),
        metadata: Metadata { name: row.get(3)?, external_entity_id: row.get(4)? },
        models: compact(models, slugs),
        enforcement,
        parent: row.get::<_, Option<i64>>(7)?.map(|parent| GroupId(parent.cast_unsigned())),
        root: GroupId(read_id(row, 8)?),
        level: row.get(9)?,
        created_s: read_count(row, 10)?,
    }))
}

fn key(row: &Row<'_>) -> rusqlite::Result<Arc<Key>> {
    Ok(Arc::new(Key {
        hash: read_hash(row, 0)?,
        workspace: WorkspaceId(read_id(row, 1)?),
        prefix: row.get(2)?,
        group: GroupId(read_id(row, 3)?),
        name: row.get(4)?,
        user_id: row.get(5)?,
        serial: Version(read_count(row, 6)?),
        created_s: read_count(row, 7)?,
    }))
}

/// Gives back what reading the lists took in advance, which is more than what they hold.
fn compact(mut models: Vec<Model>, slugs: &mut Slugs) -> Vec<Model> {
    models.shrink_to_fit();
    for model in &mut models {
        slugs.share(&mut model.slug);
        model.rate_limits.shrink_to_fit();
        model.usage_limits.shrink_to_fit();
    }
    models
}

/// Slugs that came before. There are as many as endpoints, more or less.
#[derive(Default)]
struct Slugs(HashSet<Slug, foldhash::fast::RandomState>);

impl Slugs {
    /// Puts the one that is known in the place of one that is the same.
    fn share(&mut self, slug: &mut Slug) {
        match self.0.get(slug) {
            Some(known) => *slug = known.clone(),
            None => {
                self.0.insert(slug.clone());
            }
        }
    }
}
