//! `tollgate check`: is everything sound, and what would a start do? Changes nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use domain::{
    Admission, Change, PriceBook, PriceSource, Record, Snapshot, Version, advice, unpriced_under_budget,
};
use storage::Store;

use super::environment_variables;
use super::output::{plain, say};
use crate::config::{self, Config, Unpriced};
use crate::node::Tls;
use crate::prices;

/// Most sentences of advice at once.
const ADVICE_MAX: usize = 50;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let config = config::load(args.config.as_deref(), environment_variables())?;
    say(&format!("configuration: sound; callers would connect to {}", config.server.listen))?;
    if Tls::of(&config)?.is_some() {
        say("TLS: the certificate and its key are sound and belong together")?;
    }
    let priced = of_file(&config)?;
    let found = Store::inspect(&args.data_dir)?;
    let dir = args.data_dir.display();
    if !found.exists {
        return say(&format!("store: none in {dir}; a start would make one, and an operator's key"));
    }
    if found.locked {
        let holder = found.locked_by.map_or_else(String::new, |pid| format!(" {pid}"));
        say(&format!("store: in use by process{holder}"))?;
    }
    match (found.schema_found, found.schema_known) {
        (found, known) if found > known => {
            bail!("the store in {dir} has version {found}, this program knows {known}; use a newer program")
        }
        (found, known) if found < known => say(&format!(
            "store: version {found}; a start would copy it to {dir}/before-{known} and migrate it to {known}"
        ))?,
        (found, _) => say(&format!("store: version {found}; nothing to migrate"))?,
    }
    match Store::configuration(&args.data_dir)? {
        Some(snapshot) => {
            check_prices(&with_file(&snapshot, priced), config.prices.unpriced)?;
            advise(&snapshot, config.limits.admission)
        }
        None if found.schema_found < found.schema_known => {
            say("limits: not looked at; a start migrates them first")
        }
        None => say(
            "limits: not looked at; the last process had no time to close the store, which the next start mends",
        ),
    }
}

/// The prices of the file that a start would read.
fn of_file(config: &Config) -> anyhow::Result<PriceBook> {
    let Some(file) = &config.prices.file else { return Ok(PriceBook::default()) };
    let read = prices::read(file)?;
    let (count, skipped) = (read.book.0.len(), read.skipped);
    say(&format!("prices: {count} in {}, entries skipped: {skipped}", file.display()))?;
    Ok(read.book)
}

/// The configuration after a start.
fn with_file(snapshot: &Snapshot, book: PriceBook) -> Snapshot {
    let read = Record::Prices { source: PriceSource::File, book: Arc::new(book) };
    snapshot.apply(&Change::load(snapshot.version(), vec![read]))
}

/// Says which calls cannot be counted in USD.
fn check_prices(snapshot: &Snapshot, unpriced: Unpriced) -> anyhow::Result<()> {
    let imported = snapshot.prices(PriceSource::Imported).0.len();
    if imported > 0 {
        say(&format!("prices: {imported} imported"))?;
    }
    let found = unpriced_under_budget(snapshot);
    for (config, endpoint) in found.iter().take(ADVICE_MAX) {
        let (provider, model) = (endpoint.target.served_by(), endpoint.upstream_model());
        let (what, id) = (&endpoint.slug, config.id);
        let outcome = match unpriced {
            Unpriced::Refuse => "calls under it are refused",
            Unpriced::Allow => "calls under it cost nothing",
        };
        say(&format!(
            "warning: {what} ({provider}, {model}) has no price, and model config {id} has a budget for it: {outcome}; \
             give its target `pricing`, or import prices"
        ))?;
    }
    if found.len() > ADVICE_MAX {
        say(&format!("prices: more warnings than these {ADVICE_MAX}"))?;
    }
    Ok(())
}

/// Says which limits may surprise whoever set them. A limit that binds a whole tree is told of once.
fn advise(snapshot: &Snapshot, otherwise: Admission) -> anyhow::Result<()> {
    let groups =
        snapshot.workspaces().flat_map(|workspace| snapshot.groups_after(workspace.id, Version::default()));
    let models = groups.flat_map(|group| group.models.iter().map(move |model| (group, model)));
    let mut told = HashSet::new();
    for (group, model) in models {
        for sentence in advice(snapshot, group, model, otherwise) {
            let line = format!("{}: {sentence}", model.slug);
            if told.contains(&line) {
                continue;
            }
            if told.len() == ADVICE_MAX {
                return say(&format!("limits: more warnings than these {ADVICE_MAX}"));
            }
            say(&format!("warning: {}, {line}", plain(&group.metadata.external_entity_id)))?;
            told.insert(line);
        }
    }
    match told.len() {
        0 => say("limits: nothing to warn of"),
        1 => say("limits: 1 warning"),
        count => say(&format!("limits: {count} warnings")),
    }
}
