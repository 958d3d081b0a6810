//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use domain::{Day, GroupId};
use storage::{Use, UseScope};

use crate::world::*;

#[test]
fn of_many_that_race_for_one_identifier_exactly_one_wins() {
    let world = World::new();
    let store = world.open();
    let won = thread::scope(|scope| {
        let racers: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| try_create(&store, draft(&store, "cust", None)).is_ok()))
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    let groups =
        |store: &storage::Store| store.snapshot().groups_after(workspace(store), domain::Version(0)).count();
    assert_eq!(groups(&store), 1);
    store.close();
    assert_eq!(groups(&world.open()), 1);
}

#[test]
fn edits_beyond_the_bound_wait_and_are_made() {
    let world = World::new();
    let store = world.open();
    let edits = 2 * storage::EDITS_PENDING_MAX;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..edits)
            .map(|n| {
                let store = store.clone();
                let draft = draft(&store, &format!("cust-{n}"), None);
                tokio::spawn(async move {
                    store.edit(NOW, move |cx| domain::edit::group::create(cx, draft)).await.unwrap()
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(store.snapshot().version().0, 1 + u64::try_from(edits).unwrap());
}

#[test]
fn sums_add_up_exactly_while_many_threads_record_and_edits_run() {
    const THREADS: u32 = 4;
    const EACH: u32 = 3_000;
    let world = World::new();
    let store = world.open();
    let done = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let editor = scope.spawn(|| {
            let mut made = 0;
            while !done.load(Ordering::Relaxed) {
                create(&store, &format!("cust-{made}"));
                made += 1;
            }
        });
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let groups = [GroupId(u64::from(n % 10)), GroupId(100)];
                        record(store, entry(thread * EACH + n, &groups, NOON_MS, NOON_MS));
                    }
                })
            })
            .collect();
        recorders.into_iter().for_each(|recorder| recorder.join().unwrap());
        done.store(true, Ordering::Relaxed);
        editor.join().unwrap();
    });
    store.close();

    let calls = u64::from(THREADS * EACH);
    assert_eq!(world.number("SELECT count(*) FROM entries"), i64::try_from(calls).unwrap());
    assert_eq!(world.number("SELECT sum(requests) FROM rollups"), i64::try_from(calls).unwrap());
    let store = world.open();
    let used = |group, scope| store.used_today(GroupId(group), scope, &slug("acme/m1"), Day(20_000));
    assert_eq!(used(100, UseScope::Subtree), Use { requests: calls, tokens: 15 * calls });
    let own: u64 = (0..10).map(|group| used(group, UseScope::Own).requests).sum();
    assert_eq!(own, calls);
}
