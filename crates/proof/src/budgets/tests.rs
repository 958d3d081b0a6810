use std::sync::Arc;

use domain::{LineId, Meter};

use super::{Judgement, judge};
use crate::bills::{Booked, Known};
use crate::chance::Chance;
use crate::clerk::Record;
use crate::clock::SteppedClock;
use crate::configs::{Config, Length, Line, LineKey, Model, Scope};
use crate::history::{Call, Mode, Timeline};
use crate::judge::tests::call as call_of;
use crate::prices::Price;
use crate::subject::Stamps;
use crate::world::World;

const SEVEN: Length = Length { text: "7s", ms: 7_000 };
const MS: u64 = 1_000;

/// A world with one config of one line, and what was in force when.
struct Scene {
    world: World,
    record: Record,
    clock: SteppedClock,
    line: Line,
    price: Arc<Price>,
    calls: Vec<Call>,
    booked: Vec<Booked>,
}

impl Scene {
    fn new(meter: Meter, max: u64, scope: Scope) -> Self {
        let mut world = World::draw(&mut Chance::new(7));
        let price = Arc::new(world.prices[0].clone());
        let config = Config { scope, model: Model::Any, wishes: Vec::new(), ..world.configs[0].clone() };
        world.configs = vec![config];
        let key = (LineId::new([1; 16]), meter);
        let line = Line { key, max, length: SEVEN, anchor_ms: 0 };
        let record = Record { configs: vec![Timeline::new(vec![line])], ..Record::default() };
        let clock = SteppedClock::start();
        Self { world, record, clock, line, price, calls: Vec::new(), booked: Vec::new() }
    }

    /// A call at this time of the run that is settled at that wall time, with so many tokens or nano-dollars.
    fn call(&mut self, ms: u64, (admitted_ms, settled_ms): (u64, u64), amount: u64) -> &mut Call {
        let call = u32::try_from(self.calls.len()).unwrap();
        let lines: Arc<[LineKey]> = [self.line.key].into();
        let price = Arc::clone(&self.price);
        self.booked.push(Booked {
            call,
            admitted_ms,
            settled_ms,
            tokens: amount,
            cost: amount,
            estimated: false,
            price,
            lines,
        });
        self.calls.push(call_of(0, ms, amount));
        self.calls.last_mut().unwrap()
    }

    fn judged(&self) -> Judgement {
        let (world, calls, record) = (&self.world, &self.calls, &self.record);
        let known = Known { world, calls, record, clock: &self.clock, stamps: Stamps::Exact };
        judge(known, &self.booked, Mode::Estimate).swap_remove(0)
    }

    fn over(&self) -> u64 {
        self.judged().finding.over
    }
}

const DECLARED: Scope = Scope::Group(0, 0);

#[test]
fn a_period_at_its_cap_passes_and_one_token_more_does_not() {
    for (last, over) in [(40, 0), (41, 1)] {
        let mut scene = Scene::new(Meter::Tokens, 100, DECLARED);
        scene.call(0, (7_000, 7_000), 60);
        scene.call(10, (7_010, 13_999), last);
        assert_eq!(scene.over(), over, "{last}");
        assert!(scene.judged().exact);
        // In the next period there is room again.
        scene.call(20, (14_000, 14_000), 60);
        assert_eq!(scene.over(), over);
    }
}

#[test]
fn requests_count_where_they_were_admitted() {
    let mut scene = Scene::new(Meter::Requests, 1, Scope::Global);
    scene.call(0, (6_999, 7_001), 9);
    scene.call(10, (7_000, 7_000), 9);
    assert_eq!(scene.over(), 0);
    scene.call(20, (13_999, 14_001), 9);
    assert_eq!(scene.over(), 1);
}

#[test]
fn what_runs_over_the_end_of_a_period_was_held_in_it_and_is_charged_to_the_next() {
    let settled_in = |first: u64, settled_ms| {
        let mut scene = Scene::new(Meter::Tokens, 100, DECLARED);
        scene.call(0, (6_990, settled_ms), 60);
        scene.call(10, (first, first), 41);
        scene.over()
    };
    assert_eq!(settled_in(6_995, 7_001), 1, "held while the second was admitted");
    assert_eq!(settled_in(7_000, 7_001), 1, "charged to the period of the second");
    assert_eq!(settled_in(7_000, 6_999), 0);
}

#[test]
fn a_threshold_counts_from_the_answer_to_its_edit_and_a_reset_forgets() {
    let after = |edit: &dyn Fn(&mut Scene), ms: u64| {
        let mut scene = Scene::new(Meter::Tokens, 100, DECLARED);
        scene.call(0, (7_000, 7_000), 60);
        edit(&mut scene);
        scene.call(ms, (7_001, 7_001), 60);
        scene.over()
    };
    let raise = |scene: &mut Scene| {
        let line = Line { max: 120, ..scene.line };
        scene.record.configs[0].edit(vec![line], (100 * MS, 200 * MS));
    };
    assert_eq!([50, 150, 250].map(|ms| after(&raise, ms)), [1, 0, 0]);
    let reset = |scene: &mut Scene| scene.record.resets.push((scene.line.key, (100 * MS, 200 * MS)));
    assert_eq!([50, 150, 250].map(|ms| after(&reset, ms)), [1, 0, 0]);
    let recycle = |scene: &mut Scene| {
        let line = Line { length: Length { text: "5s", ms: 5_000 }, ..scene.line };
        scene.record.configs[0].edit(vec![line], (100 * MS, 200 * MS));
    };
    assert_eq!(after(&recycle, 250), 0, "what it kept is not counted here");
}

#[test]
fn what_a_hold_did_not_cover_is_debt_where_there_may_be_some_and_keeps_the_next_call_out() {
    let mut scene = Scene::new(Meter::Tokens, 100, Scope::Global);
    let call = scene.call(0, (7_000, 7_000), 150);
    (call.prompt, call.tree) = (90, 2);
    assert_eq!((scene.over(), scene.judged().finding.debt, scene.judged().exact), (0, 50, false));
    scene.call(10, (7_001, 7_001), 1);
    assert_eq!(scene.over(), 1);
    // Where nothing is charged but by asking, the same is a breach.
    let mut scene = Scene::new(Meter::Tokens, 100, DECLARED);
    scene.call(0, (7_000, 7_000), 150).prompt = 90;
    assert_eq!(scene.over(), 1);
}

#[test]
fn what_nobody_told_of_a_broken_answer_may_be_counted_too_high() {
    let mut scene = Scene::new(Meter::Tokens, 100, DECLARED);
    scene.call(0, (7_000, 7_000), 150).prompt = 90;
    scene.booked[0].estimated = true;
    assert_eq!((scene.over(), scene.judged().finding.debt), (0, 50));
}

#[test]
fn money_is_held_at_the_price_of_the_call() {
    let mut scene = Scene::new(Meter::Usd, 1_000_000, Scope::Global);
    let held = scene.price.hold(10, 0);
    let call = scene.call(0, (7_000, 7_000), held + 1_000_000);
    (call.prompt, call.tree) = (10, 2);
    assert_eq!((scene.over(), scene.judged().finding.debt), (0, held));
}
