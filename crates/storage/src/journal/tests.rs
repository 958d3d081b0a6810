use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::{
    Entry, GroupId, LateCharge, LineId, Meter, Now, Outcome, RequestId, Terms, Usage, UsageSource, Usd,
    WorkspaceId,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::files::Files;
use super::join::{End, Ended, Join};
use super::lane::{Full, Lane, Pin, Slot, Spare};
use super::record::{Admission, Held};
use super::segment::{HEADER_LEN, REFUSES, Segment};

const BOOT: [u8; 16] = [9; 16];
const SECOND_NS: u64 = 1_000_000_000;

fn at(mono_ns: u64) -> Now {
    Now { mono_ns, wall_ms: 1_800_000_000_000 + mono_ns / 1_000_000 }
}

fn terms(n: u64) -> Arc<Terms> {
    Arc::new(Terms {
        workspace: WorkspaceId(1),
        groups: [GroupId(n), GroupId(1)].into(),
        external_entity_id: format!("cust_{n}").into(),
        slug: "acme/m1".parse().unwrap(),
        provider: "OPENAI_COMPATIBLE".into(),
        upstream_model: "llama".into(),
        price: None,
        lines: [(LineId::new([1; 16]), Meter::Usd)].into(),
    })
}

/// The end of call `n`, which was admitted at this time.
fn entry(n: u32, terms: &Arc<Terms>, now: Now) -> Entry {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    Entry {
        request_id: RequestId::new(7, random),
        admitted: now,
        settled: now,
        terms: Arc::clone(terms),
        key_prefix: "sky_abcdefghijkl".into(),
        route: "/v1/chat/completions".into(),
        attempts: 2,
        usage: Usage {
            input: 10,
            output: n.into(),
            cached: 3,
            cache_written: 1,
            source: UsageSource::Reported,
        },
        late: [LateCharge { mono_ns: now.mono_ns, tokens: 4 }].into(),
        outcome: Outcome::Completed,
        upstream_status: Some(200),
        first_byte_ms: Some(12),
        metadata: Some(r#"{"a":1}"#.into()),
        user: Some("ada".into()),
        cost: Some(Usd(5)),
    }
}

fn admission(entry: &Entry) -> Admission<'_> {
    Admission {
        request_id: entry.request_id,
        admitted: entry.admitted,
        terms: &entry.terms,
        key_prefix: &entry.key_prefix,
        route: &entry.route,
        user: entry.user.as_deref(),
        metadata: entry.metadata.as_deref(),
        input: 10,
        output: 100,
        held: 110,
        is_priced: true,
    }
}

/// A lane whose keeper is the test.
struct World {
    dir: TempDir,
    lane: Lane,
    next: u64,
    segment_len: u64,
}

impl World {
    fn new(segment_len: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (files, _) = Files::find(dir.path()).unwrap();
        assert_eq!(files.last_number, 0);
        let lane = Lane::new(0, std::thread::current());
        let mut world = Self { dir, lane, next: 1, segment_len };
        world.provide();
        world
    }

    /// Makes the segments that are wanted.
    fn provide(&mut self) {
        while self.lane.wants_spare() {
            let folder = self.dir.path().join("journal");
            let segment = Segment::create(&folder, (0, self.next, BOOT), self.segment_len).unwrap();
            self.lane.give_spare(Spare { segment: Arc::new(segment), len: self.segment_len });
            self.next += 1;
        }
    }

    fn tidy(&mut self, before_ns: u64) {
        let _ = self.lane.take_dirty(&mut Vec::new());
        self.lane.carry_forward(before_ns);
        while let Some(kept) = self.lane.retire(before_ns) {
            kept.segment.remove();
        }
        self.provide();
    }

    /// Admits a call, which does not go upstream yet.
    fn admit(&self, call: &Entry) -> Result<Slot, Full> {
        self.lane.admit(&admission(call)).map(|(slot, _)| slot)
    }

    /// What a start would find if the process were killed now, after somebody waited for what gathered: ends, and calls
    /// without one.
    fn found(&self) -> (Vec<Entry>, Vec<Entry>) {
        assert_eq!(self.lane.write_out(), Ok(()));
        read(self.dir.path())
    }
}

fn read(dir: &Path) -> (Vec<Entry>, Vec<Entry>) {
    let (_, found) = Files::find(dir).unwrap();
    let (mut join, mut ends) = (Join::default(), Vec::new());
    for segment in &found {
        let bytes = segment.read().unwrap();
        let (end, _) = join.read(segment.key(), &bytes, |ended| ends.push(ended.entry));
        assert_eq!(end, End::Clean);
    }
    let open = join.open().map(|call| call.recovered(at(0)).entry).collect();
    (ends, open)
}

#[test]
fn a_call_comes_out_as_it_was_ended_and_one_without_an_end_as_it_was_taken_for() {
    let world = World::new(65_536);
    let (ended, open) = (entry(1, &terms(5), at(3)), entry(2, &terms(6), at(4)));
    let slot = world.admit(&ended).unwrap();
    let other = world.admit(&open).unwrap();
    world.lane.hold(other, Held { mono_ns: 9, output: 350 }).unwrap();
    drop(world.lane.settle(slot, &ended));
    let (ends, left) = world.found();
    assert_eq!(ends, [ended]);
    let usage = Usage { input: 10, output: 350, cached: 0, cache_written: 0, source: UsageSource::Recovered };
    let expected = Entry {
        settled: at(0),
        attempts: 1,
        usage,
        late: [LateCharge { mono_ns: 9, tokens: 250 }].into(),
        outcome: Outcome::Recovered,
        upstream_status: None,
        first_byte_ms: None,
        cost: None,
        ..open
    };
    assert_eq!(left, [expected]);
}

#[test]
fn a_call_that_was_cancelled_was_never_made() {
    let world = World::new(65_536);
    let call = entry(1, &terms(5), at(3));
    let slot = world.admit(&call).unwrap();
    world.lane.cancel(slot, 4);
    assert_eq!(world.found(), (vec![], vec![]));
}

#[test]
fn where_calls_are_admitted_without_end_each_of_them_can_still_be_ended() {
    let mut world = World::new(65_536);
    let terms = terms(5);
    // A second segment is there, and no third: the disk is full.
    world.provide();
    let calls: Vec<_> = (0..).map(|n| entry(n, &terms, at(3))).take(10_000).collect();
    let slots: Vec<_> = calls.iter().map_while(|call| world.admit(call).ok()).collect();
    assert!((200..10_000).contains(&slots.len()), "{} calls", slots.len());
    assert!(!world.lane.has_room(), "another one would be asked for in vain");
    let pins: Vec<_> = slots.iter().zip(&calls).map(|(slot, call)| world.lane.settle(*slot, call)).collect();
    assert!(pins.iter().all(|ended| ended.pin.is_some()), "every end is written down");
    let (mut ends, open) = world.found();
    ends.sort_by_key(|entry| entry.request_id);
    assert_eq!((ends.len(), open.len()), (slots.len(), 0));
    assert!(ends.iter().zip(&calls).all(|(end, call)| end == call));
    world.provide();
    assert!(world.lane.has_room(), "with another segment there is room again");
}

#[test]
fn a_call_that_holds_more_and_more_is_told_when_there_is_no_room_for_it() {
    let world = World::new(65_536);
    let call = entry(1, &terms(5), at(3));
    let slot = world.admit(&call).unwrap();
    let holds = (0..10_000).map_while(|n| world.lane.hold(slot, Held { mono_ns: n, output: 100 + n }).ok());
    let held = u64::try_from(holds.count()).unwrap();
    assert!((1_000..10_000).contains(&held), "{held}");
    assert_eq!(world.lane.hold(slot, Held { mono_ns: 1, output: 1 }), Err(Full));
    assert_eq!(world.found().1[0].usage.output, 99 + held);
    assert!(world.lane.settle(slot, &call).pin.is_some());
}

#[test]
fn a_segment_stays_while_a_call_in_it_is_not_in_the_ledger_and_for_a_minute_after() {
    let mut world = World::new(65_536);
    let (terms, mut pins) = (terms(5), Vec::new());
    while world.lane.segments() < 5 {
        let call = entry(1, &terms, at(SECOND_NS));
        let slot = world.admit(&call).unwrap();
        pins.push(world.lane.settle(slot, &call));
        world.provide();
    }
    world.tidy(u64::MAX);
    assert_eq!(world.lane.segments(), 5, "nothing is in the ledger");
    pins.clear();
    world.tidy(SECOND_NS);
    assert_eq!(world.lane.segments(), 5, "the last records are not older than that");
    world.tidy(SECOND_NS + 1);
    assert_eq!(world.lane.segments(), 2, "the current one, and the spare one");
}

#[test]
fn a_call_that_runs_for_long_is_written_down_again_so_that_old_segments_can_go() {
    let mut world = World::new(65_536);
    let long = entry(u32::MAX, &terms(6), at(1));
    let slot = world.admit(&long).unwrap();
    world.lane.hold(slot, Held { mono_ns: 2, output: 356 }).unwrap();
    world.lane.hold(slot, Held { mono_ns: 3, output: 612 }).unwrap();
    for n in 0..5_000 {
        let call = entry(n, &terms(5), at(u64::from(n) * SECOND_NS));
        let slot = world.admit(&call).unwrap();
        drop(world.lane.settle(slot, &call));
        world.tidy(u64::from(n) * SECOND_NS);
        assert!(world.lane.segments() <= 3);
    }
    let (_, open) = world.found();
    assert_eq!((open.len(), open[0].request_id), (1, long.request_id));
    assert_eq!(open[0].usage.output, 612);
    assert_eq!(open[0].terms, long.terms);
    drop(world.lane.settle(slot, &long));
    let (ends, open) = world.found();
    assert!(open.is_empty() && ends.last() == Some(&long));
}

#[test]
fn where_the_disk_has_a_fault_the_lane_goes_on_in_another_segment_and_admits_nothing_until_there_is_one() {
    let mut world = World::new(65_536);
    let (one, other) = (entry(1, &terms(5), at(3)), entry(2, &terms(5), at(4)));
    let slot = world.admit(&one).unwrap();
    // What was written did not come to the disk, twice.
    for _ in 0..2 {
        let mut dirty = Vec::new();
        world.lane.take_dirty(&mut dirty).1.unwrap();
        world.lane.was_not_synced(&mut dirty);
    }
    assert!(!world.lane.has_room() && world.admit(&other).is_err());
    world.provide();
    let later = world.admit(&other).unwrap();
    let pins = [world.lane.settle(slot, &one), world.lane.settle(later, &other)];
    assert!(pins.iter().all(|ended| ended.pin.is_some()));
    assert_eq!(world.found(), (vec![one, other], vec![]));
}

#[test]
fn records_gather_until_somebody_waits_for_one_and_then_all_are_there() {
    let world = World::new(65_536);
    let calls: Vec<_> = (0..5).map(|n| entry(n, &terms(5), at(3))).collect();
    let mut admitted = calls.iter().map(|call| world.lane.admit(&admission(call)).unwrap());
    let ((first, position), rest) = (admitted.next().unwrap(), admitted.collect::<Vec<_>>());
    assert!(!world.lane.is_written(position));
    assert_eq!(read(world.dir.path()), (vec![], vec![]));
    let ended = world.lane.settle(first, &calls[0]);
    world.lane.write_out().unwrap();
    assert!(world.lane.is_written(ended.position) && world.lane.is_written(position));
    let (ends, open) = read(world.dir.path());
    assert_eq!((ends, open.len()), (calls[..1].to_vec(), rest.len()));
}

#[test]
fn while_the_disk_refuses_calls_can_be_ended_and_none_admitted_and_then_all_is_written() {
    let mut world = World::new(65_536);
    let calls: Vec<_> = (0..300).map(|n| entry(n, &terms(5), at(3))).collect();
    let slots: Vec<_> = calls[..200].iter().map(|call| world.admit(call).unwrap()).collect();
    world.lane.write_out().unwrap();
    let refused = world.lane.admit(&admission(&calls[200])).unwrap();
    REFUSES.set(true);
    assert_eq!(world.lane.write_out(), Err(Full));
    assert!(!world.lane.is_written(refused.1), "whoever admitted it is told so");
    world.lane.cancel(refused.0, 4);
    world.provide();
    let pins: Vec<_> = slots.iter().zip(&calls).map(|(slot, call)| world.lane.settle(*slot, call)).collect();
    assert!(pins.iter().all(|ended| ended.pin.is_some()), "into the next segment, too");
    assert!(!world.lane.has_room() && world.admit(&calls[201]).is_err());
    assert_eq!(world.lane.take_dirty(&mut Vec::new()).1, Err(Full), "the keeper tries it again");
    REFUSES.set(false);
    assert!(world.lane.take_dirty(&mut Vec::new()).1.is_ok() && world.lane.has_room());
    let (mut ends, open) = read(world.dir.path());
    ends.sort_by_key(|entry| entry.request_id);
    assert_eq!((ends.as_slice(), open.len()), (&calls[..200], 0));
}

#[test]
fn what_comes_after_the_keeper_has_ended_is_written_at_once() {
    let world = World::new(65_536);
    let call = entry(1, &terms(5), at(3));
    let slot = world.admit(&call).unwrap();
    world.lane.leave_alone();
    drop(world.lane.settle(slot, &call));
    assert_eq!(read(world.dir.path()), (vec![call], vec![]));
}

/// A segment with some calls, its salt, and where in it, after the header, each call has ended.
fn segment() -> (Vec<u8>, u64, Vec<(usize, Entry)>) {
    let world = World::new(65_536);
    let mut ends = Vec::new();
    for n in 0..4 {
        let call = entry(n, &terms(u64::from(n % 2)), at(3));
        let slot = world.admit(&call).unwrap();
        world.lane.hold(slot, Held { mono_ns: 5, output: 200 }).unwrap();
        drop(world.lane.settle(slot, &call));
        ends.push((usize::try_from(world.lane.progress().0).unwrap(), call));
    }
    world.lane.write_out().unwrap();
    let (_, found) = Files::find(world.dir.path()).unwrap();
    let used = ends.last().unwrap().0;
    let (bytes, (_, salt)) = (found[0].read().unwrap(), found[0].key());
    assert!(bytes[used..].iter().all(|byte| *byte == 0));
    (bytes[..used + 64].to_vec(), salt, ends)
}

fn read_bytes(bytes: &[u8], salt: u64) -> (Vec<Entry>, End) {
    let (mut join, mut ends) = (Join::default(), Vec::new());
    let (end, _) = join.read((BOOT, salt), bytes, |Ended { entry, .. }| ends.push(entry));
    for call in join.open() {
        let _ = call.recovered(at(0));
    }
    (ends, end)
}

#[test]
fn cut_at_any_byte_a_segment_tells_of_every_call_before_and_of_no_half_one() {
    let (bytes, salt, ends) = segment();
    for cut in 0..=bytes.len() {
        let expected = ends.iter().filter(|(end, _)| *end <= cut).map(|(_, call)| call);
        let (told, _) = read_bytes(&bytes[..cut], salt);
        assert!(told.iter().eq(expected), "cut at {cut}");
        let mut torn = bytes[..cut].to_vec();
        torn.resize(bytes.len(), 0);
        assert_eq!(read_bytes(&torn, salt).0, told, "zeroes from {cut}");
    }
}

#[test]
fn whatever_byte_is_changed_what_stands_before_it_is_told_and_nothing_wrong_is() {
    let (bytes, salt, ends) = segment();
    let used = ends.last().unwrap().0;
    for at in 0..used {
        for change in [1, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= change;
            let (told, end) = read_bytes(&broken, salt);
            let whole = ends.iter().filter(|(end, _)| *end <= at).count();
            assert!(told.len() >= whole, "byte {at}");
            assert!(told.iter().eq(ends.iter().map(|(_, call)| call).take(told.len())), "byte {at}");
            assert_eq!(end, End::Torn, "byte {at}");
        }
    }
}

#[test]
fn bytes_of_another_segment_are_no_records() {
    let (old, _, _) = segment();
    let (bytes, salt, ends) = segment();
    let used = ends.last().unwrap().0;
    let mut mixed = bytes[..used].to_vec();
    mixed.extend_from_slice(&old);
    let (told, end) = read_bytes(&mixed, salt);
    assert_eq!((told.len(), end), (ends.len(), End::Torn));
}

/// What happens to a lane.
#[derive(Debug, Clone, Copy)]
enum Step {
    Admit {
        terms: u64,
    },
    Hold {
        nth: usize,
        more: u64,
    },
    Settle {
        nth: usize,
    },
    Cancel {
        nth: usize,
    },
    /// The oldest of those that have ended come to the ledger.
    Commit {
        many: usize,
    },
    Pass {
        seconds: u64,
    },
    /// The keeper does its round.
    Tidy,
    /// The disk takes nothing, or takes it again.
    Refuse(bool),
    /// Somebody waits for what gathered.
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40_u64).prop_map(|terms| Step::Admit { terms }),
        3 => (any::<usize>(), 1..500_u64).prop_map(|(nth, more)| Step::Hold { nth, more }),
        6 => any::<usize>().prop_map(|nth| Step::Settle { nth }),
        1 => any::<usize>().prop_map(|nth| Step::Cancel { nth }),
        2 => (0..40_usize).prop_map(|many| Step::Commit { many }),
        2 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        2 => Just(Step::Tidy),
        1 => prop_oneof![1 => Just(true), 2 => Just(false)].prop_map(Step::Refuse),
        4 => Just(Step::Write),
    ]
}

/// Calls as they should be found.
#[derive(Default)]
struct Model {
    open: Vec<(Slot, Entry, u64)>,
    /// Ended and not in the ledger, oldest first.
    ended: Vec<(Pin, Entry)>,
    ledger: BTreeMap<RequestId, Entry>,
}

impl Model {
    fn step(&mut self, world: &mut World, step: Step, (n, now): (u32, &mut Now)) {
        match step {
            Step::Admit { terms: of } => {
                // Terms come and go with compiled paths: these are others every time.
                let call = entry(n, &terms(of), *now);
                if let Ok(slot) = world.admit(&call) {
                    self.open.push((slot, call, 100));
                }
            }
            Step::Hold { nth, more } => {
                let Some(nth) = nth.checked_rem(self.open.len()) else { return };
                let (slot, _, output) = &mut self.open[nth];
                let held = Held { mono_ns: now.mono_ns, output: *output + more };
                let before = world.lane.progress().0;
                let granted = world.lane.hold(*slot, held);
                // One that the disk refused is not granted, and what is written down later says more than was held.
                if granted.is_ok() || world.lane.progress().0 > before {
                    *output += more;
                }
                assert!(granted.is_ok() || !REFUSES.get() || !world.lane.has_room());
            }
            Step::Settle { nth } => {
                let Some(nth) = nth.checked_rem(self.open.len()) else { return };
                let (slot, mut call, _) = self.open.swap_remove(nth);
                call.settled = *now;
                let ended = world.lane.settle(slot, &call);
                self.ended.push((ended.pin.expect("there is room for every end"), call));
            }
            Step::Cancel { nth } => {
                let Some(nth) = nth.checked_rem(self.open.len()) else { return };
                let (slot, ..) = self.open.swap_remove(nth);
                world.lane.cancel(slot, now.mono_ns);
            }
            Step::Commit { many } => {
                let many = many.min(self.ended.len());
                self.ledger.extend(self.ended.drain(..many).map(|(_, call)| (call.request_id, call)));
            }
            Step::Pass { seconds } => *now = at(now.mono_ns + seconds * SECOND_NS),
            Step::Tidy => world.tidy(now.mono_ns.saturating_sub(super::KEPT_FOR_NS)),
            Step::Refuse(refuses) => REFUSES.set(refuses),
            Step::Write => {
                let _ = world.lane.write_out();
            }
        }
    }

    /// What the ledger is after a start that finds this is what it should be.
    fn check(&self, (ends, open): (Vec<Entry>, Vec<Entry>)) {
        let mut ledger = self.ledger.clone();
        for call in ends.into_iter().chain(open) {
            ledger.entry(call.request_id).or_insert(call);
        }
        for (_, call) in &self.ended {
            assert_eq!(ledger.remove(&call.request_id).as_ref(), Some(call), "an end is lost");
        }
        for (_, call, output) in &self.open {
            let found = ledger.remove(&call.request_id).expect("a call is lost");
            assert_eq!((found.outcome, found.usage.output), (Outcome::Recovered, *output));
            assert_eq!((&found.terms, &found.metadata), (&call.terms, &call.metadata));
        }
        assert_eq!(ledger, self.ledger, "nothing else was ever called, or ended otherwise");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whenever_the_process_is_killed_every_call_is_found_once_as_it_ended_or_was_taken_for(
        steps in proptest::collection::vec(step(), 1..1_000),
    ) {
        let (mut world, mut model, mut now) = (World::new(16_384), Model::default(), at(SECOND_NS));
        for (n, step) in (0..).zip(steps) {
            model.step(&mut world, step, (n, &mut now));
            if n % 128 == 0 {
                REFUSES.set(false);
                model.check(world.found());
            }
        }
        REFUSES.set(false);
        model.check(world.found());
    }
}

#[test]
fn the_header_and_the_frames_fill_a_segment_together() {
    let world = World::new(65_536);
    let (_, found) = Files::find(world.dir.path()).unwrap();
    assert_eq!(found[0].read().unwrap().len() + HEADER_LEN, 65_536);
}
