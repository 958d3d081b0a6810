//! What many entries have in common, written once: where it stands.

use std::collections::HashMap;
use std::sync::Arc;

use domain::GroupId;
use rusqlite::{Transaction, params};

use super::fields::{id, json};
use crate::line_use::LineKey;

/// Stands for no price and no lines.
const NOTHING: i64 = 0;

/// Terms that are remembered, about 10 MB of them. Past this all are forgotten and looked up anew.
const KNOWN_MAX: usize = 32_768;

/// Terms that were met, and where they stand.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// By address: the calls of one path share them. They are kept alive, so that no others come to their address.
    met: HashMap<usize, (i64, Arc<domain::Terms>), foldhash::fast::RandomState>,
}

impl Terms {
    /// Where these terms stand; they are written if they are not there. If that is rolled back, they have to be
    /// [forgotten](Self::forget).
    pub(crate) fn place(
        &mut self,
        tx: &Transaction<'_>,
        terms: &Arc<domain::Terms>,
    ) -> rusqlite::Result<i64> {
        let address = Arc::as_ptr(terms).addr();
        if let Some((at, _)) = self.met.get(&address) {
            return Ok(*at);
        }
        if self.met.len() >= KNOWN_MAX {
            self.forget();
        }
        let at = place(tx, terms)?;
        self.met.insert(address, (at, Arc::clone(terms)));
        Ok(at)
    }

    /// Forgets where anything stands.
    pub(crate) fn forget(&mut self) {
        self.met.clear();
    }
}

fn place(tx: &Transaction<'_>, terms: &domain::Terms) -> rusqlite::Result<i64> {
    let domain::Terms { workspace, groups, external_entity_id, slug, provider, upstream_model, price, lines } =
        terms;
    let price = price.as_ref().map_or(Ok(NOTHING), |price| text(tx, Text::Price, &json(price)?))?;
    let lines = if lines.is_empty() { NOTHING } else { text(tx, Text::Lines, &written_lines(lines))? };
    let values = params![
        id(workspace.0),
        written_path(groups),
        external_entity_id,
        slug.as_str(),
        provider,
        upstream_model,
        price,
        lines
    ];
    let insert = "INSERT OR IGNORE INTO terms (workspace, group_path, external_entity_id, slug, provider,
                      upstream_model, price, lines) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let find = "SELECT id FROM terms WHERE workspace = ?1 AND group_path = ?2 AND external_entity_id = ?3 AND slug = ?4
                    AND provider = ?5 AND upstream_model = ?6 AND price = ?7 AND lines = ?8";
    tx.prepare_cached(insert)?.execute(values)?;
    tx.prepare_cached(find)?.query_row(values, |row| row.get(0))
}

#[derive(Debug, Clone, Copy)]
enum Text {
    Price,
    Lines,
}

/// Where a text stands in its table; it is written if it is not there.
fn text(tx: &Transaction<'_>, kind: Text, text: &str) -> rusqlite::Result<i64> {
    let (insert, find) = match kind {
        Text::Price => (
            "INSERT OR IGNORE INTO entry_prices (text) VALUES (?1)",
            "SELECT id FROM entry_prices WHERE text = ?1",
        ),
        Text::Lines => (
            "INSERT OR IGNORE INTO entry_lines (text) VALUES (?1)",
            "SELECT id FROM entry_lines WHERE text = ?1",
        ),
    };
    tx.prepare_cached(insert)?.execute([text])?;
    tx.prepare_cached(find)?.query_row([text], |row| row.get(0))
}

fn written_path(groups: &[GroupId]) -> String {
    let ids: Vec<String> = groups.iter().map(GroupId::to_string).collect();
    ids.join("/")
}

fn written_lines(lines: &[LineKey]) -> String {
    let words: Vec<String> = lines.iter().map(|(line, meter)| format!("{line}:{}", meter.word())).collect();
    words.join(" ")
}
