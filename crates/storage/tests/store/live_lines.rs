//! What lines of model configs have used: the live counter, the ledger and what a restart opens with are one number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use domain::edit::group::{GroupDraft, ModelDraft};
use domain::edit::model_config::{self, BudgetDraft, ConfigDraft, ConfigPatch, RatesDraft};
use domain::{
    ConfigCaller, ConfigIdentity, ConfigScope, Endpoint, Group, LineId, Meter, ModelConfig, Now, Rate, Usd,
};
use limits::{Admission, Decision, Engine, Measure, Owner, Reservation, Size};
use storage::{EditError, Options, PathOf, Store};

use crate::world::{
    DAY_MS, MASTER, NOON_MS, NOW, OBSERVED, World, charged_to, create_endpoint, draft, entry, model, options,
    put_secret, record, slug, try_create, wait, workspace,
};

/// What every call uses.
const USED: Size = Size { tokens: 15, usd: Usd(75_000) };
const HOUR_MS: u64 = DAY_MS / 24;
/// Edits among calls of many threads.
const EDITS: u32 = 60;

/// A store with one group, one endpoint, and one model config about all calls of the workspace.
struct Tenant {
    world: World,
    engine: Arc<Engine>,
    store: Store,
    group: Arc<Group>,
    endpoint: Arc<Endpoint>,
    config: Arc<ModelConfig>,
    calls: u32,
    was_set_back: bool,
}

/// A call in flight.
struct Call {
    reservation: Reservation,
    lines: Arc<[(LineId, Meter)]>,
}

fn at(wall_ms: u64) -> Now {
    Now { mono_ns: wall_ms * 1_000_000, wall_ms }
}

fn rate(max: u64, reset: &str) -> Rate {
    Rate { max, reset: reset.parse().unwrap() }
}

fn budget(reset: &str) -> BudgetDraft {
    BudgetDraft { id: None, max: Usd(1_000_000_000), reset: reset.parse().unwrap() }
}

fn pair(tokens: Option<&str>, requests: Option<&str>) -> RatesDraft {
    let side = |reset| rate(1_000_000, reset);
    RatesDraft::Pair { tokens: tokens.map(side), requests: requests.map(side) }
}

fn open(world: &World, now: Now) -> (Arc<Engine>, Store) {
    let engine = Arc::new(Engine::new());
    let options = Options { engine: Arc::clone(&engine), now, ..options(world.path(), MASTER) };
    (engine, Store::open(options).unwrap())
}

impl Tenant {
    /// A budget, a limit on tokens and one on requests, each of an hour from noon on.
    fn new() -> Self {
        let world = World::new();
        let (engine, store) = open(&world, NOW);
        let unlimited = ModelDraft { rate_limits: Vec::new(), max_concurrent_requests: None, ..model(None) };
        let draft = GroupDraft { models: vec![unlimited], ..draft(&store, "cust", None) };
        let group = try_create(&store, draft).unwrap();
        put_secret(&store, "llama", "sk-1");
        let endpoint = create_endpoint(&store, "acme/m1", "llama");
        let identity = ConfigIdentity { scope: ConfigScope::Global, model_name: "*".into(), provider: None };
        let draft = ConfigDraft {
            workspace: workspace(&store),
            identity,
            calendar_aligned: false,
            budgets: vec![budget("1h")],
            rate_limits: pair(Some("1h"), Some("1h")),
        };
        let create =
            move |cx: &domain::Context<'_>| model_config::create(cx, draft, &mut storage::random_bytes);
        let config = wait(store.edit(at(NOON_MS), create)).unwrap();
        Self { world, engine, store, group, endpoint, config, calls: 0, was_set_back: false }
    }

    fn begin(&self, now: Now) -> Call {
        self.try_begin(now).expect("observed calls fit")
    }

    /// Asks again until no edit comes in between.
    fn begin_soon(&self, tick: impl Fn() -> Now) -> Call {
        std::iter::repeat_with(|| self.try_begin(tick())).find_map(|call| call).unwrap()
    }

    fn try_begin(&self, now: Now) -> Option<Call> {
        let slug = slug("acme/m1");
        let caller = ConfigCaller { group: &self.group, key: None, user: None };
        let call = PathOf { caller, slug: &slug, endpoint: Some(&self.endpoint) };
        let path = self.engine.bind(self.store.path_spec(&self.store.snapshot(), call, now), now);
        let lines =
            path.limits().iter().filter_map(|limit| match (&limit.counter.owner, limit.counter.measure) {
                (Owner::Line(line), Measure::Spend(meter)) => Some((*line, meter)),
                _ => None,
            });
        let lines = lines.collect();
        match self.engine.reserve(&path, OBSERVED, now, None) {
            Decision::Admitted(Admission { reservation, .. }) => Some(Call { reservation, lines }),
            Decision::Refused(_) | Decision::Stale => None,
        }
    }

    fn end(&mut self, call: Call, now: Now) {
        self.calls += 1;
        self.book(self.calls, call, now);
    }

    /// Ends a call, the nth of all.
    fn book(&self, nth: u32, Call { reservation, lines }: Call, now: Now) {
        let admitted_ms = reservation.admitted_at().wall_ms;
        let settled_ms = self.engine.settle(reservation, USED, now).at.wall_ms;
        let entry = entry(nth, &[self.group.id], admitted_ms, settled_ms);
        record(&self.store, charged_to(lines, entry));
    }

    fn call(&mut self, wall_ms: u64) {
        let call = self.begin(at(wall_ms));
        self.end(call, at(wall_ms));
    }

    fn change(&mut self, now: Now, patch: ConfigPatch) {
        self.config = self.patch(now, patch);
    }

    fn patch(&self, now: Now, patch: ConfigPatch) -> Arc<ModelConfig> {
        let (workspace, id) = (self.config.workspace, self.config.id);
        let update = move |cx: &domain::Context<'_>| {
            model_config::update(cx, workspace, id, patch, &mut storage::random_bytes)
        };
        wait(self.store.edit(now, update)).unwrap()
    }

    fn reset_budget(&self, now: Now) -> Result<Arc<ModelConfig>, EditError> {
        let (workspace, line) = (self.config.workspace, self.config.budgets[0].id);
        wait(self.store.edit(now, move |cx| model_config::reset_budget(cx, workspace, line)))
    }

    fn reset_rates(&self, now: Now) {
        let (workspace, line) = (self.config.workspace, self.config.rate_limits.iter().next().unwrap().id);
        wait(self.store.edit(now, move |cx| model_config::reset_rate_limit(cx, workspace, line))).unwrap();
    }

    /// Requests, tokens and nano-dollars, as far as there is a line for them.
    fn used(&self, wall_ms: u64) -> Vec<u64> {
        let snapshot = self.store.snapshot();
        let config = snapshot.config(self.config.id).unwrap();
        config.lines().map(|line| self.store.line_used(&snapshot, config, &line, at(wall_ms))).collect()
    }

    fn restart(self, wall_ms: u64) -> Self {
        let Self { world, store, .. } = self;
        // Three lines, of which a clock that was set back leaves none to be recomputed.
        world.close_and_audit(store, if self.was_set_back { 3 } else { 0 });
        let (engine, store) = open(&world, at(wall_ms));
        Self { world, engine, store, ..self }
    }

    /// What counters hold, which has to be what they open with after a restart.
    fn assert_used(self, wall_ms: u64, used: &[u64]) {
        assert_eq!(self.used(wall_ms), used, "live");
        assert_eq!(self.restart(wall_ms).used(wall_ms), used, "after a restart");
    }
}

#[test]
fn a_reset_that_the_disk_refuses_half_way_forgets_nothing() {
    let mut tenant = Tenant::new();
    tenant.call(NOON_MS + 1);
    tenant.world.sql().execute_batch("ALTER TABLE line_resets RENAME TO away").unwrap();
    assert_eq!(tenant.reset_budget(at(NOON_MS + 2)), Err(EditError::Unavailable));
    tenant.world.sql().execute_batch("ALTER TABLE away RENAME TO line_resets").unwrap();
    tenant.assert_used(NOON_MS + 3, &[1, 15, 75_000]);
}
#[test]
fn a_side_of_a_rate_limit_that_is_taken_away_and_comes_back_begins_anew() {
    let mut tenant = Tenant::new();
    tenant.call(NOON_MS + 1);
    let running = tenant.begin(at(NOON_MS + 2));
    for sides in [pair(None, Some("1h")), pair(Some("1h"), Some("1h"))] {
        tenant.change(at(NOON_MS + 3), ConfigPatch { rate_limits: Some(sides), ..ConfigPatch::default() });
    }
    assert_eq!(tenant.used(NOON_MS + 4), [2, 0, 75_000]);
    tenant.call(NOON_MS + 5);
    tenant.end(running, at(NOON_MS + 6));
    tenant.assert_used(NOON_MS + 7, &[3, 15, 225_000]);
}
#[test]
fn what_is_used_after_the_clock_was_set_back_is_in_the_ledger_too() {
    let mut tenant = Tenant::new();
    let later = NOON_MS + 50 * HOUR_MS;
    tenant.call(later);
    let running = tenant.begin(at(later));
    tenant.was_set_back = true;
    tenant.engine.lower_wall(NOON_MS + 1);
    tenant.call(NOON_MS + 2);
    let Now { mono_ns, .. } = at(later);
    tenant.end(running, Now { mono_ns, wall_ms: NOON_MS + 3 });
    tenant.call(NOON_MS + 4);
    tenant.reset_rates(at(NOON_MS + 5));
    tenant.call(NOON_MS + 6);
    tenant.assert_used(NOON_MS + 7, &[1, 15, 375_000]);
}

#[test]
fn lines_that_were_made_or_edited_before_the_clock_was_set_back_count_what_comes_after_it() {
    let mut tenant = Tenant::new();
    let later = NOON_MS + 5 * HOUR_MS;
    tenant.call(later);
    let patch = ConfigPatch {
        calendar_aligned: Some(true),
        budgets: Some(vec![budget("1d")]),
        rate_limits: Some(pair(Some("1d"), Some("1d"))),
        ..ConfigPatch::default()
    };
    tenant.change(at(later), patch);
    tenant.was_set_back = true;
    tenant.engine.lower_wall(NOON_MS + HOUR_MS);
    tenant.call(NOON_MS + HOUR_MS + 1);
    tenant.assert_used(NOON_MS + HOUR_MS + 2, &[2, 30, 150_000]);
}

#[test]
fn a_reset_that_waited_past_the_end_of_a_period_forgets_the_same_everywhere() {
    let mut tenant = Tenant::new();
    let next = NOON_MS + HOUR_MS;
    tenant.call(next - 2);
    tenant.call(next + 1);
    tenant.reset_budget(at(next - 1)).unwrap();
    tenant.assert_used(next + 2, &[1, 15, 0]);
}

#[test]
fn an_edit_that_waited_past_the_end_of_a_period_keeps_the_same_everywhere() {
    let mut tenant = Tenant::new();
    let next = NOON_MS + HOUR_MS;
    tenant.call(next - 2);
    tenant.call(next + 1);
    let patch = ConfigPatch {
        calendar_aligned: Some(true),
        budgets: Some(vec![budget("60m")]),
        ..ConfigPatch::default()
    };
    tenant.change(at(next - 1), patch);
    let patch = ConfigPatch { rate_limits: Some(pair(Some("2h"), Some("30m"))), ..ConfigPatch::default() };
    tenant.change(at(next - 1), patch);
    tenant.call(next + 2);
    tenant.assert_used(next + 3, &[2, 30, 150_000]);
}

#[test]
fn a_request_in_flight_while_its_period_is_edited_counts_the_same_everywhere() {
    let mut tenant = Tenant::new();
    let running = tenant.begin(at(NOON_MS + HOUR_MS / 2));
    let patch = ConfigPatch { rate_limits: Some(pair(Some("10m"), Some("10m"))), ..ConfigPatch::default() };
    tenant.change(at(NOON_MS + HOUR_MS - 1), patch);
    tenant.end(running, at(NOON_MS + HOUR_MS - 1));
    tenant.assert_used(NOON_MS + HOUR_MS - 1, &[1, 15, 75_000]);
}

#[test]
fn a_request_of_a_period_that_is_over_stays_in_it_though_a_longer_one_is_edited_in() {
    let mut tenant = Tenant::new();
    let running = tenant.begin(at(NOON_MS + HOUR_MS / 2));
    let late = NOON_MS + HOUR_MS + 1;
    tenant.call(late);
    let patch = ConfigPatch { rate_limits: Some(pair(Some("1h"), Some("9h"))), ..ConfigPatch::default() };
    tenant.change(at(late), patch);
    tenant.end(running, at(late));
    tenant.assert_used(late, &[1, 30, 150_000]);
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let nth = self.below(u64::try_from(all.len()).unwrap());
        all[usize::try_from(nth).unwrap()]
    }
}

/// Some calls, edits, resets and restarts, minutes apart; all calls end in the end.
fn play(tenant: Tenant, dice: &mut Dice) -> (Tenant, u64) {
    let (mut tenant, mut wall_ms, mut running) = (tenant, NOON_MS, Vec::new());
    for _ in 0..40 {
        wall_ms += dice.below(9 * 60_000);
        let now = at(wall_ms);
        match dice.below(10) {
            0..4 => running.push(tenant.begin(now)),
            0..7 if !running.is_empty() => {
                let nth = usize::try_from(dice.below(running.len().try_into().unwrap())).unwrap();
                tenant.end(running.swap_remove(nth), now);
            }
            7 => {
                let length =
                    |dice: &mut Dice| dice.of(&[Some("10m"), Some("45m"), Some("1h"), Some("1d"), None]);
                let budgets = length(dice).into_iter().map(budget).chain([budget("2d")]).collect();
                let (tokens, requests) = (length(dice), length(dice).or(Some("5m")));
                let patch = ConfigPatch {
                    calendar_aligned: Some(dice.below(2) == 1),
                    budgets: Some(budgets),
                    rate_limits: Some(pair(tokens, requests)),
                    ..ConfigPatch::default()
                };
                tenant.change(now, patch);
            }
            8 => drop(tenant.reset_budget(now).unwrap()),
            9 => tenant.reset_rates(now),
            _ if running.is_empty() && dice.below(2) == 0 => tenant = tenant.restart(wall_ms),
            _ => tenant.call(wall_ms),
        }
    }
    running.into_iter().for_each(|call| tenant.end(call, at(wall_ms)));
    (tenant, wall_ms)
}

#[test]
fn whatever_is_called_edited_and_reset_a_restart_opens_with_what_counters_held() {
    for seed in 0..24 {
        let (tenant, wall_ms) = play(Tenant::new(), &mut Dice(seed));
        let live = tenant.used(wall_ms);
        assert_eq!(tenant.restart(wall_ms).used(wall_ms), live, "seed {seed}");
    }
}

/// Threads that call while lines are edited and reset, by a clock that every look moves on.
#[test]
fn while_lines_are_edited_and_reset_among_calls_a_restart_opens_with_what_counters_held() {
    let tenant = Tenant::new();
    let (clock, edits) = (AtomicU64::new(NOON_MS), AtomicU32::new(0));
    let tick = || at(clock.fetch_add(1, Ordering::Relaxed));
    let call_until_all_are_edited = |first: u32| {
        let mut running = VecDeque::new();
        for nth in first.. {
            // A few calls for each edit, so that the ledger keeps up.
            while nth - first > 20 * (1 + edits.load(Ordering::Relaxed)) {
                std::thread::yield_now();
            }
            running.push_back(tenant.begin_soon(tick));
            if running.len() == 3 {
                tenant.book(nth, running.pop_front().unwrap(), tick());
            }
            if edits.load(Ordering::Relaxed) == EDITS {
                return running;
            }
        }
        running
    };
    std::thread::scope(|scope| {
        let callers =
            [1, 1_000_000, 2_000_000].map(|first| scope.spawn(move || call_until_all_are_edited(first)));
        let mut dice = Dice(7);
        while edits.fetch_add(1, Ordering::Relaxed) < EDITS - 1 {
            edit_at_random(&tenant, tick(), &mut dice);
        }
        for (nth, caller) in (3_000_000..).step_by(10).zip(callers) {
            (nth..).zip(caller.join().unwrap()).for_each(|(nth, call)| tenant.book(nth, call, tick()));
        }
    });
    let now_ms = clock.into_inner();
    let live = tenant.used(now_ms);
    assert_eq!(tenant.restart(now_ms).used(now_ms), live);
}

fn edit_at_random(tenant: &Tenant, now: Now, dice: &mut Dice) {
    match dice.below(6) {
        0 => drop(tenant.reset_budget(now).unwrap()),
        1 => tenant.reset_rates(now),
        _ => {
            let patch = ConfigPatch {
                budgets: Some(vec![budget("1h"), budget(dice.of(&["3h", "2h", "1d"]))]),
                rate_limits: Some(pair(dice.of(&[Some("2h"), Some("1d"), None]), Some("1h"))),
                ..ConfigPatch::default()
            };
            drop(tenant.patch(now, patch));
        }
    }
}
