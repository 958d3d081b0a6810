//! Properties of the engine over random traces, against an oracle that keeps every charge.
//!
//! Each test says which promises it proves. `PROPTEST_CASES` scales all of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod checks;
mod follower;
mod oracle;
mod random;
mod trace;

use domain::{LimitType, Meter, Now, THRESHOLD_MAX, Unit};
use limits::{CounterKey, Fit, Measure, Need, Reading, Size, Verdict};
use proptest::prelude::*;

use crate::checks::{
    calls_key, check_fits, check_grant, check_standings, check_state, day_key, holds_forbid,
    holds_forbid_more, without_guess, without_guesses_and_edits, without_states, without_wall,
};
use crate::follower::Follower;
use crate::random::{limits, need, steps};
use crate::trace::{Declared, Outcome, PATHS, START, Step, World, amount, group_of, line_key, output, room};

/// Traces of each property, where `PROPTEST_CASES` does not say otherwise.
const TRACES: u32 = 2_048;

fn traces() -> ProptestConfig {
    let otherwise = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig::default();
    if otherwise { config } else { ProptestConfig { cases: TRACES, ..config } }
}

proptest! {
    #![proptest_config(traces())]

    /// 1 strict cap, 8 overage in full, 9 refunds only where charged, 17 one day per charge, 18 a reset keeps pending:
    /// after every step every counter shows what the oracle's log shows, and no admission passes a cap in it.
    #[test]
    fn counters_follow_the_log_and_no_window_passes_its_cap(limits in limits(), steps in steps()) {
        let mut follower = Follower::new(&limits);
        for step in &steps {
            follower.step(step)?;
        }
    }

    /// 4 conservation: when every call has ended nothing is pending, and 10: a root's day is the sum of its subtree's.
    #[test]
    fn after_quiescence_nothing_is_pending_and_an_ancestor_has_the_sum_of_its_subtree(steps in steps()) {
        let limits: Vec<Declared> = [LimitType::Request, LimitType::Token].into_iter().flat_map(|kind| {
            (0..4).map(move |owner| Declared::new(day_key(owner, kind), 1_000))
        }).chain((0..4).map(|owner| Declared::new(calls_key(owner), 50))).collect();
        let elsewhere = |step: &Step| matches!(step, Step::Edit { .. } | Step::Ask { path: 3, .. });
        let steps: Vec<Step> = steps.into_iter().filter(|step| !elsewhere(step)).collect();
        let mut world = World::after(&limits, &steps);
        let [root, middle, left, right] = [0, 1, 2, 3].map(|owner| world.read(&calls_key(owner)).pending);
        prop_assert_eq!((root, middle), (u64::try_from(world.held.len()).unwrap(), root));
        prop_assert!(left + right <= middle);
        while !world.held.is_empty() {
            world.step(&Step::Settle { nth: 0, tokens: 3 });
        }
        for kind in [LimitType::Request, LimitType::Token] {
            let [root, middle, left, right] = [0, 1, 2, 3].map(|owner| world.read(&day_key(owner, kind)));
            prop_assert_eq!([root.pending, middle.pending, left.pending, right.pending], [0; 4]);
            prop_assert_eq!(root.used, middle.used);
            prop_assert!(left.used + right.used <= middle.used);
        }
        for owner in 0..4 {
            let none = Reading { used: 0, pending: 0, touched: false };
            prop_assert_eq!(world.read(&calls_key(owner)), none);
        }
    }

    /// 2 a refusal changes nothing, 3 a grant charges every counter on the path and no other, 14 an edit keeps what is
    /// used, 16 `remaining` is what is left after the charge, 23 an exhausted counter refuses a call of cost 0.
    #[test]
    fn a_grant_charges_the_whole_path_and_a_refusal_or_an_edit_nothing(limits in limits(), steps in steps()) {
        let mut world = World::new(&limits);
        for step in &steps {
            let before = world.read_all();
            let outcome = world.step(step);
            let after = world.read_all();
            match (step, outcome) {
                (Step::Ask { path, need, .. }, Outcome::Admitted { size, standings, .. }) => {
                    let on_path = world.on_path(*path);
                    check_grant(*need, size, room(&on_path, |key| {
                        let nth = world.limits.iter().position(|limit| limit.key == *key).unwrap();
                        before[nth].0 + before[nth].1
                    }))?;
                    for (limit, (before, after)) in world.limits.iter().zip(before.iter().zip(&after)) {
                        let amount = if on_path.contains(limit) { amount(&limit.key, size) } else { 0 };
                        prop_assert_eq!(before.0 + before.1 + amount, after.0 + after.1);
                        prop_assert!(!on_path.contains(limit) || before.0 + before.1 < limit.threshold);
                    }
                    check_standings(&world, &on_path, &standings)?;
                }
                (Step::Ask { path, .. }, Outcome::Refused { standings, .. }) => {
                    prop_assert_eq!(before, after);
                    check_standings(&world, &world.on_path(*path), &standings)?;
                }
                (Step::TopUp { nth, tokens, .. }, Outcome::ToppedUp) => {
                    let path = &world.held[nth % world.held.len()].path;
                    for (limit, (before, after)) in world.limits.iter().zip(before.iter().zip(&after)) {
                        let more = limit.key.measure.weighs() && path.iter().any(|on| on.key == limit.key);
                        let amount = if more { amount(&limit.key, output(*tokens)) } else { 0 };
                        prop_assert_eq!(before.0 + before.1 + amount, after.0 + after.1);
                    }
                }
                (Step::TopUp { .. }, _) => prop_assert_eq!(before, after),
                (Step::Edit { .. } | Step::Sweep, _) => prop_assert_eq!(before, after),
                _ => {}
            }
        }
    }

    /// 5 no counter is negative or wraps: with numbers as large as they come, what is admitted fits, exactly counted.
    #[test]
    fn numbers_at_the_edge_saturate(
        calls in prop::collection::vec((0..u64::MAX, 0..u64::MAX, 0..40_000_000_000_u64), 1..30),
        unit in prop_oneof![Just(Unit::Minute), Just(Unit::Day)],
    ) {
        let key = CounterKey { measure: Measure::Use(LimitType::Token, unit), ..day_key(0, LimitType::Token) };
        let mut world = World::new(&[Declared::new(key.clone(), THRESHOLD_MAX)]);
        let mut charges: Vec<(Now, u128)> = Vec::new();
        for (asked, used, pause) in calls {
            world.wait(pause);
            let need = Need::Declared { prompt: asked >> 3, output: asked >> 2 };
            let in_window = |at: &Now| match unit {
                Unit::Day => at.day() == world.now.day(),
                Unit::Second | Unit::Minute => at.mono_ns + 60_000_000_000 > world.now.mono_ns,
            };
            let exact: u128 = charges.iter().filter(|(at, _)| in_window(at)).map(|(_, amount)| amount).sum();
            if let Outcome::Admitted { size: Size { tokens, .. }, .. } = world.ask(2, need, 0) {
                prop_assert!(exact + u128::from(tokens.max(1)) <= u128::from(THRESHOLD_MAX));
                let more = used >> 2;
                let grown = exact + u128::from(tokens) + u128::from(more.max(1));
                match world.step(&Step::TopUp { nth: 0, tokens: more, lag: 0 }) {
                    Outcome::ToppedUp => prop_assert!(grown <= u128::from(THRESHOLD_MAX)),
                    Outcome::Nothing
                    | Outcome::Admitted { .. }
                    | Outcome::Refused { .. }
                    | Outcome::NotToppedUp { .. } => prop_assert!(unit != Unit::Day || grown > u128::from(THRESHOLD_MAX)),
                }
                charges.push((world.now, used.into()));
                world.step(&Step::Settle { nth: 0, tokens: used });
            }
        }
        prop_assert_eq!(world.read(&key).pending, 0);
    }

    /// 11 a sibling's traffic changes nothing about limits that only the caller has.
    #[test]
    fn a_sibling_changes_no_verdict_on_own_limits(limits in limits(), steps in steps()) {
        let own: Vec<Declared> = limits.into_iter().filter(|limit| group_of(&limit.key).is_some_and(|group| group >= 2)).collect();
        let alone = |step: &Step| matches!(step, Step::Wait(_) | Step::Ask { path: 0, .. } | Step::Sweep);
        let with_sibling = |step: &Step| alone(step) || matches!(step, Step::Ask { path: 1, .. });
        let verdicts = |keep: &dyn Fn(&Step) -> bool| {
            let mut world = World::new(&own);
            let kept = steps.iter().filter(|step| keep(step));
            let outcomes = kept.map(|step| (matches!(step, Step::Ask { path: 0, .. }), world.step(step)));
            outcomes.filter_map(|(mine, outcome)| mine.then_some(outcome)).collect::<Vec<_>>()
        };
        prop_assert_eq!(verdicts(&alone), verdicts(&with_sibling));
    }

    /// 12 a limit that is never reached changes no verdict, be it a group's or a line's.
    #[test]
    fn an_unlimited_group_or_line_changes_no_verdict(limits in limits(), steps in steps()) {
        // An edit would be one of another limit, where there is one more.
        let is_edit = |step: &Step| matches!(step, Step::Reset { .. } | Step::Recycle { .. });
        let steps: Vec<Step> = steps.into_iter().filter(|step| !is_edit(step)).collect();
        let steps: Vec<Step> = steps.into_iter().filter_map(without_guesses_and_edits).collect();
        let verdicts = |limits: &[Declared]| {
            let mut world = World::new(limits);
            steps.iter().map(|step| without_states(world.step(step))).collect::<Vec<_>>()
        };
        let groups = |limit: &Declared| group_of(&limit.key).is_some_and(|group| group != 0);
        let below: Vec<Declared> = limits.iter().filter(|limit| groups(limit)).cloned().collect();
        let unlimited = |key| Declared::new(key, THRESHOLD_MAX);
        // Each is the last of its path.
        for (without, last) in [
            (below, unlimited(day_key(0, LimitType::Token))),
            (limits.into_iter().filter(|limit| limit.key != line_key(3, Meter::Usd)).collect(), unlimited(line_key(3, Meter::Usd))),
        ] {
            let mut with = without.clone();
            with.push(last);
            prop_assert_eq!(verdicts(&without), verdicts(&with));
        }
    }

    /// 13 on one state of one representation, a higher threshold never turns a grant into a refusal.
    #[test]
    fn a_higher_threshold_never_refuses_what_a_lower_one_grants(
        limits in limits(),
        steps in steps(),
        asked in (0..PATHS.len(), need().prop_map(without_guess)),
        raised in (0..64_usize, 1..100_u64),
    ) {
        let (path, need) = asked;
        let mut before = World::after(&limits, &steps);
        let mut after = World::after(&limits, &steps);
        let nth = raised.0 % after.limits.len();
        let lower = &after.limits[nth];
        let higher = lower.threshold + raised.1;
        let is_log = matches!(lower.key.measure, Measure::Use(LimitType::Request, _)) && lower.threshold <= 64;
        let threshold = if is_log { higher.min(64) } else { higher };
        after.step(&Step::Edit { nth, threshold });
        if let Outcome::Admitted { .. } = before.ask(path, need, 0) {
            let granted = matches!(after.ask(path, need, 0), Outcome::Admitted { .. });
            prop_assert!(granted);
        }
    }

    /// 15 `Retry-After` is sufficient and tight: in a world that stands still from the refusal on, the same call passes
    /// then, and one millisecond earlier it does not.
    #[test]
    fn the_wait_is_sufficient_and_tight(limits in limits(), steps in steps()) {
        let mut world = World::new(&limits);
        for (nth, step) in steps.iter().enumerate() {
            let outcome = world.step(step);
            let (Step::Ask { path, need, .. }, Outcome::Refused { verdict, .. }) = (step, outcome) else { continue };
            let asks_later = |wait: u64| {
                let mut frozen = World::after(&limits, &steps[..nth]);
                frozen.wait(wait);
                frozen.ask(*path, *need, 0)
            };
            match verdict {
                Verdict::NeverFits | Verdict::Blocked => {
                    let Outcome::Refused { verdict: later, .. } = asks_later(200_000_000_000_000) else {
                        return Err(TestCaseError::fail("what can never fit fits"));
                    };
                    // What was in the way beside the budget may have left.
                    prop_assert!(later == verdict || (verdict, later) == (Verdict::Blocked, Verdict::NeverFits));
                }
                Verdict::Wait { hold_may_end: true, .. } => prop_assert!(!world.held.is_empty()),
                // What is held alone forbids it for ever: there is no such time while nothing settles.
                Verdict::Wait { .. } if holds_forbid(&world, *path, *need) => {}
                Verdict::Wait { nanos, .. } => {
                    let passes = matches!(asks_later(nanos), Outcome::Admitted { .. });
                    prop_assert!(passes, "{} is not sufficient", nanos);
                    let early = asks_later(nanos.saturating_sub(1_000_000));
                    let refused = matches!(early, Outcome::Refused { .. });
                    prop_assert!(refused, "{} is not tight", nanos);
                }
            }
        }
    }

    /// 15 for top-ups: in a world that stands still the same top-up is granted then, and not a millisecond earlier.
    #[test]
    fn the_wait_for_a_top_up_is_sufficient_and_tight(limits in limits(), steps in steps()) {
        let mut world = World::new(&limits);
        for (nth, step) in steps.iter().enumerate() {
            let outcome = world.step(step);
            let (Step::TopUp { nth: call, tokens, .. }, Outcome::NotToppedUp { verdict, .. }) = (step, outcome) else {
                continue;
            };
            let asks_later = |wait: u64| {
                let mut frozen = World::after(&limits, &steps[..nth]);
                frozen.wait(wait);
                frozen.step(&Step::TopUp { nth: *call, tokens: *tokens, lag: 0 })
            };
            match verdict {
                Verdict::NeverFits | Verdict::Blocked => {
                    let never = matches!(
                        asks_later(200_000_000_000_000),
                        Outcome::NotToppedUp { verdict: Verdict::NeverFits | Verdict::Blocked, .. }
                    );
                    prop_assert!(never);
                }
                Verdict::Wait { hold_may_end: true, nanos } => prop_assert_eq!(nanos, 1_000_000_000),
                // What is held alone forbids it for ever: there is no such time while nothing settles.
                Verdict::Wait { .. } if holds_forbid_more(&world, *call, *tokens) => {}
                Verdict::Wait { nanos, .. } => {
                    prop_assert_eq!(asks_later(nanos), Outcome::ToppedUp);
                    let early = asks_later(nanos.saturating_sub(1_000_000));
                    let refused = matches!(early, Outcome::NotToppedUp { .. });
                    prop_assert!(refused, "{} is not tight", nanos);
                }
            }
        }
    }

    /// What an admission saw is what stands right after it: the numbers to the last token, the times of days to the
    /// millisecond; of those of rolling windows, more is never left before it is foretold, and all is back when it is.
    #[test]
    fn what_an_admission_saw_is_what_stands_after_it(limits in limits(), steps in steps()) {
        let mut world = World::new(&limits);
        for step in &steps {
            let outcome = world.step(step);
            let (Step::Ask { path, .. }, Outcome::Admitted { seen, size, .. }) = (step, outcome) else { continue };
            let after = world.explain(*path, Need::Observed).limits;
            let on_path = world.on_path(*path);
            prop_assert_eq!(seen.len(), after.len());
            for (limit, (seen, after)) in on_path.iter().zip(seen.iter().zip(&after)) {
                prop_assert_eq!(seen.reading, after.reading);
                prop_assert_eq!((seen.remaining, seen.debt, seen.fit), (after.remaining, 0, Fit::Fits));
                prop_assert_eq!(seen.restored_in.is_some(), after.restored_in.is_some());
                prop_assert_eq!(seen.eases_in.is_some(), after.eases_in.is_some());
                prop_assert!(seen.restored_in >= after.restored_in && seen.eases_in <= after.eases_in);
                let has_periods = limit.key.measure.has_periods();
                prop_assert!(!has_periods || seen.eases_in == after.eases_in);
                let is_exact = has_periods || amount(&limit.key, size) > 0;
                prop_assert!(!is_exact || seen.restored_in == after.restored_in);
            }
        }
    }

    /// 19 a step of the wall clock, of any size, leaves every rolling verdict as it is.
    #[test]
    fn a_wall_clock_that_jumps_changes_no_rolling_verdict(
        limits in limits(),
        steps in steps(),
        jumps in prop::collection::vec(0..400_000_000_u64, 60),
    ) {
        let rolling = |limit: &Declared| !limit.key.measure.has_periods();
        let limits: Vec<Declared> = limits.into_iter().filter(rolling).collect();
        let (mut steady, mut jumping) = (World::new(&limits), World::new(&limits));
        for (step, jump) in steps.iter().zip(jumps) {
            // Set back past what is tolerated, now and then.
            jumping.skew_ms = if jump < 50_000_000 { 0 } else { jumping.skew_ms + jump };
            jumping.engine.lower_wall(jumping.now.wall_ms.min(START.start_ms() + jumping.skew_ms));
            jumping.wait(0);
            prop_assert_eq!(without_wall(steady.step(step)), without_wall(jumping.step(step)));
        }
    }

    /// An explanation is the verdict of the same call at that moment: admitted with as many tokens, or refused by the
    /// same limit with the same wait; and it shows the very numbers that the call's own limits have then.
    #[test]
    fn an_explanation_agrees_with_the_call_that_comes_after_it(limits in limits(), steps in steps()) {
        let mut world = World::new(&limits);
        for step in &steps {
            let Step::Ask { path, need, .. } = step else {
                world.step(step);
                continue;
            };
            let explained = world.explain(*path, *need);
            let on_path = world.on_path(*path);
            prop_assert_eq!(explained.limits.len(), on_path.len());
            prop_assert_eq!(explained.at, world.now);
            for (limit, state) in on_path.iter().zip(&explained.limits) {
                check_state(&world, limit, state)?;
            }
            match world.step(step) {
                Outcome::Admitted { size, standings, .. } => {
                    prop_assert_eq!((explained.asked, explained.refusal), (size, None));
                    prop_assert!(explained.limits.iter().all(|state| state.fit == Fit::Fits));
                    for standing in standings {
                        let amount = amount(&on_path[standing.limit].key, size);
                        let before = explained.limits[standing.limit].remaining;
                        prop_assert_eq!(before, standing.remaining + amount);
                    }
                }
                Outcome::Refused { limit, verdict, standings, states, at } => {
                    prop_assert_eq!((&states, at), (&explained.limits, explained.at));
                    prop_assert_eq!(explained.refusal, Some((limit, verdict)));
                    check_fits(&explained, limit, verdict)?;
                    for standing in standings {
                        let state = explained.limits[standing.limit];
                        prop_assert_eq!(state.remaining, standing.remaining);
                    }
                }
                Outcome::Nothing | Outcome::ToppedUp | Outcome::NotToppedUp { .. } => {
                    return Err(TestCaseError::fail("an ask has an outcome"));
                }
            }
        }
    }

    /// Explanations change nothing: a world in which everybody asks about every path all the time holds the same in the
    /// same counters, none more open than in its twin where nobody asks, and every call has the same outcome.
    #[test]
    fn explanations_leave_every_counter_as_it_is(limits in limits(), steps in steps(), need in need()) {
        let mut asked = World::new(&limits);
        let mut quiet = World::new(&limits);
        for step in &steps {
            for path in 0..PATHS.len() {
                let _explained = asked.explain(path, need);
            }
            prop_assert_eq!(asked.step(step), quiet.step(step));
            prop_assert_eq!(asked.peek_all(), quiet.peek_all());
        }
    }

    /// What an explanation foretells of a counter comes about in a world that stands still: then more is left, and a
    /// millisecond earlier it is not; and in the end all of it is back.
    #[test]
    fn a_limit_eases_and_is_restored_when_the_explanation_says_so(limits in limits(), steps in steps()) {
        let state = |world: &World, path, nth: usize| world.explain(path, Need::Observed).limits[nth];
        // A threshold that crossed 64 changes its counter at the next call, and an exact log that is still one lets go
        // earlier than the ring that was foretold. So the change is made first.
        let bound = || {
            let world = World::after(&limits, &steps);
            (0..PATHS.len()).for_each(|path| drop(world.bind(path)));
            world
        };
        let later = |path, nth, wait| {
            let mut world = bound();
            world.wait(wait);
            state(&world, path, nth)
        };
        let world = bound();
        for path in 0..PATHS.len() {
            for nth in 0..world.on_path(path).len() {
                let now = state(&world, path, nth);
                if let Some(wait) = now.eases_in {
                    let held_down = now.reading.pending >= world.on_path(path)[nth].threshold;
                    prop_assert!(later(path, nth, wait).remaining > now.remaining || held_down);
                    prop_assert_eq!(later(path, nth, wait.saturating_sub(1_000_000)).remaining, now.remaining);
                }
                if let Some(wait) = now.restored_in {
                    prop_assert_eq!(later(path, nth, wait).reading.used, 0);
                    prop_assert!(later(path, nth, wait.saturating_sub(1_000_000)).reading.used > 0);
                }
            }
        }
    }

    /// 24 the same trace has the same outcomes, and 25: late readings of the clock are part of it.
    #[test]
    fn the_same_trace_has_the_same_outcomes(limits in limits(), steps in steps()) {
        let run = || {
            let mut world = World::new(&limits);
            steps.iter().map(|step| world.step(step)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

/// A ring refuses at most one slot in S + 1: 98 % of a minute's threshold is usable, and 90 % of a second's.
#[test]
fn sustained_use_is_close_to_the_threshold() {
    for (unit, window_ns, per_cent) in [(Unit::Minute, 60_000_000_000, 98), (Unit::Second, 1_000_000_000, 90)]
    {
        let key =
            CounterKey { measure: Measure::Use(LimitType::Token, unit), ..day_key(0, LimitType::Token) };
        let threshold = 2_000;
        let mut world = World::new(&[Declared::new(key, threshold)]);
        // Evenly spaced calls, a little more than fit.
        let spacing = window_ns / threshold * 99 / 100;
        let (windows, mut admitted) = (20, 0);
        for _ in 0..windows * window_ns / spacing {
            world.wait(spacing);
            let outcome = world.ask(2, Need::Declared { prompt: 1, output: 0 }, 0);
            admitted += u64::from(matches!(outcome, Outcome::Admitted { .. }));
        }
        let usable = threshold * windows;
        assert!(admitted * 100 >= usable * per_cent, "{unit:?}: {admitted} of {usable}");
        assert!(admitted <= usable + threshold);
    }
}
