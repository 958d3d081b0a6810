//! What lines of model configs have used: by entries, openings and resets, whatever their order.

use std::sync::Arc;

use domain::edit::model_config::{self, ConfigDraft, ConfigPatch};
use domain::{
    ConfigCaller, ConfigScope, Group, LineId, Meter, ModelConfig, Now, Tariff, Usage, UsageSource, Usd,
};
use limits::{Ask, Decision, Engine, Need, Path, PathSpec, Reservation, Size};
use storage::{Options, PathOf, Store};

use crate::model_configs::{about, budgets, hourly, patch, try_config};
use crate::world::*;

const HOUR_MS: u64 = 3_600_000;
/// What an entry of the tests costs.
const COST: u64 = 75_000;
/// One nano-dollar for each token of output.
const TARIFF: Tariff = Tariff { input: Usd::ZERO, output: Usd(1_000_000) };

/// A config of everybody's calls with one budget and a rate limit by the hour.
pub(crate) fn config(store: &Store, lines: &[(u64, &str)]) -> Arc<ModelConfig> {
    let draft = ConfigDraft {
        budgets: budgets(lines),
        rate_limits: hourly(1_000, 1_000_000),
        ..about(store, ConfigScope::Global, "*", None)
    };
    try_config(store, draft).unwrap()
}

pub(crate) fn lines(config: &ModelConfig) -> Arc<[(LineId, Meter)]> {
    config.lines().map(|line| (line.id, line.meter)).collect()
}

/// Records a call of fifteen tokens that is charged to every line of a config.
pub(crate) fn charge(store: &Store, n: u32, config: &ModelConfig, admitted_ms: u64, settled_ms: u64) {
    record(store, charged_to(lines(config), entry(n, &[], admitted_ms, settled_ms)));
    wait(store.flush());
}

/// Requests, tokens and what each budget has used.
fn used_at(store: &Store, config: &ModelConfig, wall_ms: u64) -> Vec<u64> {
    let snapshot = store.snapshot();
    let config = snapshot.config(config.id).unwrap();
    let now = Now { wall_ms, ..NOW };
    config.lines().map(|line| store.line_used(&snapshot, config, &line, now)).collect()
}

pub(crate) fn used(store: &Store, config: &ModelConfig) -> Vec<u64> {
    used_at(store, config, NOON_MS)
}

pub(crate) fn reset_budget(store: &Store, config: &ModelConfig, nth: usize) {
    let (home, line) = (config.workspace, config.budgets[nth].id);
    wait(store.edit(NOW, move |cx| model_config::reset_budget(cx, home, line))).unwrap();
}

#[test]
fn entries_add_up_by_line_and_survive_and_a_second_one_changes_nothing() {
    let world = World::new();
    let store = world.open();
    let config = config(&store, &[(1, "1d"), (1, "1M")]);
    for n in [1, 2, 2] {
        charge(&store, n, &config, NOON_MS, NOON_MS + 1);
    }
    assert_eq!(used(&store, &config), [2, 30, 2 * COST, 2 * COST]);
    store.close();
    let store = world.open();
    assert_eq!(used(&store, &config), [2, 30, 2 * COST, 2 * COST]);
    assert_eq!(used_at(&store, &config, NOON_MS + HOUR_MS), [0, 0, 2 * COST, 2 * COST]);
    store.close();
    assert_eq!(
        world.number("SELECT count(*) FROM entry_prices"),
        1,
        "what entries say alike is written once"
    );
    assert_eq!(world.number("SELECT count(*) FROM entry_lines"), 1);
}

#[test]
fn rollups_add_up_what_calls_cost() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    for n in 1..=3 {
        book(&store, n, &[group.id]);
    }
    let mut unpriced = on_terms(|terms| terms.price = None, entry(4, &[group.id], NOON_MS, NOON_MS));
    unpriced.cost = None;
    record(&store, unpriced);
    store.close();
    assert_eq!(world.number("SELECT cost_nano_usd FROM rollups"), 3 * i64::try_from(COST).unwrap());
    assert_eq!(world.number("SELECT requests FROM rollups"), 4);
    assert_eq!(world.number("SELECT count(*) FROM entries WHERE cost_nano_usd IS NULL"), 1);
}

#[test]
fn what_arrives_late_of_a_period_that_is_over_counts_no_more() {
    let world = World::new();
    let store = world.open();
    let config = config(&store, &[(1, "1h")]);
    charge(&store, 1, &config, NOON_MS + HOUR_MS, NOON_MS + HOUR_MS);
    // Admitted in the first hour and settled in the second: its request belongs to the first.
    charge(&store, 2, &config, NOON_MS, NOON_MS + HOUR_MS + 5);
    assert_eq!(used_at(&store, &config, NOON_MS + HOUR_MS), [1, 30, 2 * COST]);
    // Two threads that ended calls at the same time.
    charge(&store, 3, &config, NOON_MS, NOON_MS + HOUR_MS - 1);
    assert_eq!(used_at(&store, &config, NOON_MS + HOUR_MS), [1, 30, 2 * COST]);
}

#[test]
fn after_the_clock_was_set_back_what_was_used_in_periods_to_come_counts_for_the_present_one() {
    let world = World::new();
    let store = world.open();
    let config = config(&store, &[(1, "1h")]);
    charge(&store, 1, &config, NOON_MS + 5 * HOUR_MS, NOON_MS + 5 * HOUR_MS);
    assert_eq!(used(&store, &config), [1, 15, COST]);
    charge(&store, 2, &config, NOON_MS, NOON_MS);
    assert_eq!(used(&store, &config), [2, 30, 2 * COST]);
    charge(&store, 3, &config, NOON_MS + HOUR_MS, NOON_MS + HOUR_MS);
    assert_eq!(used_at(&store, &config, NOON_MS + HOUR_MS), [1, 15, COST], "and then periods go on as ever");
}

#[test]
fn a_line_that_was_removed_counts_nothing_any_more() {
    let world = World::new();
    let store = world.open();
    let made = config(&store, &[(1, "1d"), (1, "1M")]);
    charge(&store, 1, &made, NOON_MS, NOON_MS);
    let kept = vec![model_config::BudgetDraft {
        id: Some(made.budgets[1].id),
        max: Usd(9),
        reset: "2M".parse().unwrap(),
    }];
    let after = patch(&store, &made, ConfigPatch { budgets: Some(kept), ..ConfigPatch::default() });
    charge(&store, 2, &made, NOON_MS, NOON_MS);
    assert_eq!(used(&store, &after), [2, 30, 2 * COST]);
    store.close();
    assert_eq!(world.number("SELECT count(*) FROM line_use"), 3);
    let store = world.open();
    let (home, id) = (after.workspace, after.id);
    wait(store.edit(NOW, move |cx| model_config::delete(cx, home, id))).unwrap();
    charge(&store, 3, &made, NOON_MS, NOON_MS);
    store.close();
    assert_eq!(world.number("SELECT count(*) FROM line_use"), 0);
}

#[test]
fn a_new_line_opens_with_what_the_longest_shorter_one_has_used_and_the_ledger_says_so() {
    let world = World::new();
    let store = world.open();
    let made = config(&store, &[(1, "1h"), (1, "1d")]);
    charge(&store, 1, &made, NOON_MS, NOON_MS);
    reset_budget(&store, &made, 0);
    let all = budgets(&[(1, "1h"), (1, "1d"), (1, "1M"), (1, "1m")]);
    let after = patch(&store, &made, ConfigPatch { budgets: Some(all), ..ConfigPatch::default() });
    assert_eq!(used(&store, &after), [1, 15, 0, COST, COST, 0]);
    world.close_and_audit(store, 0);
    assert_eq!(world.number("SELECT count(*) FROM line_openings"), 1);
    let cost = i64::try_from(COST).unwrap();
    assert_eq!(world.number("SELECT used FROM line_openings WHERE meter = 'usd'"), cost);
    assert_eq!(world.number("SELECT used FROM line_resets WHERE meter = 'usd'"), cost);
    assert_eq!(used(&world.open(), &after), [1, 15, 0, COST, COST, 0]);
}

/// A store beside its engine, with a group, an endpoint and a config.
struct Live {
    world: World,
    engine: Arc<Engine>,
    store: Store,
    group: Arc<Group>,
    config: Arc<ModelConfig>,
}

impl Live {
    fn new() -> Self {
        let (world, engine) = (World::new(), Arc::new(Engine::new()));
        let store =
            Store::open(Options { engine: Arc::clone(&engine), ..options(world.path(), MASTER) }).unwrap();
        let group = create(&store, "cust");
        put_secret(&store, "KEY", "secret");
        create_endpoint(&store, "acme/m1", "KEY");
        let config = config(&store, &[(1_000, "1d")]);
        Self { world, engine, store, group, config }
    }

    fn path(&self) -> Arc<Path> {
        self.engine.bind(self.spec(), NOW)
    }

    fn spec(&self) -> PathSpec {
        let (snapshot, slug) = (self.store.snapshot(), slug("acme/m1"));
        let endpoint = snapshot.endpoint_by_slug(&slug);
        let caller = ConfigCaller { group: &self.group, key: None, user: None };
        let call = PathOf { caller, slug: &slug, endpoint: endpoint.map(|endpoint| &**endpoint) };
        self.store.path_spec(&snapshot, call, NOW)
    }

    /// Admits a call that may write so many tokens.
    fn admit(&self, output: u64) -> Option<Reservation> {
        let need = Need::Declared { prompt: 0, output };
        match self.engine.reserve(&self.path(), Ask { need, tariff: TARIFF }, NOW, None) {
            Decision::Admitted(admission) => Some(admission.reservation),
            Decision::Refused(_) | Decision::Stale => None,
        }
    }

    /// Ends a call that wrote so many tokens; its line of the ledger is yet to be recorded.
    fn settle(&self, n: u32, reservation: Reservation, output: u64) -> domain::Entry {
        self.engine.settle(reservation, Size { tokens: output, usd: Usd(output) }, NOW);
        let usage = Usage { input: 0, output, cached: 0, cache_written: 0, source: UsageSource::Reported };
        let (lines, cost) = (lines(&self.config), Some(Usd(output)));
        charged_to(lines, domain::Entry { usage, cost, ..entry(n, &[self.group.id], NOON_MS, NOON_MS) })
    }

    /// Budget of the present period by the ledger alone: a counter of another engine starts there.
    fn by_the_ledger(self) -> u64 {
        let Self { world, store, config, .. } = self;
        world.close_and_audit(store, 0);
        used(&world.open(), &config)[2]
    }
}

#[test]
fn a_reset_before_entries_are_written_adds_up_and_never_shows_below_nought() {
    let live = Live::new();
    let first = live.settle(1, live.admit(700).unwrap(), 400);
    assert_eq!(used(&live.store, &live.config)[2], 400, "live");
    reset_budget(&live.store, &live.config, 0);
    assert_eq!(used(&live.store, &live.config)[2], 0);
    let second = live.settle(2, live.admit(600).unwrap(), 30);
    assert_eq!(used(&live.store, &live.config)[2], 30);
    // What was written first was settled after the reset.
    record(&live.store, second);
    wait(live.store.flush());
    assert_eq!(live.world.number("SELECT used FROM line_use WHERE meter = 'usd'"), 30 - 400);
    assert_eq!(used(&live.store, &live.config)[2], 30);
    record(&live.store, first);
    wait(live.store.flush());
    assert_eq!(live.by_the_ledger(), 30);
}

#[test]
fn a_store_that_is_opened_between_a_reset_and_its_entries_shows_nothing_used() {
    let live = Live::new();
    drop(live.settle(1, live.admit(700).unwrap(), 400));
    reset_budget(&live.store, &live.config, 0);
    assert_eq!(live.by_the_ledger(), 0);
}

#[test]
fn a_reset_keeps_what_is_held() {
    let live = Live::new();
    let held = live.admit(700).unwrap();
    reset_budget(&live.store, &live.config, 0);
    assert!(live.admit(301).is_none());
    let entry = live.settle(1, held, 500);
    record(&live.store, entry);
    wait(live.store.flush());
    assert_eq!(live.by_the_ledger(), 500);
}

#[test]
fn a_call_that_saw_what_was_used_right_before_a_reset_does_not_bring_it_back() {
    let live = Live::new();
    charge(&live.store, 1, &live.config, NOON_MS, NOON_MS);
    let seen = live.spec();
    assert!(seen.all_limits().any(|limit| limit.opening == COST));
    reset_budget(&live.store, &live.config, 0);
    let _late = live.engine.bind(seen, NOW);
    assert_eq!(used(&live.store, &live.config)[2], 0);
    assert_eq!(live.by_the_ledger(), 0);
}

#[test]
fn a_reset_that_the_disk_refuses_changes_nothing() {
    let live = Live::new();
    let entry = live.settle(1, live.admit(700).unwrap(), 400);
    record(&live.store, entry);
    wait(live.store.flush());
    live.world
        .sql()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON line_resets BEGIN SELECT RAISE(ABORT, 'no'); END;",
        )
        .unwrap();
    let (home, line) = (live.config.workspace, live.config.budgets[0].id);
    let reset = live.store.edit(NOW, move |cx| model_config::reset_budget(cx, home, line));
    assert!(wait(reset).is_err());
    assert_eq!(used(&live.store, &live.config)[2], 400);
    assert!(live.admit(601).is_none() && live.admit(600).is_some());
}
