//! Sums come to the disk later than their entries, and nobody who reads them can tell.

use std::sync::Arc;

use domain::{GroupId, LineId, Meter, ModelConfig, RequestId, SignedUsd};
use proptest::prelude::*;
use storage::{
    BackupOrder, BillChange, CorrectionDraft, History, HistoryPlace, HistoryQuery, Step, Store, UsageBy,
    UsageSums, UseScope, audit_at_rest, restore,
};

use crate::line_use::{config, reset_budget, used};
use crate::recovery::copy_books;
use crate::world::*;

const HOUR_MS: u64 = 3_600_000;
/// A group that no call is of.
const NOBODY: GroupId = GroupId(u64::MAX);

/// Waits until everything recorded is on the disk, and lets the sums wait.
fn settle(store: &Store) {
    wait(store.ever_used(NOBODY, UseScope::Own, &slug("acme/m1"))).unwrap();
}

/// A group in a tree of its own.
fn tree(n: u64) -> [GroupId; 2] {
    [GroupId(n * 2 + 10), GroupId(n * 2 + 11)]
}

fn history(store: &Store, group: GroupId) -> UsageSums {
    let from = HistoryPlace { hour: 0, after: None };
    let (subtree, step, by) = (true, Step::Day, UsageBy::All);
    let query = HistoryQuery { group, subtree, step, by, from, until_hour: u64::MAX, most: 100 };
    let History::Page { rows, rest: None } = wait(store.history(query)).unwrap() else {
        unreachable!("there is little")
    };
    rows.iter().fold(UsageSums::default(), |sums, row| sums.plus(row.sums))
}

/// What a process leaves behind that is killed now.
fn killed(world: &World) -> World {
    let image = World::new();
    copy_books(world, &image);
    image
}

/// Audits a directory as it lies there.
fn audited(world: &World) -> u64 {
    let audit = audit_at_rest(world.path()).unwrap();
    assert_eq!(audit.differences, [], "{audit:?}");
    audit.entries
}

#[test]
fn a_start_adds_to_the_sums_what_a_killed_process_had_not_come_to_and_adds_it_once() {
    let world = World::new();
    let store = world.open();
    for n in 0..80 {
        record(&store, entry(n, &tree(u64::from(n % 10)), NOON_MS, NOON_MS));
        settle(&store);
    }
    let image = killed(&world);
    let summed = image.number("SELECT sum(requests) FROM rollups");
    assert!((1..80).contains(&summed), "or nothing is tried here: {summed}");
    assert_eq!(audited(&image), 80, "what waits is no difference");
    for _ in 0..2 {
        let again = image.open();
        assert_eq!(history(&again, tree(3)[1]).requests, 8);
        let day = domain::Day::of(NOON_MS);
        assert_eq!(again.used_today(tree(3)[1], UseScope::Subtree, &slug("acme/m1"), day).requests, 8);
        image.close_and_audit(again, 0);
        assert_eq!(image.number("SELECT sum(requests) FROM rollups"), 80);
        assert_eq!(image.number("SELECT count(*) FROM unsummed"), 0);
    }
    world.close_and_audit(store, 0);
}

#[test]
fn whoever_asks_is_told_of_every_call_that_was_recorded_before() {
    let world = World::new();
    let store = world.open();
    for n in 0..10 {
        record(&store, entry(n, &tree(1), NOON_MS, NOON_MS));
        let told = [tree(1)[0], tree(1)[1]].map(|group| history(&store, group).requests);
        assert_eq!(told, [u64::from(n) + 1; 2]);
    }
    record(&store, entry(10, &tree(2), NOON_MS, NOON_MS));
    assert!(wait(store.ever_used(tree(2)[1], UseScope::Subtree, &slug("acme/m1"))).unwrap());
    record(&store, entry(11, &tree(3), NOON_MS, NOON_MS));
    wait(store.flush());
    assert_eq!(world.number("SELECT sum(requests) FROM rollups"), 12);
}

#[test]
fn sums_that_nobody_asks_for_are_written_in_turn_with_later_batches() {
    let world = World::new();
    let store = world.open();
    for n in 0..100 {
        record(&store, entry(n, &tree(0), NOON_MS, NOON_MS));
        settle(&store);
    }
    let [sums, waiting] = ["SELECT sum(requests) FROM rollups", "SELECT count(*) FROM unsummed"];
    let (summed, waiting) = (world.number(sums), world.number(waiting));
    assert!(summed >= 30, "after a round of drawers there is something: {summed}");
    assert!((1..=64).contains(&waiting), "and no batch waits for longer than a round: {waiting}");
}

#[test]
fn a_copy_that_was_made_while_sums_waited_adds_up_once_it_is_put_back() {
    let (world, beside) = (World::new(), tempfile::tempdir().unwrap());
    let store = world.open();
    (0..20).for_each(|n| record(&store, entry(n, &tree(u64::from(n)), NOON_MS, NOON_MS)));
    settle(&store);
    let (copy, back) = (beside.path().join("copy"), World { dir: tempfile::tempdir().unwrap() });
    let order = |to| BackupOrder { to, with_master_key: false, program: "0.1.0".into(), now_ms: NOON_MS };
    wait(store.backup(order(copy.clone()))).unwrap();
    restore(&copy, back.path()).unwrap();
    assert_eq!(audited(&back), 20);
    assert_eq!(history(&back.open(), tree(7)[0]).requests, 1);
}

#[test]
fn what_retention_takes_out_and_what_is_corrected_is_in_the_sums_first() {
    let world = World::new();
    let store = world.open();
    let calls: Vec<_> = (0..20).map(|n| entry(n, &tree(u64::from(n) % 2), NOON_MS, NOON_MS)).collect();
    calls.iter().cloned().for_each(|call| record(&store, call));
    let change = BillChange { input: 1, output: 0, cost: None };
    let (workspace, corrects) = (calls[0].terms.workspace, calls[0].request_id);
    let draft = CorrectionDraft { workspace, corrects, change, reason: "tried twice".into() };
    wait(store.correct(NOW, draft, |_| true)).unwrap();
    audited(&killed(&world));
    (20..30).for_each(|n| record(&store, entry(n, &tree(0), NOON_MS, NOON_MS)));
    let later = domain::Now { mono_ns: 0, wall_ms: NOON_MS + 3 * DAY_MS };
    assert_eq!(wait(store.prune(later, 1)).unwrap().lines, 31);
    let (image, after) = (killed(&world), |store: &Store| [0, 1].map(|n| history(store, tree(n)[1])));
    let sums = after(&image.open());
    assert_eq!(sums.map(|sums| (sums.requests, sums.input)), [(20, 201), (10, 100)]);
    assert_eq!(after(&store), sums);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// Calls of one caller, in a batch of their own, so many hours after those before.
    Calls {
        caller: u64,
        calls: u32,
        hours: u64,
    },
    /// So many batches of one call.
    Batches(u32),
    /// The same call once more.
    Again,
    Ask(u64),
    Flush,
    Reset,
    Correct,
    Prune,
    Kill,
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..6_u64, 1..5_u32, 0..4_u64).prop_map(|(caller, calls, hours)| Act::Calls { caller, calls, hours }),
        2 => (1..30_u32).prop_map(Act::Batches),
        1 => Just(Act::Again),
        2 => (0..6_u64).prop_map(Act::Ask),
        1 => Just(Act::Flush),
        1 => Just(Act::Reset),
        1 => Just(Act::Correct),
        1 => Just(Act::Prune),
        3 => Just(Act::Kill),
        1 => Just(Act::Close),
    ]
}

/// A store, and what was done to it.
struct Played {
    world: World,
    store: Option<Store>,
    config: Arc<ModelConfig>,
    lines: Arc<[(LineId, Meter)]>,
    calls: u32,
    /// Hours after noon.
    hours: u64,
    /// Calls by their callers.
    by: [u64; 6],
    last: Option<domain::Entry>,
}

impl Played {
    fn new() -> Self {
        let world = World::new();
        let store = world.open();
        let config = config(&store, &[(1 << 40, "1h"), (1 << 40, "1M")]);
        let lines = config.lines().map(|line| (line.id, line.meter)).collect();
        Self { world, store: Some(store), config, lines, calls: 0, hours: 0, by: [0; 6], last: None }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn call(&mut self, caller: u64) {
        let at_ms = NOON_MS + self.hours * HOUR_MS;
        let call = entry(self.calls, &tree(caller), at_ms, at_ms + 90_000);
        let call = charged_to(Arc::clone(&self.lines), call);
        self.last = Some(call.clone());
        record(self.store(), call);
        self.calls += 1;
        self.by[usize::try_from(caller).unwrap()] += 1;
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Calls { caller, calls, hours } => {
                self.hours += hours;
                (0..calls).for_each(|_| self.call(caller));
                settle(self.store());
            }
            Act::Batches(batches) => {
                for n in 0..batches {
                    self.call(u64::from(n % 6));
                    settle(self.store());
                }
            }
            Act::Again => {
                // What was pruned is not known any more.
                let last = self.last.iter().filter(|last| last.settled.wall_ms > NOON_MS + 2 * HOUR_MS);
                last.cloned().for_each(|last| record(self.store(), last));
                settle(self.store());
            }
            Act::Ask(caller) => {
                let asked = history(self.store(), tree(caller)[1]);
                assert_eq!(asked.requests, self.by[usize::try_from(caller).unwrap()]);
            }
            Act::Flush => wait(self.store().flush()),
            Act::Reset => reset_budget(self.store(), &self.config, 1),
            Act::Correct => self.correct(),
            // Of noon, and of nothing after it.
            Act::Prune => {
                let now = domain::Now { mono_ns: 0, wall_ms: NOON_MS + DAY_MS + HOUR_MS };
                wait(self.store().prune(now, 1)).unwrap();
            }
            Act::Kill => self.kill(),
            Act::Close => {
                self.store.take().unwrap().close();
                audited(&self.world);
                self.store = Some(self.world.open());
            }
        }
    }

    fn correct(&self) {
        let Some(last) = &self.last else { return };
        let change = BillChange { input: 1, output: 2, cost: Some(SignedUsd(5)) };
        let id: RequestId = last.request_id;
        let workspace = last.terms.workspace;
        let draft = CorrectionDraft { workspace, corrects: id, change, reason: "tried twice".into() };
        // It may have been pruned, or corrected too often.
        let _ = wait(self.store().correct(NOW, draft, |_| true));
    }

    /// What is found at any moment adds up, before a start and after it, and memory is what it was.
    fn kill(&mut self) {
        settle(self.store());
        let (image, before) = (killed(&self.world), used(self.store(), &self.config));
        self.store.take().unwrap().close();
        audited(&image);
        let store = image.open();
        assert_eq!(used(&store, &self.config), before);
        store.close();
        audited(&image);
        self.store = Some(image.open());
        self.world = image;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_batches_questions_edits_and_kills_sums_are_those_of_the_entries(
        acts in proptest::collection::vec(act(), 1..30),
    ) {
        let mut played = Played::new();
        acts.into_iter().for_each(|act| played.act(act));
        played.act(Act::Kill);
        for caller in 0..6 {
            played.act(Act::Ask(caller));
        }
    }
}
