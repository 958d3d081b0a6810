//! An audit finds whatever is not as the ledger says, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::edit::group::{GroupDraft, GroupPatch, ModelDraft};
use domain::edit::model_config::{self, ConfigDraft};
use domain::{
    Clock, ConfigCaller, ConfigScope, Enforcement, Entry, Group, GroupId, ModelConfig, Now, Outcome, Usage,
    Version,
};
use limits::{Decision, Engine, Path, Reservation, Size};
use storage::{Audit, Difference, OpenError, Options, PathOf, Store, Watch, audit_at_rest};

use crate::model_configs::{about, budgets, hourly, try_config};
use crate::world::*;

const HOUR_MS: u64 = 3_600_000;
const MUCH: u64 = 1 << 40;

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        NOW
    }
}

/// A store with a family of two groups, a config, and an hour of calls of every kind, closed.
fn played() -> World {
    let world = World::new();
    let store = world.open();
    let (root, child) = family(&store, Enforcement::Cascading);
    let config = config(&store);
    let lines: Arc<[_]> = config.lines().map(|line| (line.id, line.meter)).collect();
    for n in 0..60_u32 {
        let at_ms = NOON_MS + u64::from(n) * 2 * HOUR_MS / 60;
        let path: &[GroupId] = if n % 3 == 0 { &[root.id] } else { &[child.id, root.id] };
        let entry = charged_to(Arc::clone(&lines), entry(n, path, at_ms, at_ms + 90_000));
        record(&store, if n % 5 == 0 { unbilled(entry) } else { entry });
    }
    wait(store.flush());
    world.close_and_audit(store, 0);
    world
}

fn config(store: &Store) -> Arc<ModelConfig> {
    let about = about(store, ConfigScope::Global, "*", None);
    let draft = ConfigDraft { budgets: budgets(&[(MUCH, "1d")]), rate_limits: hourly(MUCH, MUCH), ..about };
    try_config(store, draft).unwrap()
}

/// A call that nothing came of.
fn unbilled(entry: Entry) -> Entry {
    Entry { usage: Usage::NONE, outcome: Outcome::NotReached, upstream_status: None, cost: None, ..entry }
}

/// What an audit says once the rows were changed so.
fn after(sql: &str) -> Audit {
    let world = played();
    let changed = world.sql().execute_batch(sql);
    assert_eq!(changed, Ok(()), "{sql}");
    audit_at_rest(world.path()).unwrap()
}

fn whats(audit: &Audit) -> Vec<&str> {
    let mut all: Vec<_> = audit.differences.iter().map(|difference| &*difference.what).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn only(audit: &Audit) -> &Difference {
    assert_eq!(audit.count(), 1, "{audit:?}");
    &audit.differences[0]
}

#[test]
fn what_is_as_it_was_written_is_no_difference() {
    let audit = audit_at_rest(played().path()).unwrap();
    assert_eq!((audit.entries, audit.count(), audit.skipped), (60, 0, 0));
    assert!(audit.compared > 60, "{audit:?}");
}

#[test]
fn every_sum_that_was_changed_is_found_with_what_it_should_be() {
    for (sql, expected) in [
        ("UPDATE rollups SET requests = requests + 1 WHERE hour % 2 = 0", "rollups.requests"),
        ("UPDATE rollups SET cost_nano_usd = 0", "rollups.cost_nano_usd"),
        ("UPDATE subtree_rollups SET cached_tokens = cached_tokens - 1", "subtree_rollups.cached_tokens"),
        ("UPDATE day_use SET tokens = tokens + 7 WHERE scope = 'own'", "day_use own.tokens"),
        ("UPDATE day_use SET requests = 0 WHERE scope = 'subtree'", "day_use subtree.requests"),
        ("UPDATE line_use SET used = used + 1 WHERE meter = 'usd'", "line_use.used"),
        ("UPDATE line_use SET start_ms = start_ms + 1 WHERE meter = 'usd'", "line_use.start_ms"),
        ("INSERT INTO line_use VALUES (zeroblob(16), 'usd', 0, 5)", "line_use"),
        ("UPDATE sequences SET sequence = sequence + 1", "sequences"),
        ("DELETE FROM sequences", "sequences"),
        ("UPDATE events SET at_ms = at_ms - 900000 WHERE sequence = 30", "events.at_ms"),
    ] {
        let audit = after(sql);
        assert!(whats(&audit).contains(&expected), "{sql}: {audit:?}");
    }
    let audit = after("UPDATE line_use SET used = used + 1 WHERE meter = 'requests'");
    let only = only(&audit);
    assert!(only.place.starts_with("line ") && only.place.ends_with(", requests"), "{only:?}");
    assert_eq!((&*only.expected, &*only.found), ("30", "31"), "admitted in the present hour");
}

#[test]
fn a_row_of_sums_that_is_missing_or_of_nobody_is_found() {
    let audit = after("DELETE FROM rollups WHERE hour = (SELECT min(hour) FROM rollups)");
    assert!(audit.differences.iter().all(|found| found.found == "0"), "{audit:?}");
    assert!(whats(&audit).contains(&"rollups.requests"), "{audit:?}");
    let audit =
        after("INSERT INTO rollups VALUES (7, 480007, 'acme/m1', 'tg_1234567', 'openai', 3, 0, 0, 0, 0)");
    let only = only(&audit);
    assert_eq!((&*only.what, &*only.expected, &*only.found), ("rollups.requests", "0", "3"));
    assert!(
        only.place.starts_with("group 00000000007, 2024-10-04T07:00:00Z, slug acme/m1"),
        "{}",
        only.place
    );
}

#[test]
fn an_event_that_is_missing_moved_doubled_or_of_nothing_is_found() {
    for (sql, expected) in [
        ("DELETE FROM events WHERE sequence = 10", vec!["events", "events.sequence"]),
        ("DELETE FROM events WHERE sequence = 1", vec!["events", "events.sequence"]),
        ("UPDATE events SET line = zeroblob(16) WHERE sequence = 10", vec!["events", "events.line"]),
        (
            "UPDATE events SET line = (SELECT line FROM events WHERE sequence = 11) WHERE sequence = 10",
            vec!["entries.sequence", "events"],
        ),
        ("UPDATE entries SET sequence = 900 WHERE sequence = 10", vec!["entries.sequence", "events"]),
        ("UPDATE entries SET sequence = NULL WHERE sequence = 10", vec!["entries.sequence", "events.line"]),
        (
            "DELETE FROM entries WHERE sequence = 10",
            vec!["day_use own.requests", "day_use own.tokens", "day_use subtree.requests", "events.line"],
        ),
        (
            "UPDATE events SET workspace = 3 WHERE sequence = 48",
            vec!["events", "events.sequence", "events.workspace"],
        ),
        ("DELETE FROM event_blocks WHERE terms = 1", vec!["event_blocks"]),
        ("INSERT INTO event_blocks VALUES (1, 7)", vec!["event_blocks"]),
    ] {
        let audit = after(sql);
        let found = whats(&audit);
        assert!(expected.iter().all(|what| found.contains(what)), "{sql}: {found:?}");
    }
}

#[test]
fn a_call_that_was_billed_for_nothing_is_found() {
    let audit = after("UPDATE entries SET upstream_status = 200 WHERE sequence IS NULL");
    assert_eq!(whats(&audit), ["entries.sequence"]);
    assert_eq!(audit.count(), 12, "one for each call that nothing came of");
}

#[test]
fn a_correction_changes_the_sums_of_the_hour_of_its_call_and_has_an_event_of_its_own() {
    let correction = "INSERT INTO corrections (id, corrects, key_prefix, usage_source, at_ms, input_tokens, output_tokens,
                cost_nano_usd, reason, sequence)
            SELECT zeroblob(16), request_id, key_prefix, usage_source, settled_ms, -3, 1, -500, 'tried twice', 49 FROM entries WHERE sequence = 11;";
    let event =
        "INSERT INTO events SELECT workspace, 49, (SELECT at_ms FROM sequences), zeroblob(16), terms, 1
            FROM events WHERE sequence = 11;
        UPDATE sequences SET sequence = 49;";
    // The call is one of the child, which makes two of three.
    let sums = ["rollups", "subtree_rollups"].map(|table| {
        format!(
            "UPDATE {table} SET input_tokens = input_tokens - 3, output_tokens = output_tokens + 1,
                 cost_nano_usd = cost_nano_usd - 500
             WHERE hour = (SELECT settled_ms / 3600000 FROM entries WHERE sequence = 11)
                 AND requests = (SELECT max(requests) FROM {table});"
        )
    });
    let audit = after(&format!("{correction}{event}{}{}", sums[0], sums[1]));
    assert_eq!(audit.differences, []);
    assert_eq!(whats(&after(&format!("{correction}{event}"))).len(), 6, "three numbers in both tables");
    assert!(whats(&after(correction)).contains(&"events"));
    let strangers =
        "UPDATE events SET terms = (SELECT max(id) FROM terms WHERE id != events.terms) WHERE sequence = 49;";
    let audit = after(&format!("{correction}{event}{strangers}{}{}", sums[0], sums[1]));
    assert_eq!(whats(&audit), ["events.terms"], "on the bill of another customer");
}

#[test]
fn differences_without_number_are_told_up_to_a_bound_and_counted() {
    let world = played();
    let rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1500)
        INSERT INTO day_use SELECT n, 'own', 'acme/m1', 20000, 1, 0 FROM n";
    world.sql().execute(rows, []).unwrap();
    let audit = audit_at_rest(world.path()).unwrap();
    assert_eq!((audit.differences.len(), audit.more, audit.count()), (storage::DIFFERENCES_MAX, 500, 1_500));
}

#[test]
fn looking_at_a_store_that_nobody_has_open_leaves_its_files_alone() {
    let world = played();
    let files = || {
        let mut names: Vec<_> =
            std::fs::read_dir(world.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        (names, std::fs::read(world.path().join("tollgate.db")).unwrap())
    };
    let before = files();
    audit_at_rest(world.path()).unwrap();
    assert!(files() == before);
}

#[test]
fn a_directory_that_is_in_use_or_has_no_store_is_not_audited() {
    let world = World::new();
    assert!(matches!(audit_at_rest(world.path()), Err(OpenError::NoStore)));
    let store = world.open();
    assert!(matches!(audit_at_rest(world.path()), Err(OpenError::Locked { .. })));
    drop(store);
    world.sql().pragma_update(None, "user_version", 2).unwrap();
    let refused = audit_at_rest(world.path()).unwrap_err();
    assert!(matches!(refused, OpenError::TooOld { found: 2, .. }), "{refused}");
}

#[test]
fn a_store_from_before_there_were_events_adds_up_once_it_is_brought_up_to_date() {
    let world = World::new();
    let old = world.sql();
    for step in [
        include_str!("../../migrations/0001_first.sql"),
        include_str!("../../migrations/0002_tenants.sql"),
        include_str!("../../migrations/0003_model_configs.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "INSERT INTO config VALUES ('version', 9);
         INSERT INTO workspaces VALUES (1, 'default', 100, 1, NULL, NULL, 1);
         INSERT INTO entries SELECT randomblob(16), settled - 5, settled, 1, '00000000008/00000000007', 'cust', 'tg_one',
             'acme/m1', 'openai', 'gpt', '/v1/chat/completions', 10, 5, 4, 'reported', outcome, status, 3, NULL, 0, NULL,
             7, NULL, NULL
             FROM (SELECT 1727870000000 AS settled, 'completed' AS outcome, 200 AS status
                 UNION ALL SELECT 1727870000001, 'upstream_error', 500);
         INSERT INTO rollups VALUES (8, 'acme/m1', 'tg_one', 'openai', 479963, 2, 20, 10, 8, 14);
         INSERT INTO day_use VALUES (8, 'own', 'acme/m1', 19998, 2, 30), (8, 'subtree', 'acme/m1', 19998, 2, 30),
             (7, 'subtree', 'acme/m1', 19998, 2, 30);
         PRAGMA user_version = 3;",
    )
    .unwrap();
    drop(old);
    let store = world.open();
    // In the same hour, and later.
    for (n, at_ms) in [(1, 1_727_870_000_500), (2, NOON_MS)] {
        let call = on_terms(
            |terms| terms.provider = "openai".into(),
            entry(n, &[GroupId(8), GroupId(7)], at_ms, at_ms),
        );
        record(&store, call);
    }
    wait(store.flush());
    world.close_and_audit(store, 0);
    world.sql().execute("UPDATE subtree_rollups SET requests = 9 WHERE hour = 480012", []).unwrap();
    assert_eq!(audit_at_rest(world.path()).unwrap().count(), 1, "what came later is held to add up");
}

/// A store that serves, with one group that has DAY limits, and a config.
struct Serving {
    world: World,
    engine: Arc<Engine>,
    store: Store,
    group: Arc<Group>,
    config: Arc<ModelConfig>,
    in_flight: Arc<AtomicUsize>,
    watch: Watch,
}

impl Serving {
    fn new() -> Self {
        let (world, engine) = (World::new(), Arc::new(Engine::new()));
        let store =
            Store::open(Options { engine: Arc::clone(&engine), ..options(world.path(), MASTER) }).unwrap();
        let unlimited =
            ModelDraft { rate_limits: Vec::new(), max_concurrent_requests: None, ..model(Some(MUCH)) };
        let group = try_create(&store, GroupDraft { models: vec![unlimited], ..draft(&store, "cust", None) })
            .unwrap();
        put_secret(&store, "KEY", "secret");
        create_endpoint(&store, "acme/m1", "KEY");
        let config = config(&store);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&in_flight);
        let watch = Watch {
            clock: Arc::new(Still),
            in_flight: Arc::new(move || count.load(Ordering::SeqCst)),
            started_at: store.snapshot().version(),
        };
        Self { world, engine, store, group, config, in_flight, watch }
    }

    fn audit(&self) -> Audit {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.store.audit(&self.watch)).unwrap()
    }

    fn path(&self) -> Arc<Path> {
        let (snapshot, slug) = (self.store.snapshot(), slug("acme/m1"));
        let endpoint = snapshot.endpoint_by_slug(&slug).map(|endpoint| &**endpoint);
        let caller = ConfigCaller { group: &self.group, key: None, user: None };
        let spec = self.store.path_spec(&snapshot, PathOf { caller, slug: &slug, endpoint }, NOW);
        self.engine.bind(spec, NOW)
    }

    fn begin(&self) -> Reservation {
        let reservation = match self.engine.reserve(&self.path(), OBSERVED, NOW, None) {
            Decision::Admitted(admission) => Some(admission.reservation),
            Decision::Refused(_) | Decision::Stale => None,
        };
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        reservation.expect("there is room")
    }

    fn end(&self, n: u32, call: Reservation) {
        let entry = entry(n, &[self.group.id], NOON_MS, NOON_MS);
        let lines = self.config.lines().map(|line| (line.id, line.meter)).collect();
        self.engine.settle(call, Size { tokens: entry.usage.total(), usd: entry.cost.unwrap() }, NOW);
        record(&self.store, charged_to(lines, entry));
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn counters_that_hold_what_the_ledger_says_are_no_difference() {
    let serving = Serving::new();
    for n in 0..20 {
        serving.end(n, serving.begin());
    }
    let audit = serving.audit();
    assert_eq!((audit.entries, audit.count(), audit.skipped), (20, 0, 0), "{audit:?}");
}

#[test]
fn a_counter_that_holds_something_else_is_found_once_nothing_is_under_way() {
    let serving = Serving::new();
    serving.end(1, serving.begin());
    // A call that is never written.
    let lost = serving.begin();
    serving.engine.settle(lost, Size { tokens: 7, usd: domain::Usd(9) }, NOW);
    let audit = serving.audit();
    assert_eq!(audit.count(), 0, "one that is still under way may be the cause: {audit:?}");
    assert_eq!(audit.skipped, 5, "two by the day and three lines");
    serving.in_flight.store(0, Ordering::SeqCst);
    let audit = serving.audit();
    assert_eq!((whats(&audit), audit.count(), audit.skipped), (vec!["counter"], 5, 0), "{audit:?}");
    assert!(audit.differences.iter().any(|found| found.expected == "15" && found.found == "22"), "{audit:?}");
}

#[test]
fn a_row_that_was_changed_under_a_running_gateway_is_found_on_disk_and_in_memory() {
    let serving = Serving::new();
    serving.end(1, serving.begin());
    wait(serving.store.flush());
    serving.world.sql().execute("UPDATE day_use SET tokens = 1 WHERE scope = 'own'", []).unwrap();
    let audit = serving.audit();
    assert_eq!(whats(&audit), ["counter", "day_use own.tokens", "memory"]);
}

#[test]
fn a_limit_that_was_declared_while_a_call_was_under_way_is_not_held_to_know_of_it() {
    let mut serving = Serving::new();
    serving.end(1, serving.begin());
    let call = serving.begin();
    let without = GroupPatch { name: None, models: Some(vec![model(None)]) };
    let (home, id) = (serving.group.workspace, serving.group.id);
    wait(serving.store.edit(NOW, move |cx| domain::edit::group::update(cx, home, id, without))).unwrap();
    serving.group = declare_day(&serving.store, &serving.group, 1_000);
    drop(serving.path());
    serving.end(2, call);
    let audit = serving.audit();
    assert_eq!((audit.count(), audit.skipped), (0, 2), "{audit:?}");
    serving.watch.started_at = Version(u64::MAX);
    assert_eq!(serving.audit().count(), 2, "had it been there all the time");
}

#[test]
fn an_audit_among_calls_and_edits_says_nothing_false() {
    let serving = Serving::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..2_u32 {
            let (serving, done) = (&serving, &done);
            scope.spawn(move || {
                let mut n = caller * 1_000_000;
                while !done.load(Ordering::SeqCst) {
                    serving.end(n, serving.begin());
                    n += 1;
                    // So that the ledger keeps up.
                    if n % 16 == 0 {
                        wait(serving.store.flush());
                    }
                }
            });
        }
        for _ in 0..3 {
            let (home, line) = (serving.config.workspace, serving.config.budgets[0].id);
            wait(serving.store.edit(NOW, move |cx| model_config::reset_budget(cx, home, line))).unwrap();
            let audit = serving.audit();
            assert_eq!(audit.differences, [], "{audit:?}");
        }
        done.store(true, Ordering::SeqCst);
    });
    let audit = serving.audit();
    assert_eq!((audit.count(), audit.skipped), (0, 0), "{audit:?}");
}
