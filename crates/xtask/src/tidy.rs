//! The rules of the house that no compiler keeps: floors, sizes, module docs, promises.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::promises;
use crate::steps::{root, say};

/// Which crates a crate may name. Whatever is not listed here is an edge that goes up or sideways.
const FLOORS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("tokens", &[]),
    ("wire", &["domain", "tokens"]),
    ("limits", &["domain", "tokens"]),
    ("storage", &["domain", "limits"]),
    ("outbound", &["domain"]),
    ("proxy", &["domain", "tokens", "wire", "limits", "storage", "outbound"]),
    ("webhooks", &["domain", "storage", "outbound"]),
    ("admin", &["domain", "wire", "limits", "storage"]),
    ("modelsim", &[]),
    (
        "gateway",
        &[
            "domain", "tokens", "wire", "limits", "storage", "outbound", "proxy", "admin", "webhooks",
            "modelsim",
        ],
    ),
    ("testkit", &["domain", "limits", "storage", "proxy", "admin", "modelsim", "gateway"]),
    ("bench", &["domain", "limits", "storage", "modelsim", "gateway"]),
    ("proof", &["domain", "limits", "storage", "modelsim", "gateway"]),
    ("instructions", &["domain", "wire", "limits"]),
    ("xtask", &[]),
];

/// Longest source file, in lines. A longer one has a seam somewhere.
const LINES_MAX: usize = 600;

/// Checks all rules and says every break of them.
pub(crate) fn run() -> anyhow::Result<()> {
    let broken: Vec<String> = floors()?.into_iter().chain(files()?).chain(promises::broken()?).collect();
    for rule in &broken {
        say(rule);
    }
    match broken.len() {
        0 => Ok(()),
        count => bail!("{count} rules of the house are broken"),
    }
}

fn floors() -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for crate_dir in crate_dirs()? {
        let name =
            crate_dir.file_name().and_then(|name| name.to_str()).context("a crate's folder has no name")?;
        let Some((_, allowed)) = FLOORS.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("{name}: has no floor; add it to FLOORS"));
            continue;
        };
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(crate_dir.join("Cargo.toml"))?)?;
        let named = manifest
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(toml::Table::keys);
        let ours = named.filter(|dependency| FLOORS.iter().any(|(known, _)| known == dependency));
        let up = ours.filter(|dependency| !allowed.contains(&dependency.as_str()));
        broken
            .extend(up.map(|dependency| format!("{name} names {dependency}, which is not on a lower floor")));
    }
    Ok(broken)
}

fn files() -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for crate_dir in crate_dirs()? {
        for file in rust_files(&crate_dir.join("src"))? {
            let text = fs::read_to_string(&file)?;
            let shown = file.strip_prefix(root()).unwrap_or(&file).display();
            let is_test = file.file_name().is_some_and(|name| name == "tests.rs");
            if !text.starts_with("//!") && !is_test {
                broken.push(format!("{shown}: begins without a module doc"));
            }
            let lines = text.lines().count();
            if lines > LINES_MAX {
                broken.push(format!("{shown}: {lines} lines; where is its seam?"));
            }
        }
    }
    Ok(broken)
}

pub(crate) fn crate_dirs() -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("crates"))?.collect::<Result<Vec<_>, _>>()?;
    let mut dirs: Vec<PathBuf> =
        entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir()).collect();
    dirs.sort();
    Ok(dirs)
}

pub(crate) fn rust_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_names_only_lower_floors() {
        assert_eq!(floors().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_file_says_what_it_is_and_stays_readable() {
        assert_eq!(files().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_table_of_floors_has_no_way_up() {
        for (at, (name, allowed)) in FLOORS.iter().enumerate() {
            for lower in *allowed {
                let below = FLOORS.iter().take(at).any(|(known, _)| known == lower);
                assert!(below, "{name} may name {lower}, which does not stand before it");
            }
        }
    }
}
