//! Edits of model configs: which line is which, and what about one thing there is at most one of.

use std::sync::Arc;

use domain::edit::model_config::{
    BudgetDraft, ConfigDraft, ConfigPatch, LINES_MAX, RatesDraft, RuleDraft, create, delete, update,
};
use domain::edit::{Context, Inherits};
use domain::{
    Change, ConfigIdentity, ConfigScope, LineId, Meter, ModelConfig, Rate, Record, Rejection, ResetDuration,
    Snapshot, Usd, Version, WorkspaceId,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const WORKSPACE: WorkspaceId = WorkspaceId(1);

/// No two of one length.
const LENGTHS: [&str; 7] = ["30s", "1h", "12h", "1d", "1w", "1M", "1Y"];
/// The same lengths, written otherwise.
const SYNONYMS: [&str; 7] = ["0.5m", "60m", "0.5d", "24h", "weekly", "30d", "365d"];

/// A configuration that is edited, and everything that was ever made in it.
struct World {
    snapshot: Snapshot,
    made: u8,
    now_ms: u64,
}

type Made = (Arc<ModelConfig>, Vec<Inherits>);

impl World {
    fn new() -> Self {
        Self { snapshot: Snapshot::default(), made: 0, now_ms: 1_778_673_600_000 }
    }

    fn edit<T>(
        &mut self,
        edit: impl FnOnce(&Context<'_>, &mut dyn FnMut() -> [u8; 16]) -> Result<(Change, T), Rejection>,
    ) -> Result<(Change, T), Rejection> {
        self.now_ms += 1_000;
        let cx = Context {
            snapshot: &self.snapshot,
            version: Version(self.snapshot.version().0 + 1),
            now_s: self.now_ms / 1_000,
            now_ms: self.now_ms,
            fresh_id: self.now_ms,
        };
        let made = &mut self.made;
        let mut fresh = || {
            *made += 1;
            [*made; 16]
        };
        let (change, answer) = edit(&cx, &mut fresh)?;
        self.snapshot = self.snapshot.apply(&change);
        Ok((change, answer))
    }

    fn create(&mut self, model: &str, provider: Option<&str>, lines: &[usize]) -> Result<Made, Rejection> {
        let draft = ConfigDraft {
            workspace: WORKSPACE,
            identity: about(model, provider),
            calendar_aligned: false,
            budgets: lines.iter().map(|length| budget(None, LENGTHS[*length], 1)).collect(),
            rate_limits: RatesDraft::None,
        };
        self.edit(|cx, fresh| create(cx, draft, fresh)).map(made)
    }

    fn update(&mut self, config: &ModelConfig, patch: ConfigPatch) -> Result<Made, Rejection> {
        self.edit(|cx, fresh| update(cx, WORKSPACE, config.id, patch, fresh)).map(made)
    }
}

fn made((change, config): (Change, Arc<ModelConfig>)) -> Made {
    let [Record::ModelConfig { config: written, inherits }] = &change.records[..] else {
        panic!("an edit writes one config: {change:?}")
    };
    assert_eq!(*written, config, "what is answered is what is written");
    (config, inherits.clone())
}

fn about(model: &str, provider: Option<&str>) -> ConfigIdentity {
    ConfigIdentity {
        scope: ConfigScope::Global,
        model_name: model.into(),
        provider: provider.map(Into::into),
    }
}

fn reset(text: &str) -> ResetDuration {
    text.parse().unwrap()
}

fn budget(id: Option<LineId>, length: &str, nanos: u64) -> BudgetDraft {
    BudgetDraft { id, max: Usd(nanos), reset: reset(length) }
}

fn budgets(drafts: Vec<BudgetDraft>) -> ConfigPatch {
    ConfigPatch { budgets: Some(drafts), ..ConfigPatch::default() }
}

/// Indices of some of the lengths, in their order.
fn some_lengths() -> impl Strategy<Value = Vec<usize>> {
    subsequence((0..LENGTHS.len()).collect::<Vec<_>>(), 0..=LENGTHS.len())
}

proptest! {
    /// The oracle: with lengths alone, a line is its length.
    #[test]
    fn without_ids_a_budget_is_its_length(
        before in some_lengths(), after in some_lengths().prop_shuffle(), by_synonym: [bool; 7],
    ) {
        let mut world = World::new();
        let (config, _) = world.create("m", None, &before).unwrap();
        let text = |length: usize| if by_synonym[length] { SYNONYMS[length] } else { LENGTHS[length] };
        let drafts = after.iter().map(|length| budget(None, text(*length), 2)).collect();
        let (edited, inherits) = world.update(&config, budgets(drafts)).unwrap();
        prop_assert_eq!(edited.budgets.len(), after.len());
        for (length, line) in after.iter().zip(&edited.budgets) {
            prop_assert_eq!((line.reset.as_str(), line.max), (text(*length), Usd(2)));
            let taken = inherits.iter().filter(|inherits| inherits.line == line.id).collect::<Vec<_>>();
            match before.iter().position(|other| other == length) {
                Some(nth) => {
                    let kept = &config.budgets[nth];
                    prop_assert_eq!((line.id, line.created_ms), (kept.id, kept.created_ms));
                    prop_assert!(taken.is_empty(), "what stays has its own");
                }
                None => {
                    prop_assert!(config.budgets.iter().all(|other| other.id != line.id));
                    prop_assert_eq!(line.created_ms, world.now_ms);
                    let shorter = before.iter().rposition(|other| other < length);
                    let from = shorter.map(|nth| config.budgets[nth].id);
                    prop_assert_eq!(taken.first().map(|inherits| inherits.from), from);
                    prop_assert!(taken.len() <= 1);
                }
            }
        }
    }

    /// Whatever changes length, what is named stays, and what is not named never takes its place.
    #[test]
    fn a_budget_that_is_named_keeps_its_id_whatever_its_length(
        before in subsequence((0..LENGTHS.len()).collect::<Vec<_>>(), 1..=LENGTHS.len()),
        lengths in Just((0..LENGTHS.len()).collect::<Vec<_>>()).prop_shuffle(),
        named: [bool; 7],
    ) {
        let mut world = World::new();
        let (config, _) = world.create("m", None, &before).unwrap();
        let drafts: Vec<_> = config.budgets.iter().enumerate()
            .map(|(nth, line)| budget(named[nth].then_some(line.id), LENGTHS[lengths[nth]], 3))
            .collect();
        let (edited, _) = world.update(&config, budgets(drafts.clone())).unwrap();
        for (draft, line) in drafts.iter().zip(&edited.budgets) {
            prop_assert_eq!(&draft.reset, &line.reset);
            prop_assert!(draft.id.is_none_or(|id| id == line.id));
        }
        let mut ids: Vec<_> = edited.budgets.iter().map(|line| *line.id.as_bytes()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), edited.budgets.len(), "no budget is two lines");
    }

    #[test]
    fn bifrost_case_14_two_lines_of_one_length_are_refused(
        lengths in subsequence((0..LENGTHS.len()).collect::<Vec<_>>(), 1..LENGTHS.len()), twice: prop::sample::Index,
    ) {
        let mut world = World::new();
        let (config, _) = world.create("m", None, &[]).unwrap();
        let again = SYNONYMS[*twice.get(&lengths)];
        let mut drafts: Vec<_> = lengths.iter().map(|length| budget(None, LENGTHS[*length], 1)).collect();
        drafts.push(budget(None, again, 1));
        prop_assert!(matches!(world.update(&config, budgets(drafts)), Err(Rejection::Invalid(_))));
        let rule = |meter, text: &str| RuleDraft { id: None, meter, rate: Rate { max: 1, reset: reset(text) } };
        let rules = |rules| ConfigPatch { rate_limits: Some(RatesDraft::Rules(rules)), ..ConfigPatch::default() };
        let first = LENGTHS[*twice.get(&lengths)];
        let same = rules(vec![rule(Meter::Tokens, first), rule(Meter::Tokens, again)]);
        prop_assert!(matches!(world.update(&config, same), Err(Rejection::Invalid(_))));
        let apart = rules(vec![rule(Meter::Tokens, first), rule(Meter::Requests, again)]);
        prop_assert!(world.update(&config, apart).is_ok());
    }

    #[test]
    fn sending_back_what_is_there_changes_nothing(before in some_lengths()) {
        let mut world = World::new();
        let (config, _) = world.create("m", None, &before).unwrap();
        let same = config.budgets.iter().map(|line| BudgetDraft { id: Some(line.id), max: line.max, reset: line.reset.clone() });
        let (edited, inherits) = world.update(&config, budgets(same.collect())).unwrap();
        prop_assert_eq!(&edited.budgets, &config.budgets);
        prop_assert_eq!(inherits, vec![]);
        let (untouched, _) = world.update(&config, ConfigPatch::default()).unwrap();
        prop_assert_eq!(ModelConfig { updated_ms: config.updated_ms, ..(*untouched).clone() }, (*config).clone());
    }

    /// Names that could run into each other if they were put together as text.
    #[test]
    fn there_is_one_config_about_one_thing_and_names_never_run_together(
        steps in prop::collection::vec(
            (select(vec!["a", "a:b", "a/b", "*", "A"]), prop::option::of(select(vec!["b", "a", "a:b"])), any::<bool>()),
            1..40,
        ),
    ) {
        let mut world = World::new();
        let mut there: Vec<(&str, Option<&str>, Arc<ModelConfig>)> = Vec::new();
        for (model, provider, is_create) in steps {
            let found = there.iter().position(|(m, p, _)| (*m, *p) == (model, provider));
            match (found, is_create) {
                (None, true) => there.push((model, provider, world.create(model, provider, &[0]).unwrap().0)),
                (Some(_), true) => {
                    prop_assert!(matches!(world.create(model, provider, &[0]), Err(Rejection::Conflict(_))));
                }
                (Some(nth), false) => {
                    let id = there.remove(nth).2.id;
                    world.edit(|cx, _| delete(cx, WORKSPACE, id)).unwrap();
                }
                (None, false) => prop_assert!(world.snapshot.config_about(WORKSPACE, about(model, provider)).is_none()),
            }
            for (model, provider, config) in &there {
                let found = world.snapshot.config_about(WORKSPACE, about(model, *provider));
                prop_assert_eq!(found.map(|found| found.id), Some(config.id));
            }
            prop_assert_eq!(world.snapshot.configs_after(WORKSPACE, Version(0)).count(), there.len());
        }
    }
}

#[test]
fn a_line_that_is_not_of_this_config_is_refused() {
    let mut world = World::new();
    let (config, _) = world.create("m", None, &[0]).unwrap();
    let (other, _) = world.create("other", None, &[1]).unwrap();
    for foreign in [other.budgets[0].id, LineId::new([255; 16])] {
        let refused = world.update(&config, budgets(vec![budget(Some(foreign), "1d", 1)]));
        assert!(matches!(refused, Err(Rejection::Invalid(_))));
    }
    let twice =
        vec![budget(Some(config.budgets[0].id), "1d", 1), budget(Some(config.budgets[0].id), "1w", 1)];
    assert!(matches!(world.update(&config, budgets(twice)), Err(Rejection::Invalid(_))));
    assert_eq!(world.snapshot.config(config.id), Some(&config));
}

#[test]
fn a_config_has_so_many_lines_at_most() {
    let mut world = World::new();
    let (config, _) = world.create("m", None, &[]).unwrap();
    let lines = |number: usize| (1..=number).map(|n| budget(None, &format!("{n}h"), 1)).collect();
    assert!(world.update(&config, budgets(lines(LINES_MAX + 1))).is_err());
    assert_eq!(world.update(&config, budgets(lines(LINES_MAX))).unwrap().0.budgets.len(), LINES_MAX);
}

#[test]
fn another_workspace_sees_no_config_of_this_one() {
    let mut world = World::new();
    let (config, _) = world.create("m", None, &[0]).unwrap();
    let other = WorkspaceId(2);
    let update = world.edit(|cx, fresh| update(cx, other, config.id, ConfigPatch::default(), fresh));
    assert!(matches!(update, Err(Rejection::NotFound(_))));
    assert!(matches!(world.edit(|cx, _| delete(cx, other, config.id)), Err(Rejection::NotFound(_))));
    assert!(world.snapshot.config_about(other, about("m", None)).is_none());
}
