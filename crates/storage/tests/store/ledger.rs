//! What is booked is booked once, and its sums are right.

use std::sync::Arc;

use domain::{Day, Enforcement, GroupId, Now, Outcome, RequestId, UsageSource};
use storage::{EditError, LEDGER_PENDING_MAX, LedgerLine, Store, Use, UseScope};

use crate::world::*;

const TODAY: Day = Day(20_000);

fn used(store: &Store, group: GroupId, scope: UseScope) -> Use {
    store.used_today(group, scope, &slug("acme/m1"), TODAY)
}

#[test]
fn an_entry_recorded_twice_counts_once() {
    let world = World::new();
    let store = world.open();
    let group = [GroupId(7)];
    book(&store, 1, &group);
    book(&store, 1, &group);
    for _ in 0..2 {
        record(&store, entry(2, &group, NOON_MS, NOON_MS));
    }
    wait(store.flush());
    assert_eq!(used(&store, group[0], UseScope::Own), Use { requests: 2, tokens: 30 });
    store.close();
    assert_eq!(world.number("SELECT count(*) FROM entries"), 2);
    assert_eq!(world.number("SELECT sum(requests) FROM rollups"), 2);
    assert_eq!(used(&world.open(), group[0], UseScope::Own), Use { requests: 2, tokens: 30 });
}

#[test]
fn an_entry_is_read_back_as_it_was_written_once_it_is_on_disk() {
    let world = World::new();
    let store = world.open();
    let groups = [GroupId(1), GroupId(u64::MAX)];
    let mut all = Vec::new();
    for (n, outcome) in (1..).zip(Outcome::ALL) {
        let mut written = entry(n, &groups, NOON_MS, NOON_MS + 7);
        (written.outcome, written.upstream_status) = (outcome, (n > 1).then_some(529));
        (written.usage.source, written.first_byte_ms) = (UsageSource::Estimated, (n > 2).then_some(3));
        written.metadata = written.metadata.filter(|_| n > 3);
        written.user = written.user.filter(|_| n > 1);
        let terms = Arc::make_mut(&mut written.terms);
        terms.price = terms.price.take().filter(|_| n > 2);
        terms.lines = terms.lines.iter().copied().take(n as usize).collect();
        written.cost = written.cost.filter(|_| n > 2);
        record(&store, written.clone());
        all.push(written);
    }
    wait(store.flush());
    for (n, written) in (1_u64..).zip(all) {
        let line = wait(store.entry(written.request_id)).unwrap().unwrap();
        let expected = LedgerLine {
            request_id: written.request_id,
            admitted_ms: NOON_MS,
            settled_ms: NOON_MS + 7,
            workspace: written.terms.workspace,
            groups: groups.to_vec(),
            external_entity_id: "cust".into(),
            key_prefix: "tg_1234567".into(),
            slug: slug("acme/m1"),
            provider: "OPENAI_COMPATIBLE".into(),
            upstream_model: "llama".into(),
            route: "/v1/chat/completions".into(),
            attempts: 1,
            usage: written.usage,
            outcome: written.outcome,
            upstream_status: written.upstream_status,
            first_byte_ms: written.first_byte_ms,
            metadata: written.metadata.map(String::from),
            user: written.user.as_deref().map(str::to_owned),
            cost: written.cost,
            price: written.terms.price.as_deref().cloned(),
            lines: written.terms.lines.to_vec(),
            sequence: Some(n),
        };
        assert_eq!(line, expected);
    }
    let last = wait(store.last_entries(2)).unwrap();
    assert_eq!(last.len(), 2, "newest first, and no more than were asked for");
    assert!(last[0].request_id > last[1].request_id);
    let after = wait(store.entries_after(last[1].request_id, 9)).unwrap();
    assert_eq!(after, last[..1], "those behind it, in the order of ids");
    let first = wait(store.entries_after(RequestId::new(0, [0; 10]), 1)).unwrap();
    assert!(first.len() == 1 && first[0].request_id < last[1].request_id);
    let nobodys = entry(99, &groups, NOON_MS, NOON_MS).request_id;
    assert_eq!(wait(store.entry(nobodys)).unwrap(), None);
    let other = store.clone();
    store.close();
    assert!(wait(other.entry(nobodys)).is_err(), "a closed store says so");
}

#[test]
fn a_call_counts_for_its_group_and_for_the_subtree_of_every_ancestor() {
    let world = World::new();
    let store = world.open();
    let (child, parent, root) = (GroupId(1), GroupId(2), GroupId(u64::MAX));
    book(&store, 1, &[child, parent, root]);
    book(&store, 2, &[parent, root]);
    let check = |store: &Store| {
        let requests = |group, scope| used(store, group, scope).requests;
        assert_eq!([child, parent, root].map(|group| requests(group, UseScope::Own)), [1, 1, 0]);
        assert_eq!([child, parent, root].map(|group| requests(group, UseScope::Subtree)), [1, 2, 2]);
    };
    check(&store);
    store.close();
    check(&world.open());
}

#[test]
fn requests_belong_to_the_day_of_admission_and_tokens_to_that_of_settlement() {
    let world = World::new();
    let store = world.open();
    let midnight = TODAY.end_ms();
    record(&store, entry(1, &[GroupId(1)], midnight - 1, midnight));
    wait(store.flush());
    let used = |day| store.used_today(GroupId(1), UseScope::Own, &slug("acme/m1"), day);
    assert_eq!(used(TODAY), Use { requests: 1, tokens: 0 });
    assert_eq!(used(Day(TODAY.0 + 1)), Use { requests: 0, tokens: 15 });
}

#[test]
fn an_entry_keeps_all_its_fields() {
    let world = World::new();
    let store = world.open();
    book(&store, 1, &[GroupId(1), GroupId(2)]);
    store.close();
    let row = world.sql().query_row("SELECT * FROM entries", [], |row| {
        let columns = row.as_ref().column_count();
        let values: Vec<rusqlite::types::Value> =
            (1..columns).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        Ok(format!("{values:?}"))
    });
    let row = row.unwrap();
    for part in [
        "Integer(1728043200000)",
        "tg_1234567",
        "/v1/chat/completions",
        "Integer(10), Integer(5), Integer(4)",
        "reported",
        "completed",
        "Integer(200), Integer(12)",
        "ticket",
    ] {
        assert!(row.contains(part), "{part} in {row}");
    }
}

#[test]
fn hourly_sums_are_kept_by_group_slug_key_and_provider() {
    let world = World::new();
    let store = world.open();
    for (n, at_ms) in [(1, NOON_MS), (2, NOON_MS + 1), (3, NOON_MS + 3_600_000)] {
        record(&store, entry(n, &[GroupId(1), GroupId(2)], at_ms, at_ms));
    }
    store.close();
    let rows =
        "SELECT group_concat(hour || ':' || requests || '/' || input_tokens || '/' || output_tokens || '/' ||
                cached_tokens, ' ') FROM (SELECT * FROM rollups WHERE group_id = 1 ORDER BY hour)";
    let rows: String = world.sql().query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, "480012:2/20/10/8 480013:1/10/5/4");
    assert_eq!(world.number("SELECT count(*) FROM rollups WHERE group_id = 2"), 0);
}

#[test]
fn sums_too_large_to_count_stay_at_the_most_there_is() {
    let world = World::new();
    let store = world.open();
    for n in 0..3 {
        let mut entry = entry(n, &[GroupId(1)], NOON_MS, NOON_MS);
        (entry.usage.input, entry.usage.output) = (u64::MAX, 1 << 62);
        record(&store, entry);
        wait(store.flush());
    }
    world.close_and_audit(store, 0);
    assert_eq!(world.number("SELECT tokens FROM day_use WHERE scope = 'own'"), i64::MAX);
    assert_eq!(world.number("SELECT output_tokens FROM rollups"), i64::MAX);
}

#[test]
fn a_day_limit_that_is_declared_later_opens_with_what_its_owner_used() {
    for (enforcement, expected) in [(Enforcement::Independent, (1, 15)), (Enforcement::Cascading, (3, 45))] {
        let world = World::new();
        let store = world.open();
        let (root, child) = family(&store, enforcement);
        assert_eq!(world.number("SELECT count(*) FROM openings"), 0);
        book(&store, 1, &[root.id]);
        book(&store, 2, &[child.id, root.id]);
        // Recorded and not waited for: the edit comes after it all the same.
        record(&store, entry(3, &[child.id, root.id], NOON_MS, NOON_MS));
        let declared = declare_day(&store, &root, 1_000);
        let opening = |kind: &str| {
            let sql = format!(
                "SELECT used FROM openings WHERE type = '{kind}' AND day = 20000 AND slug = 'acme/m1'
                 AND version = {} AND at_ms = {NOON_MS}",
                store.snapshot().version().0
            );
            world.number(&sql)
        };
        assert_eq!((opening("REQUEST"), opening("TOKEN")), expected, "{enforcement:?}");

        declare_day(&store, &declared, 2_000);
        assert_eq!(world.number("SELECT count(*) FROM openings"), 2, "a new threshold opens nothing");
    }
}

#[test]
fn use_of_other_days_opens_nothing() {
    let world = World::new();
    let store = world.open();
    let (root, _) = family(&store, Enforcement::Independent);
    record(&store, entry(1, &[root.id], NOON_MS - DAY_MS, NOON_MS - DAY_MS));
    declare_day(&store, &root, 1_000);
    assert_eq!(world.number("SELECT count(*) FROM openings"), 0);
}

#[test]
fn whether_a_slug_was_ever_used_is_known_for_good() {
    let world = World::new();
    let store = world.open();
    record(&store, entry(1, &[GroupId(1), GroupId(2)], NOON_MS - 90 * DAY_MS, NOON_MS - 90 * DAY_MS));
    store.close();
    let store = world.open();
    let ever = |group, scope, name| wait(store.ever_used(GroupId(group), scope, &slug(name))).unwrap();
    assert!(ever(1, UseScope::Own, "acme/m1"));
    assert!(ever(2, UseScope::Subtree, "acme/m1"));
    assert!(!ever(2, UseScope::Own, "acme/m1"));
    assert!(!ever(1, UseScope::Own, "acme/m2"));
}

#[test]
fn the_latest_time_in_the_ledger_is_known_at_open() {
    let world = World::new();
    let store = world.open();
    assert_eq!(store.last_recorded_ms(), 0);
    for (n, at_ms) in [(1, NOON_MS + 5), (2, NOON_MS)] {
        record(&store, entry(n, &[GroupId(1)], at_ms, at_ms));
        wait(store.flush());
    }
    store.close();
    assert_eq!(world.open().last_recorded_ms(), NOON_MS + 5);
}

#[test]
fn a_start_on_another_day_forgets_the_day_before() {
    let world = World::new();
    book(&world.open(), 1, &[GroupId(1)]);
    let tomorrow = Now { mono_ns: 0, wall_ms: NOON_MS + DAY_MS };
    let store = world.try_open(MASTER, tomorrow).unwrap();
    assert_eq!(used(&store, GroupId(1), UseScope::Own), Use::default());
}

#[test]
fn permits_are_bounded_and_come_back() {
    let world = World::new();
    let store = world.open();
    let mut permits: Vec<_> = std::iter::from_fn(|| store.permit()).collect();
    assert_eq!(permits.len(), LEDGER_PENDING_MAX);
    permits.pop();
    let one = store.permit().unwrap();
    assert!(store.permit().is_none());
    one.record(entry(1, &[GroupId(1)], NOON_MS, NOON_MS));
    wait(store.flush());
    assert!(store.permit().is_some(), "an entry on disk gives its room back");
}

#[test]
fn a_permit_keeps_the_store_open_until_it_is_used() {
    let world = World::new();
    let store = world.open();
    let permit = store.permit().unwrap();
    drop(store);
    permit.record(entry(1, &[GroupId(1)], NOON_MS, NOON_MS));
    assert_eq!(used(&world.open(), GroupId(1), UseScope::Own).requests, 1);
}

#[test]
fn closing_waits_for_a_permit_that_is_about_to_be_used() {
    let world = World::new();
    let store = world.open();
    let permit = store.permit().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| store.clone().close());
        while store.permit().is_some() {}
        permit.record(entry(1, &[GroupId(1)], NOON_MS, NOON_MS));
    });
    assert_eq!(world.number("SELECT count(*) FROM entries"), 1);
    assert_eq!(
        wait(store.edit(NOW, |_| -> Result<(_, ()), _> { unreachable!() })),
        Err(EditError::Unavailable)
    );
}

#[test]
fn a_disk_that_refuses_stops_admission_and_loses_nothing() {
    let world = World::new();
    let store = world.open();
    let spare = store.permit().unwrap();
    world.sql().execute_batch("ALTER TABLE entries RENAME TO away").unwrap();
    record(&store, entry(1, &[GroupId(1)], NOON_MS, NOON_MS));
    while store.permit().is_some() {}
    let edit = try_create(&store, draft(&store, "cust", None));
    assert_eq!(edit, Err(EditError::Unavailable));
    spare.record(entry(2, &[GroupId(1)], NOON_MS, NOON_MS));
    assert_eq!(used(&store, GroupId(1), UseScope::Own), Use::default(), "only what is on disk counts");

    world.sql().execute_batch("ALTER TABLE away RENAME TO entries").unwrap();
    wait(store.flush());
    assert_eq!(used(&store, GroupId(1), UseScope::Own).requests, 2);
    assert!(store.permit().is_some());
    create(&store, "cust");
}

#[test]
fn the_numbers_tell_what_is_promised_what_is_written_and_whether_more_can_be() {
    let world = World::new();
    let store = world.open();
    let group = [GroupId(7)];
    let promised = store.permit().unwrap();
    for n in 1..=3 {
        book(&store, n, &group);
    }
    wait(store.flush());
    let numbers = store.numbers();
    assert_eq!((numbers.ledger_pending, numbers.ledger_entries), (1, 3));
    assert_eq!(numbers.ledger_pending_max, LEDGER_PENDING_MAX);
    assert!(numbers.ledger_writable);
    drop(promised);
    assert_eq!(store.numbers().ledger_pending, 0);
    let watched = store.clone();
    store.close();
    assert!(!watched.numbers().ledger_writable, "a ledger that is closed takes nothing");
}
