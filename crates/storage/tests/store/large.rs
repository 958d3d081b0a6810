//! How long it takes to read a large ledger: told, never asserted.
//!
//! `cargo test -p storage --test store large -- --ignored --nocapture`, with `ENTRIES=10000000` for another size.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "this measures, and says what it measured"
)]

use std::sync::Arc;
use std::time::Instant;

use domain::{GroupId, WorkspaceId};
use storage::{EventFilter, EventSpan, HistoryPlace, HistoryQuery, Step, Store, UsageBy};

use crate::world::*;

const OURS: WorkspaceId = WorkspaceId(1);
const GROUPS: u32 = 1_000;
/// A month.
const SPAN_MS: u64 = 30 * DAY_MS;
const HOUR_MS: u64 = 3_600_000;

fn external(group: u32) -> String {
    format!("cust_{group}")
}

/// Every tenth call is of the first group; one in a hundred thousand is of the last.
fn group_of(n: u32) -> u32 {
    match n {
        n if n % 100_000 == 7 => GROUPS,
        n if n % 10 == 0 => 0,
        n => 1 + n % (GROUPS - 1),
    }
}

/// The ledger, written as calls write it.
fn fill(store: &Store, entries: u32) {
    let sample = entry(0, &[GroupId(0), GroupId(1 << 40)], NOON_MS, NOON_MS);
    let terms: Vec<_> = (0..=GROUPS)
        .map(|group| {
            let groups = Arc::from([GroupId(u64::from(group) + 1), GroupId(1 << 40)]);
            Arc::new(domain::Terms {
                groups,
                external_entity_id: external(group).into(),
                ..(*sample.terms).clone()
            })
        })
        .collect();
    for n in 0..entries {
        let at_ms = NOON_MS + u64::from(n) * SPAN_MS / u64::from(entries);
        let group = usize::try_from(group_of(n)).unwrap();
        let mut entry = entry(n, &[], at_ms, at_ms + 5);
        entry.terms = Arc::clone(&terms[group]);
        entry.key_prefix = format!("sky_{group}_{}", n % 2).into();
        while store.permit().is_none() {
            wait(store.flush());
        }
        record(store, entry);
    }
    wait(store.flush());
}

fn timed<T>(what: &str, ask: impl Fn() -> T, tell: impl Fn(&T) -> usize) {
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let began = Instant::now();
            let answer = ask();
            (began.elapsed(), tell(&answer))
        })
        .collect();
    let first = times[0].0;
    times.sort_unstable();
    println!("{what}: {} items, first {first:?}, median {:?}", times[2].1, times[2].0);
}

#[test]
#[ignore = "takes minutes; says how long pages of a large ledger take"]
fn large_ledgers_are_read_page_by_page() {
    let entries: u32 = std::env::var("ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let world = World::new();
    let store = world.open();
    let began = Instant::now();
    fill(&store, entries);
    println!("{entries} entries written in {:?}", began.elapsed());
    let all = EventFilter::default();
    let of =
        |group: u32| EventFilter { external_entity_ids: vec![external(group)], ..EventFilter::default() };
    let page =
        |span, filter: &EventFilter| wait(store.event_page(OURS, span, filter.clone(), 1_000)).unwrap();
    let since = |ms: u64| EventSpan::Time { start_ms: NOON_MS + ms, end_ms: u64::MAX };
    timed("first page", || page(since(0), &all), |page| page.events.len());
    timed("page in the middle", || page(since(SPAN_MS / 2), &all), |page| page.events.len());
    timed("last page", || page(since(SPAN_MS - 60_000), &all), |page| page.events.len());
    timed("page of a busy group", || page(since(0), &of(0)), |page| page.events.len());
    timed("page of a usual group", || page(since(0), &of(5)), |page| page.events.len());
    timed("page of a rare group", || page(since(0), &of(GROUPS)), |page| page.events.len());
    timed("page of nobody", || page(since(0), &of(GROUPS + 1)), |page| page.events.len());
    let history = |step, by, subtree| {
        let query = HistoryQuery {
            group: if subtree { GroupId(1 << 40) } else { GroupId(1) },
            subtree,
            step,
            by,
            from: HistoryPlace { hour: NOON_MS / HOUR_MS / 24 * 24, after: None },
            until_hour: (NOON_MS + SPAN_MS) / HOUR_MS + 24,
            most: 1_000,
        };
        wait(store.history(query)).unwrap()
    };
    let rows = |history: &storage::History| match history {
        storage::History::Page { rows, .. } => rows.len(),
        storage::History::TooManyGroups => 0,
    };
    timed("a month by the day", || history(Step::Day, UsageBy::All, false), rows);
    timed("a month by the hour", || history(Step::Hour, UsageBy::All, false), rows);
    timed("a month by the hour and key", || history(Step::Hour, UsageBy::Key, false), rows);
    timed("a month of a subtree by the day and slug", || history(Step::Day, UsageBy::Slug, true), rows);
}
