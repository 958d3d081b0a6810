//! Billing events come back in their order, whole, and only those that were asked for.

use domain::{BillingEvent, GroupId, SignedUsd, WorkspaceId};
use storage::{EventFilter, EventPage, EventSpan, EventWindow, Store};

use crate::world::*;

const OURS: WorkspaceId = WorkspaceId(1);
const NONE: [u64; 0] = [];
const ALWAYS: EventSpan = EventSpan::Time { start_ms: 0, end_ms: u64::MAX };

/// One event at each of these moments.
fn billed(store: &Store, times: &[u64]) {
    for (n, at_ms) in (0..).zip(times) {
        record(store, entry(n, &[GroupId(1)], *at_ms, *at_ms));
    }
    wait(store.flush());
}

fn page(store: &Store, span: EventSpan, filter: &EventFilter, most: u16) -> EventPage {
    wait(store.event_page(OURS, span, filter.clone(), most)).unwrap()
}

fn sequences(events: &[BillingEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

/// All events of a span, and how many pages they took.
fn all(store: &Store, span: EventSpan, filter: &EventFilter, most: u16) -> (Vec<u64>, usize) {
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut span = Some(span);
    while let Some(asked) = span {
        let page = page(store, asked, filter, most);
        assert!(page.events.len() <= usize::from(most));
        seen.extend(sequences(&page.events));
        span = page.rest.map(EventSpan::Window);
        pages += 1;
    }
    (seen, pages)
}

#[test]
fn an_event_tells_what_its_entry_says() {
    let world = World::new();
    let store = world.open();
    let written = entry(1, &[GroupId(1), GroupId(2)], NOON_MS, NOON_MS + 7);
    record(&store, written.clone());
    wait(store.flush());
    let events = wait(store.billing_events(OURS, 1, 10)).unwrap();
    let expected = BillingEvent {
        sequence: 1,
        at_ms: NOON_MS + 7,
        line: written.request_id,
        corrects: None,
        metadata: written.metadata,
        slug: slug("acme/m1"),
        external_entity_id: "cust".into(),
        key_prefix: "tg_1234567".into(),
        input: 10,
        output: 5,
        cached: 4,
        source: written.usage.source,
        cost: Some(SignedUsd(75_000)),
    };
    assert_eq!(events, [expected]);
    assert_eq!(wait(store.billing_events(OURS, 2, 10)).unwrap(), []);
    assert_eq!(wait(store.billing_events(WorkspaceId(2), 1, 10)).unwrap(), [], "each workspace has its own");
}

#[test]
fn a_span_of_time_has_its_first_moment_and_not_its_last() {
    let world = World::new();
    let store = world.open();
    billed(&store, &[10, 20, 20, 30, 40]);
    let found = |start_ms, end_ms| {
        let span = EventSpan::Time { start_ms, end_ms };
        sequences(&page(&store, span, &EventFilter::default(), 9).events)
    };
    assert_eq!(found(20, 40), [2, 3, 4]);
    assert_eq!(found(0, 11), [1]);
    assert_eq!(found(11, 20), NONE);
    assert_eq!(found(41, u64::MAX), NONE);
    assert_eq!(found(40, u64::MAX), [5]);
    assert_eq!(found(30, 20), NONE, "an end before the start");
    let after =
        |sequence| sequences(&page(&store, EventSpan::After(sequence), &EventFilter::default(), 9).events);
    assert_eq!(after(0), [1, 2, 3, 4, 5]);
    assert_eq!(after(3), [4, 5]);
    assert_eq!(after(u64::MAX), NONE);
}

#[test]
fn the_pages_of_a_window_hold_every_event_once_and_none_that_came_later() {
    let world = World::new();
    let store = world.open();
    billed(&store, &[10, 20, 20, 30, 40]);
    let first = page(&store, ALWAYS, &EventFilter::default(), 2);
    assert_eq!((sequences(&first.events), first.rest), (vec![1, 2], Some(EventWindow { from: 3, until: 6 })));
    record(&store, entry(77, &[GroupId(1)], 25, 25));
    wait(store.flush());
    let rest = EventSpan::Window(first.rest.unwrap());
    assert_eq!(all(&store, rest, &EventFilter::default(), 2), (vec![3, 4, 5], 2));
    assert_eq!(all(&store, ALWAYS, &EventFilter::default(), 3).0, [1, 2, 3, 4, 5, 6]);
    let last = wait(store.billing_events(OURS, 6, 1)).unwrap();
    assert_eq!(last[0].at_ms, 40, "an event is never before the one before it");
}

#[test]
fn a_filter_finds_every_match_among_very_many_others() {
    let world = World::new();
    let store = world.open();
    // The first event of all, some in between, and the last, on both sides of the blocks' edges.
    let needles = [1, 4_095, 4_096, 4_097, 20_000, 39_999, 40_000];
    for n in 1..=40_000_u32 {
        let mut entry = entry(n, &[GroupId(1)], NOON_MS, NOON_MS);
        if needles.contains(&n) {
            entry = on_terms(|terms| terms.external_entity_id = "rare".into(), entry);
        }
        record(&store, entry);
    }
    wait(store.flush());
    let of = |names: &[&str]| EventFilter {
        external_entity_ids: names.iter().map(|name| (*name).to_owned()).collect(),
        ..EventFilter::default()
    };
    let needles = needles.map(u64::from);
    assert_eq!(all(&store, ALWAYS, &of(&["rare"]), 3).0, needles);
    let whole = all(&store, ALWAYS, &of(&["rare"]), 100);
    assert_eq!(whole, (needles.to_vec(), 1), "blocks without a match are not read");
    assert_eq!(all(&store, ALWAYS, &of(&["nobody"]), 100), (vec![], 1));
    let both = all(&store, EventSpan::After(30_000), &of(&["rare", "cust"]), 1_000);
    assert_eq!(both.0, (30_001..=40_000).collect::<Vec<_>>());
}
