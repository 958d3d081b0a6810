//! What is old leaves the ledger, and what is left still adds up.

use domain::{GroupId, Now, RequestId, SignedUsd, WorkspaceId};
use storage::{
    BillChange, CorrectionDraft, EventFilter, EventSpan, History, HistoryPlace, HistoryQuery, NotCorrected,
    Pruned, Step, Store, UsageBy, UseChange,
};

use crate::line_use::{charge, config, used};
use crate::world::*;

const OURS: WorkspaceId = WorkspaceId(1);
const HOUR_MS: u64 = 3_600_000;

/// Takes out what ended more than two days ago, as far as one batch goes.
fn prune(store: &Store, now_ms: u64) -> Pruned {
    wait(store.prune(Now { mono_ns: 0, wall_ms: now_ms }, 2)).unwrap()
}

fn correct(store: &Store, call: RequestId, at_ms: u64) -> Result<u64, NotCorrected> {
    let change = BillChange { input: -1, output: 0, cost: Some(SignedUsd(-5)) };
    let draft = CorrectionDraft { workspace: OURS, corrects: call, change, reason: "twice".into() };
    let now = Now { mono_ns: 0, wall_ms: at_ms };
    wait(store.correct(now, draft, |_| true)).map(|made| made.sequence)
}

fn sequences(store: &Store, filter: EventFilter) -> Vec<u64> {
    let page = wait(store.event_page(OURS, EventSpan::After(0), filter, 1_000)).unwrap();
    assert_eq!(page.rest, None);
    page.events.iter().map(|event| event.sequence).collect()
}

#[test]
fn calls_go_with_their_events_and_sums_stay() {
    let world = World::new();
    let store = world.open();
    let (old, new) = (NOON_MS, NOON_MS + 3 * DAY_MS);
    for (n, at_ms) in [(1, old), (2, old + 1), (3, new)] {
        record(&store, entry(n, &[GroupId(1), GroupId(2)], at_ms, at_ms));
    }
    let mut failed = entry(4, &[GroupId(1)], old, old);
    (failed.upstream_status, failed.usage.input, failed.usage.output) = (Some(500), 0, 0);
    record(&store, failed);
    wait(store.flush());
    assert_eq!(prune(&store, old + 2 * DAY_MS), Pruned::default(), "two days are kept, and whole hours");
    assert_eq!(prune(&store, new), Pruned { lines: 3, more: false });
    let of =
        |name: &str| EventFilter { external_entity_ids: vec![name.to_owned()], ..EventFilter::default() };
    assert_eq!(
        (sequences(&store, EventFilter::default()), sequences(&store, of("cust"))),
        (vec![3], vec![3])
    );
    let since = EventSpan::Time { start_ms: 0, end_ms: u64::MAX };
    let page = wait(store.event_page(OURS, since, EventFilter::default(), 9)).unwrap();
    assert_eq!(page.events.len(), 1, "a window that begins before what is left");
    assert_eq!(wait(store.entry(entry(1, &[], old, old).request_id)).unwrap(), None);
    assert_eq!(world.number("SELECT count(*) FROM entries"), 1);
    assert_eq!(
        world.number("SELECT value FROM config WHERE name = 'pruned_ms'"),
        i64::try_from(old + 1).unwrap()
    );
    let query = HistoryQuery {
        group: GroupId(1),
        subtree: false,
        step: Step::Day,
        by: UsageBy::All,
        from: HistoryPlace { hour: 0, after: None },
        until_hour: u64::MAX,
        most: 9,
    };
    let History::Page { rows, rest: None } = wait(store.history(query)).unwrap() else { panic!("one page") };
    assert_eq!(rows.iter().map(|row| row.sums.requests).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(prune(&store, new + 3 * DAY_MS).lines, 1);
    record(&store, entry(5, &[GroupId(1)], new, new));
    wait(store.flush());
    assert_eq!(sequences(&store, of("cust")), [4], "the order goes on where it was");
    assert_eq!(world.number("SELECT count(*) FROM event_blocks"), 1);
}

#[test]
fn more_than_a_batch_goes_batch_by_batch_and_leaves_nothing_behind() {
    let world = World::new();
    let store = world.open();
    for n in 0..2_500_u32 {
        let external = if n % 2 == 0 { "even" } else { "odd" };
        record(
            &store,
            on_terms(
                |terms| terms.external_entity_id = external.into(),
                entry(n, &[GroupId(1)], NOON_MS, NOON_MS),
            ),
        );
    }
    wait(store.flush());
    let later = NOON_MS + 3 * DAY_MS;
    let batches: Vec<_> =
        std::iter::from_fn(|| Some(prune(&store, later)).filter(|pruned| pruned.lines > 0)).collect();
    assert_eq!(
        batches.iter().map(|pruned| (pruned.lines, pruned.more)).collect::<Vec<_>>(),
        [(1_000, true), (1_000, true), (500, false)]
    );
    for table in ["entries", "events", "event_blocks"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(world.number("SELECT sum(requests) FROM rollups"), 2_500);
}

#[test]
fn a_correction_stays_as_long_as_a_call_of_its_time() {
    let world = World::new();
    let store = world.open();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    record(&store, call.clone());
    assert_eq!(correct(&store, call.request_id, NOON_MS + DAY_MS), Ok(2));
    assert_eq!(prune(&store, NOON_MS + 2 * DAY_MS + HOUR_MS).lines, 1);
    let events = wait(store.billing_events(OURS, 1, 9)).unwrap();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((event.sequence, event.corrects, event.input), (2, Some(call.request_id), -1));
    assert_eq!(
        (&*event.key_prefix, &*event.external_entity_id),
        ("tg_1234567", "cust"),
        "though its call is gone"
    );
    assert_eq!(event.metadata, None);
    assert_eq!(correct(&store, call.request_id, NOON_MS + 2 * DAY_MS), Err(NotCorrected::NoSuchCall));
    assert_eq!(prune(&store, NOON_MS + 3 * DAY_MS + HOUR_MS).lines, 1);
    assert_eq!(world.number("SELECT count(*) FROM corrections"), 0);
}

#[test]
fn what_a_line_has_used_is_still_what_its_entries_and_openings_say() {
    let world = World::new();
    let store = world.open();
    let config = config(&store, &[(1, "1d"), (1, "1Y")]);
    for (n, at_ms) in [(1, NOON_MS), (2, NOON_MS + 60_000), (3, NOON_MS + 3 * DAY_MS)] {
        charge(&store, n, &config, at_ms, at_ms);
    }
    let before = used(&store, &config);
    assert_eq!(prune(&store, NOON_MS + 3 * DAY_MS).lines, 2);
    assert_eq!(used(&store, &config), before);
    let opened = |line| {
        let edits = wait(store.line_edits(line, 9)).unwrap();
        edits.iter().map(|edit| (edit.change, edit.at_ms)).collect::<Vec<_>>()
    };
    let [day, year] = [0, 1].map(|nth| config.budgets[nth].id);
    assert_eq!(opened(day), [], "its day is over, so nothing of it is in the sum");
    let [(UseChange::Opened(150_000), at_ms)] = opened(year)[..] else { panic!("{:?}", opened(year)) };
    assert!(at_ms <= NOON_MS, "in the period that it is about: {at_ms}");
    assert_eq!(prune(&store, NOON_MS + 6 * DAY_MS).lines, 1);
    assert_eq!(opened(year).len(), 1);
    assert_eq!(opened(year)[0].0, UseChange::Opened(225_000), "added to the same one");
    store.close();
    assert_eq!(used(&world.open(), &config)[3], 225_000);
}
