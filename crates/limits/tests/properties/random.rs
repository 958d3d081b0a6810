//! What random traces are made of: limits, and steps.

use domain::{Cycle, Day, LimitType, Meter, Unit};
use limits::{Measure, Need};
use proptest::prelude::*;
use proptest::sample::select;

use crate::trace::{By, Declared, GROUPS, LINES, PATHS, START, Step, group_of, key, line_key};

/// Up to twelve limits, at most one for each counter.
pub(crate) fn limits() -> impl Strategy<Value = Vec<Declared>> {
    let of_group = (0..GROUPS, measure()).prop_map(|(group, measure)| key(group, measure));
    let meters = select(vec![Meter::Requests, Meter::Tokens, Meter::Usd]);
    let of_line = (0..LINES, meters).prop_map(|(line, meter)| line_key(line, meter));
    let declared = (prop_oneof![3 => of_group, 1 => of_line], cycle()).prop_flat_map(|(key, any)| {
        let cycle = if group_of(&key).is_some() { Cycle::DAYS } else { any };
        threshold(key.measure).prop_map(move |threshold| Declared { key: key.clone(), threshold, cycle })
    });
    prop::collection::vec(declared, 1..12).prop_map(|mut limits| {
        let all = limits.clone();
        let mut nth = 0;
        limits.retain(|limit| {
            nth += 1;
            !all[..nth - 1].iter().any(|earlier| earlier.key == limit.key)
        });
        limits
    })
}

/// From less than a second to a month, anchored before and after the start.
fn cycle() -> impl Strategy<Value = Cycle> {
    let lengths =
        prop_oneof![300..5_000_u64, 20_000..200_000_u64, Just(3_600_000), Just(100 * Day::LENGTH_MS)];
    let anchors = START.start_ms() - 1_000_000..START.end_ms() + 1_000_000;
    prop_oneof![
        4 => (anchors, lengths).prop_map(|(anchor_ms, length_ms)| Cycle::Lattice { anchor_ms, length_ms }),
        1 => Just(Cycle::DAYS),
        1 => (1..3_u32).prop_map(Cycle::Months),
    ]
}

fn measure() -> impl Strategy<Value = Measure> {
    let kinds = select(vec![LimitType::Request, LimitType::Token]);
    let units = select(vec![Unit::Second, Unit::Minute, Unit::Day]);
    prop_oneof![
        6 => (kinds, units).prop_map(|(kind, unit)| Measure::Use(kind, unit)),
        1 => Just(Measure::Concurrency),
    ]
}

/// Request thresholds on both sides of the longest log.
fn threshold(measure: Measure) -> BoxedStrategy<u64> {
    match measure {
        Measure::Use(LimitType::Request, _) | Measure::Spend(Meter::Requests) => {
            prop_oneof![3 => 1..8_u64, 1 => 60..70_u64].boxed()
        }
        Measure::Use(LimitType::Token, _) | Measure::Spend(Meter::Tokens) => (1..300_u64).boxed(),
        Measure::Spend(Meter::Usd) => (1..900_u64).boxed(),
        Measure::Concurrency => (1..5_u64).boxed(),
    }
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..64_usize;
    prop_oneof![
        4 => pause().prop_map(Step::Wait),
        8 => ask(),
        3 => top_up(nth.clone()),
        4 => (nth.clone(), 0..200_u64).prop_map(|(nth, tokens)| Step::Settle { nth, tokens }),
        1 => nth.clone().prop_map(|nth| Step::Release { nth }),
        1 => nth.clone().prop_map(|nth| Step::Cancel { nth }),
        1 => (nth, prop_oneof![1..8_u64, 60..300_u64]).prop_map(|(nth, threshold)| Step::Edit { nth, threshold }),
        1 => Just(Step::Sweep),
        1 => (0..64_usize).prop_map(|nth| Step::Reset { nth }),
        1 => recycle(),
    ]
}

fn ask() -> impl Strategy<Value = Step> {
    (0..PATHS.len(), need(), lag()).prop_map(|(path, need, lag)| Step::Ask { path, need, lag })
}

fn recycle() -> impl Strategy<Value = Step> {
    let told = select(vec![By::Telling, By::Binding]);
    (0..64_usize, cycle(), told).prop_map(|(nth, cycle, told)| Step::Recycle { nth, cycle, told })
}

fn top_up(nth: impl Strategy<Value = usize>) -> impl Strategy<Value = Step> {
    let tokens = prop_oneof![3 => 0..60_u64, 1 => 0..400_u64];
    (nth, tokens, lag()).prop_map(|(nth, tokens, lag)| Step::TopUp { nth, tokens, lag })
}

fn lag() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => 0..1_500_000_000_u64]
}

pub(crate) fn need() -> impl Strategy<Value = Need> {
    prop_oneof![
        4 => (0..40_u64, 0..80_u64).prop_map(|(prompt, output)| Need::Declared { prompt, output }),
        2 => (0..40_u64, 0..400_u64).prop_map(|(prompt, output)| Need::Guessed { prompt, output }),
        2 => (0..40_u64, 0..200_u64, 0..60_u64)
            .prop_map(|(prompt, output, least)| Need::Fitting { prompt, output, least }),
        1 => Just(Need::Observed),
    ]
}

/// From within a step of a ring to over midnight.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0_u64),
        2 => 0..50_000_u64,
        4 => 0..300_000_000_u64,
        4 => 0..5_000_000_000_u64,
        3 => 0..70_000_000_000_u64,
        1 => 0..100_000_000_000_000_u64,
    ]
}
