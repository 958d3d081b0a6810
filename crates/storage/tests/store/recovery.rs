//! What is there after the process was killed: a copy of the files as they are at some moment is what a start then finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{
    ConfigCaller, Day, Enforcement, Entry, GroupId, LateCharge, LimitType, Now, Outcome, Unit, UsageSource,
    Usd,
};
use limits::{Charged, Measure};
use storage::{Admission, JournalOptions, Options, PathOf, Pending, Recorder, Store, Sync, UseScope};

use crate::world::*;

const SECOND_NS: u64 = 1_000_000_000;

/// Copies the files of the store, as they lie there while nothing is written.
pub(crate) fn copy_books(world: &World, to: &World) {
    copy(world.path(), to.path(), |name| !name.ends_with("-shm"));
}

/// Copies the journal over what is there.
fn copy_journal(world: &World, to: &World) {
    let there = to.path().join("journal");
    let _ = fs::remove_dir_all(&there);
    fs::create_dir(&there).unwrap();
    copy(&world.path().join("journal"), &there, |_| true);
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.path().is_file() && wanted(&file.file_name().to_string_lossy()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn segments(world: &World) -> Vec<PathBuf> {
    let files = fs::read_dir(world.path().join("journal")).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    all.sort();
    all
}

fn begin(recorder: &Recorder, call: &Entry) -> Pending {
    let permit = recorder.permit().unwrap();
    let pending = recorder.admit(permit, &admission(call)).unwrap();
    wait(pending.written()).unwrap();
    pending
}

/// A call that is taken for ten prompt tokens and a hundred others if its end is not known.
fn admission(call: &Entry) -> Admission<'_> {
    Admission {
        request_id: call.request_id,
        admitted: call.admitted,
        terms: &call.terms,
        key_prefix: &call.key_prefix,
        route: &call.route,
        user: call.user.as_deref(),
        metadata: call.metadata.as_deref(),
        input: 10,
        output: 100,
        held: 110,
        is_priced: true,
    }
}

/// What `run` leaves behind if the process is killed right after it, before anything of it came to the ledger.
fn killed_after(world: &World, store: &Store, run: impl FnOnce(&Recorder)) -> World {
    let recorder = store.recorder();
    wait(store.flush());
    let image = World::new();
    copy_books(world, &image);
    run(&recorder);
    copy_journal(world, &image);
    image
}

fn open_at(world: &World, now: Now, boot_id: [u8; 16]) -> Store {
    let mut options = Options { now, ..options(world.path(), MASTER) };
    options.journal.boot_id = boot_id;
    Store::open(options).unwrap()
}

/// The clocks of the entries of these tests.
fn at(wall_ms: u64) -> Now {
    Now { mono_ns: wall_ms * 1_000_000, wall_ms }
}

#[test]
fn a_call_that_ended_before_the_process_was_killed_is_in_the_ledger_as_it_ended() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let call = entry(1, &[group.id], NOON_MS, NOON_MS + 5);
    let image =
        killed_after(&world, &store, |recorder| wait(begin(recorder, &call).settle(call.clone()).wait()));
    wait(store.flush());
    let expected = wait(store.entry(call.request_id)).unwrap();
    let after = open_at(&image, at(NOON_MS + 10), [1; 16]);
    assert!(expected.is_some());
    assert_eq!(wait(after.entry(call.request_id)).unwrap(), expected, "as if nothing had happened");
    let used = after.used_today(group.id, UseScope::Own, &slug("acme/m1"), NOW.day());
    assert_eq!((used.requests, used.tokens), (1, 15));
}

#[test]
fn a_call_under_way_is_charged_once_with_all_it_could_have_used_when_the_process_was_killed() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let call = entry(1, &[group.id], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| std::mem::forget(begin(recorder, &call)));
    let next_day = at(NOON_MS + DAY_MS);
    open_at(&image, next_day, [1; 16]).close();
    let after = open_at(&image, at(NOON_MS + DAY_MS + 1), [1; 16]);
    let line = wait(after.entry(call.request_id)).unwrap().unwrap();
    assert_eq!((line.outcome, line.usage.source), (Outcome::Recovered, UsageSource::Recovered));
    assert_eq!((line.usage.input, line.usage.output, line.attempts), (10, 100, 1));
    assert_eq!((line.admitted_ms, line.settled_ms), (NOON_MS, next_day.wall_ms), "ended when it was found");
    assert_eq!(line.cost, Some(Usd(550_000)), "by the price of its terms");
    assert_eq!((line.sequence, line.upstream_status), (Some(1), None), "it is billed");
    assert_eq!((line.metadata.as_deref(), line.user.as_deref()), (Some(r#"{"ticket":7}"#), Some("ada")));
    assert_eq!(image.number("SELECT count(*) FROM events"), 1, "once");
    let used = |day: Day| after.used_today(group.id, UseScope::Own, &slug("acme/m1"), day);
    assert_eq!(image.number("SELECT requests FROM day_use WHERE scope = 'own' ORDER BY day LIMIT 1"), 1);
    assert_eq!((used(next_day.day()).requests, used(next_day.day()).tokens), (0, 110));
}

#[test]
fn a_call_under_way_does_not_end_before_it_began_where_the_clock_is_behind_at_the_next_start() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let call = entry(1, &[group.id], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| std::mem::forget(begin(recorder, &call)));
    let after = open_at(&image, at(NOON_MS - DAY_MS), [2; 16]);
    let line = wait(after.entry(call.request_id)).unwrap().unwrap();
    assert_eq!((line.admitted_ms, line.settled_ms), (NOON_MS, NOON_MS));
    let used = after.used_today(group.id, UseScope::Own, &slug("acme/m1"), NOW.day());
    assert_eq!((used.requests, used.tokens), (1, 110), "on the day of the call");
}

#[test]
fn a_call_that_held_more_and_more_is_charged_with_all_it_held() {
    let world = World::new();
    let store = world.open();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| {
        let mut pending = begin(recorder, &call);
        pending.hold(356, at(NOON_MS + 1)).unwrap();
        pending.hold(612, at(NOON_MS + 2)).unwrap();
        std::mem::forget(pending);
    });
    let after = open_at(&image, at(NOON_MS + 3), [1; 16]);
    assert_eq!(wait(after.entry(call.request_id)).unwrap().unwrap().usage.output, 612);
}

#[test]
fn a_call_that_a_fault_of_ours_let_go_is_found_by_the_next_start_and_takes_no_room_until_then() {
    let world = World::new();
    let store = world.open();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    drop(begin(&store.recorder(), &call));
    let permits: Vec<_> = std::iter::from_fn(|| store.permit()).collect();
    assert_eq!(permits.len(), storage::LEDGER_PENDING_MAX);
    drop(permits);
    store.close();
    let after = open_at(&world, at(NOON_MS), [1; 16]);
    let line = wait(after.entry(call.request_id)).unwrap().unwrap();
    assert_eq!(line.outcome, Outcome::Recovered);
}

#[test]
fn a_call_that_was_cancelled_is_in_no_ledger() {
    let world = World::new();
    let store = world.open();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| begin(recorder, &call).cancel(call.admitted));
    let after = open_at(&image, at(NOON_MS), [1; 16]);
    assert_eq!(wait(after.entry(call.request_id)).unwrap(), None);
}

#[test]
fn however_often_the_journal_is_read_every_call_is_in_the_ledger_once() {
    let world = World::new();
    let store = world.open();
    let calls: Vec<_> = (0..50).map(|n| entry(n, &[GroupId(1)], NOON_MS, NOON_MS + 1)).collect();
    // Some are in the ledger already.
    let recorder = store.recorder();
    for call in &calls[..20] {
        wait(begin(&recorder, call).settle(call.clone()).wait());
    }
    let image = killed_after(&world, &store, |recorder| {
        for call in &calls[20..40] {
            wait(begin(recorder, call).settle(call.clone()).wait());
        }
        calls[40..].iter().for_each(|call| std::mem::forget(begin(recorder, call)));
    });
    for _ in 0..3 {
        let journal = World::new();
        copy_books(&image, &journal);
        copy_journal(&image, &journal);
        open_at(&image, at(NOON_MS + 2), [1; 16]).close();
        // The start was cut short before the journal was deleted.
        copy_journal(&journal, &image);
    }
    assert_eq!(image.number("SELECT count(*) FROM entries"), 50);
    assert_eq!(image.number("SELECT max(sequence) FROM events"), 50);
    assert_eq!(image.number("SELECT sum(requests) FROM day_use WHERE scope = 'own'"), 50);
    assert_eq!(image.number("SELECT count(*) FROM entries WHERE outcome = 'recovered'"), 10);
}

#[test]
fn what_retention_took_out_of_the_ledger_does_not_come_back_from_the_journal() {
    let world = World::new();
    let store = world.open();
    let (old, new) = (NOON_MS, NOON_MS + 3 * DAY_MS);
    let calls = [(1, old), (2, new)].map(|(n, at_ms)| entry(n, &[GroupId(1)], at_ms, at_ms));
    let recorder = store.recorder();
    for call in &calls {
        wait(begin(&recorder, call).settle(call.clone()).wait());
    }
    wait(store.flush());
    assert_eq!(wait(store.prune(at(new), 2)).unwrap().lines, 1);
    drop(recorder);
    store.close();
    // So few calls that they are all in the one segment of their lane.
    open_at(&world, at(new + 1), [1; 16]).close();
    assert_eq!(world.number("SELECT count(*) FROM entries"), 1, "what is gone stays gone");
    assert_eq!(world.number("SELECT max(sequence) FROM events"), 2, "nothing is billed again");
    assert_eq!(world.number("SELECT sum(requests) FROM rollups"), 2, "nor counted again");
    assert_eq!(world.number("SELECT sum(requests) FROM day_use WHERE scope = 'own'"), 2);
}

#[test]
fn a_call_without_an_end_is_charged_once_though_retention_took_it_out_before_the_next_start() {
    let world = World::new();
    let store = world.open();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| std::mem::forget(begin(recorder, &call)));
    let at_rest = open_at(&image, at(NOON_MS + 1), [1; 16]);
    let later = at(NOON_MS + 3 * DAY_MS);
    assert_eq!(wait(at_rest.prune(later, 2)).unwrap().lines, 1);
    at_rest.close();
    open_at(&image, later, [1; 16]).close();
    assert_eq!(image.number("SELECT sum(requests) FROM rollups"), 1);
    assert_eq!(image.number("SELECT sequence FROM sequences"), 1);
}

#[test]
fn a_record_that_was_torn_costs_no_more_than_itself() {
    let world = World::new();
    let store = world.open();
    let calls: Vec<_> = (0..3).map(|n| entry(n, &[GroupId(1)], NOON_MS, NOON_MS + 1)).collect();
    let image = killed_after(&world, &store, |recorder| {
        calls.iter().for_each(|call| wait(begin(recorder, call).settle(call.clone()).wait()));
    });
    let file = &segments(&image)[0];
    let mut bytes = fs::read(file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end] ^= 1;
    fs::write(file, bytes).unwrap();
    let after = open_at(&image, at(NOON_MS + 2), [1; 16]);
    let outcome = |call: &Entry| wait(after.entry(call.request_id)).unwrap().unwrap().outcome;
    assert_eq!([0, 1].map(|n| outcome(&calls[n])), [Outcome::Completed; 2]);
    assert_eq!(outcome(&calls[2]), Outcome::Recovered, "its admission stands, its end does not");
}

#[test]
fn a_journal_of_a_later_version_is_left_alone_and_a_damaged_segment_is_put_aside() {
    let world = World::new();
    let store = world.open();
    let image = killed_after(&world, &store, |_| {});
    let file = &segments(&image)[0];
    let bytes = fs::read(file).unwrap();
    let mut later = bytes.clone();
    later[8] = 2;
    let sum = crc32(&later[..48]).to_le_bytes();
    later[48..52].copy_from_slice(&sum);
    fs::write(file, &later).unwrap();
    let error = Store::open(options(image.path(), MASTER)).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains(".seg"), "{error}");
    assert_eq!(fs::read(file).unwrap(), later);

    let mut damaged = bytes;
    damaged[20] ^= 1;
    fs::write(file, &damaged).unwrap();
    image.open().close();
    assert_eq!(fs::read(file.with_extension("bad")).unwrap(), damaged);
}

/// As the format says.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// The charges that a counter of this group opens with.
fn recent(store: &Store, group: GroupId, now: Now) -> Vec<(LimitType, Vec<Charged>)> {
    let snapshot = store.snapshot();
    let (group, slug) = (snapshot.group(group).unwrap(), slug("acme/m1"));
    let caller = ConfigCaller { group, key: None, user: None };
    let spec = store.path_spec(&snapshot, PathOf { caller, slug: &slug, endpoint: None }, now);
    let rolling = spec.limits.iter().filter_map(|limit| match limit.counter.measure {
        Measure::Use(kind, Unit::Minute) => Some((kind, limit.recent.charges().to_vec())),
        Measure::Use(..) | Measure::Spend(_) | Measure::Concurrency => None,
    });
    rolling.collect()
}

#[test]
fn rolling_windows_open_with_the_last_minute_on_the_same_clock_after_a_kill_and_after_a_stop_in_order() {
    let world = World::new();
    let store = world.open();
    let (root, child) = family(&store, Enforcement::Cascading);
    let mut call = entry(1, &[child.id, root.id], NOON_MS, NOON_MS + 900);
    call.late = [LateCharge { mono_ns: at(NOON_MS + 900).mono_ns, tokens: 4 }].into();
    let old = entry(2, &[child.id, root.id], NOON_MS - 70_000, NOON_MS - 69_000);
    let image = killed_after(&world, &store, |recorder| {
        for call in [&old, &call] {
            wait(begin(recorder, call).settle(call.clone()).wait());
        }
    });
    store.close();
    let now = at(NOON_MS + 30_000);
    let expected = vec![
        Charged { mono_ns: at(NOON_MS).mono_ns, requests: 1, tokens: 11 },
        Charged { mono_ns: at(NOON_MS + 900).mono_ns, requests: 0, tokens: 4 },
    ];
    for files in [&image, &world] {
        let after = open_at(files, now, [1; 16]);
        for group in [root.id, child.id] {
            let found = recent(&after, group, now);
            assert!(!found.is_empty());
            assert!(found.iter().all(|(_, charges)| *charges == expected), "{found:?}");
        }
        let later = Now { mono_ns: now.mono_ns + 65 * SECOND_NS, ..now };
        assert!(recent(&after, root.id, later).iter().all(|(_, charges)| charges.is_empty()));
        after.close();
    }
}

#[test]
fn what_a_call_did_not_hold_counts_from_when_it_was_taken_to_end() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let call = entry(1, &[group.id], NOON_MS, NOON_MS);
    let image = killed_after(&world, &store, |recorder| {
        let observed = Admission { held: 0, ..admission(&call) };
        let pending = recorder.admit(recorder.permit().unwrap(), &observed).unwrap();
        wait(pending.written()).unwrap();
        std::mem::forget(pending);
    });
    // Without the restart it would have been charged its tokens at its end, a minute from which they count.
    let now = at(NOON_MS + 55_000);
    let after = open_at(&image, now, [1; 16]);
    let charges = recent(&after, group.id, now).into_iter().flat_map(|(_, charges)| charges);
    let begun = Charged { mono_ns: at(NOON_MS).mono_ns, requests: 1, tokens: 0 };
    let ended = Charged { mono_ns: now.mono_ns, requests: 0, tokens: 110 };
    assert_eq!(charges.collect::<Vec<_>>(), [begun, ended]);
}

#[test]
fn after_the_machine_was_started_anew_a_charge_is_as_old_as_the_wall_clock_says() {
    let world = World::new();
    let store = world.open();
    let group = create(&store, "cust");
    let call = entry(1, &[group.id], NOON_MS, NOON_MS + 500);
    let image =
        killed_after(&world, &store, |recorder| wait(begin(recorder, &call).settle(call.clone()).wait()));
    let charged_at = |wall_ms| {
        let image_again = World::new();
        copy_books(&image, &image_again);
        copy_journal(&image, &image_again);
        // Up for forty seconds.
        let now = Now { mono_ns: 40 * SECOND_NS, wall_ms };
        let after = open_at(&image_again, now, [2; 16]);
        let found = recent(&after, group.id, now);
        found[0].1.iter().map(|charge| charge.mono_ns).collect::<Vec<_>>()
    };
    assert_eq!(charged_at(NOON_MS + 10_000), [30 * SECOND_NS]);
    assert_eq!(charged_at(NOON_MS + 50_000), [0], "before the clock began: from its beginning on");
    assert_eq!(charged_at(NOON_MS - 10_000), [40 * SECOND_NS], "the wall clock was set back: from now on");
}

#[test]
fn a_journal_at_its_bound_admits_nothing_and_still_writes_down_every_end() {
    let world = World::new();
    let mut options = options(world.path(), MASTER);
    options.journal = JournalOptions { segment_len: 64 * 1024, bytes_max: 128 * 1024, ..options.journal };
    let store = Store::open(options).unwrap();
    let recorder = store.recorder();
    let calls: Vec<_> = (0..5_000).map(|n| entry(n, &[GroupId(1)], NOON_MS, NOON_MS)).collect();
    let begun = calls.iter().map_while(|call| {
        let permit = recorder.permit()?;
        Some((recorder.admit(permit, &admission(call)).ok()?, call))
    });
    let begun: Vec<_> = begun.collect();
    assert!((100..5_000).contains(&begun.len()), "{} calls", begun.len());
    let many = begun.len();
    begun.into_iter().for_each(|(pending, call)| drop(pending.settle(call.clone())));
    wait(store.flush());
    assert_eq!(world.number("SELECT count(*) FROM entries"), i64::try_from(many).unwrap());
    assert!(store.journal_use().bytes <= 128 * 1024);
    // Everything is in the ledger, so the oldest segment goes.
    while recorder.permit().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn however_many_workers_there_are_each_has_room_within_the_bound() {
    let world = World::new();
    let mut options = options(world.path(), MASTER);
    options.journal = JournalOptions { segment_len: 64 * 1024, bytes_max: 8 * 64 * 1024, ..options.journal };
    let store = Store::open(options).unwrap();
    let recorders: Vec<_> = (0..40).map(|_| store.recorder()).collect();
    assert!(recorders.iter().all(|recorder| recorder.permit().is_some()), "from its first call on");
    let most = 40 * 64 * 1024;
    assert!(store.journal_use().bytes < most, "so they share segments");
}

#[test]
fn the_end_of_a_call_can_be_waited_for_where_the_operator_wants_it() {
    let world = World::new();
    let mut options = options(world.path(), MASTER);
    options.journal.sync = Sync::Always;
    let store = Store::open(options).unwrap();
    let recorder = store.recorder();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    let synced = begin(&recorder, &call).settle(call);
    assert!(synced.waits());
    wait(synced.wait());
    assert_eq!(store.journal_use().unsynced_bytes, 0);
}

#[test]
fn what_is_written_comes_to_the_disk_within_the_interval_and_nobody_waits_for_it() {
    let world = World::new();
    let mut options = options(world.path(), MASTER);
    options.journal.sync = Sync::Interval(Duration::from_millis(1));
    let store = Store::open(options).unwrap();
    let recorder = store.recorder();
    let call = entry(1, &[GroupId(1)], NOON_MS, NOON_MS);
    // As where the caller has left.
    drop(begin(&recorder, &call).settle(call));
    // The current segment and a spare one.
    while store.journal_use().unsynced_bytes > 0 || store.journal_use().segments < 2 {
        std::thread::yield_now();
    }
    wait(store.flush());
    let used = store.journal_use();
    assert_eq!((used.unwritten_entries, used.segments, used.bytes), (0, 2, 2 * 128 * 1024));
}
