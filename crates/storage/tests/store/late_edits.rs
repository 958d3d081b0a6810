//! Edits of model configs that waited while calls went on into the next period.

use std::sync::Arc;

use domain::edit::model_config::{self, BudgetDraft, ConfigDraft, ConfigPatch, RatesDraft};
use domain::{
    ANY_MODEL, ConfigCaller, ConfigIdentity, ConfigScope, Entry, Group, Meter, ModelConfig, Now, Usd,
};
use limits::{Admission, Decision, Engine, Size};
use storage::{Options, PathOf, Store, UseChange, random_bytes};

use crate::world::*;

const PERIOD_MS: u64 = 10_000;
/// In the second period, and an edit that was asked for in the first.
const CALL: Now = Now { mono_ns: 0, wall_ms: NOON_MS + PERIOD_MS + 1 };
const ASKED: Now = Now { mono_ns: 0, wall_ms: NOON_MS + PERIOD_MS - 1 };

/// A budget of ten seconds on everything, and a call that is settled in its second period.
struct Scene {
    world: World,
    engine: Arc<Engine>,
    store: Store,
    config: Arc<ModelConfig>,
    entry: Entry,
}

impl Scene {
    fn new() -> Self {
        let (world, engine) = (World::new(), Arc::new(Engine::new()));
        let store =
            Store::open(Options { engine: Arc::clone(&engine), ..options(world.path(), MASTER) }).unwrap();
        let group = create(&store, "cust");
        put_secret(&store, "upstream", "sk");
        create_endpoint(&store, "acme/m1", "upstream");
        let draft = ConfigDraft {
            workspace: workspace(&store),
            identity: ConfigIdentity {
                scope: ConfigScope::Global,
                model_name: ANY_MODEL.into(),
                provider: None,
            },
            calendar_aligned: false,
            budgets: vec![budget(1_000_000)],
            rate_limits: RatesDraft::None,
        };
        let config =
            wait(store.edit(NOW, move |cx| model_config::create(cx, draft, &mut random_bytes))).unwrap();
        let lines = config.lines().map(|line| (line.id, line.meter)).collect();
        let entry = charged_to(lines, entry(1, &[group.id], CALL.wall_ms, CALL.wall_ms));
        let scene = Self { world, engine, store, config, entry };
        scene.call(&group);
        scene
    }

    fn call(&self, group: &Arc<Group>) {
        let (snapshot, slug) = (self.store.snapshot(), slug("acme/m1"));
        let endpoint = snapshot.endpoint_by_slug(&slug).map(|endpoint| &**endpoint);
        let caller = ConfigCaller { group, key: None, user: None };
        let spec = self.store.path_spec(&snapshot, PathOf { caller, slug: &slug, endpoint }, CALL);
        let path = self.engine.bind(spec, CALL);
        let decision = self.engine.reserve(&path, OBSERVED, CALL, None);
        let reservation = match decision {
            Decision::Admitted(Admission { reservation, .. }) => Some(reservation),
            Decision::Refused(_) | Decision::Stale => None,
        };
        let used = Size { tokens: 15, usd: self.entry.cost.unwrap() };
        self.engine.settle(reservation.unwrap(), used, CALL);
    }

    fn reset(&self) {
        let (workspace, line) = (self.config.workspace, self.config.budgets[0].id);
        wait(self.store.edit(ASKED, move |cx| model_config::reset_budget(cx, workspace, line))).unwrap();
    }

    fn used(store: &Store) -> u64 {
        let snapshot = store.snapshot();
        let config = snapshot.configs().next().unwrap();
        let line = config.lines().next().unwrap();
        store.line_used(&snapshot, config, &line, CALL)
    }

    /// What the line shows, and what it shows after a restart.
    fn shown(self) -> (u64, u64) {
        wait(self.store.flush());
        let live = Self::used(&self.store);
        self.store.close();
        (live, Self::used(&self.world.try_open(MASTER, CALL).unwrap()))
    }
}

fn budget(max: u64) -> BudgetDraft {
    BudgetDraft { id: None, max: Usd(max), reset: "10s".parse().unwrap() }
}

#[test]
fn a_line_that_counted_into_its_next_period_before_its_reset_forgets_the_same_after_a_restart() {
    for written_first in [true, false] {
        let scene = Scene::new();
        if written_first {
            record(&scene.store, scene.entry.clone());
        }
        scene.reset();
        if !written_first {
            record(&scene.store, scene.entry.clone());
        }
        let edits = wait(scene.store.line_edits(scene.config.budgets[0].id, 9)).unwrap();
        assert_eq!(edits.len(), 1);
        let (change, at_ms, meter) = (edits[0].change, edits[0].at_ms, edits[0].meter);
        assert_eq!((change, at_ms, meter), (UseChange::Forgot(75_000), CALL.wall_ms, Meter::Usd));
        assert_eq!(scene.shown(), (0, 0), "written first: {written_first}");
    }
}

#[test]
fn a_line_that_counted_into_its_next_period_before_its_edit_keeps_that_period() {
    let scene = Scene::new();
    record(&scene.store, scene.entry.clone());
    let (workspace, id) = (scene.config.workspace, scene.config.id);
    let patch = ConfigPatch { budgets: Some(vec![budget(2_000_000)]), ..ConfigPatch::default() };
    let update = wait(
        scene.store.edit(ASKED, move |cx| model_config::update(cx, workspace, id, patch, &mut random_bytes)),
    );
    assert_eq!(update.unwrap().budgets[0].id, scene.config.budgets[0].id);
    // Another call of the same period, which only the ledger hears of.
    let other = charged_to(
        Arc::clone(&scene.entry.terms.lines),
        entry(2, &scene.entry.terms.groups, CALL.wall_ms, CALL.wall_ms),
    );
    record(&scene.store, other);
    assert_eq!(scene.shown(), (75_000, 150_000));
}
