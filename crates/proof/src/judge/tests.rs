use super::{Judgement, judge};
use crate::chance::Chance;
use crate::clock::SteppedClock;
use crate::history::{Call, Mode, Timeline};
use crate::windows::Span;
use crate::world::{self, Limits, Manners, Tree, World};

const TOKEN_MINUTE: usize = 1;
const TOKEN_DAY: usize = 2;
const REQUEST_MINUTE: usize = 4;
const MS: u64 = 1_000;

/// A chain of three groups without limits.
fn tree(mode: world::Mode, manners: Manners) -> Tree {
    let mut tree = World::draw(&mut Chance::new(1)).trees.swap_remove(0);
    (tree.mode, tree.manners) = (mode, manners);
    tree.groups.truncate(3);
    tree.limits = vec![Limits::default(); 3];
    tree
}

/// The root's one limit.
fn limited(kind: usize, threshold: Option<u64>) -> Vec<Limits> {
    let mut limits = vec![Limits::default(); 3];
    limits[0][0][kind] = threshold;
    limits
}

/// A call that was charged this many tokens, and held as many.
pub(crate) fn call(group: u16, ms: u64, tokens: u64) -> Call {
    Call {
        number: 0,
        id: 0,
        tree: 0,
        group,
        slug: 0,
        user: None,
        admitted: true,
        streamed: false,
        sent_us: ms * MS,
        span: Span { earliest_us: ms * MS, latest_us: ms * MS + 500 },
        settled_us: ms * MS + 900,
        prompt: tokens,
        declared: Some(0),
        tokens_min: tokens,
        tokens_max: tokens,
        cache: None,
    }
}

fn judged(tree: &Tree, timeline: &Timeline, calls: &[Call]) -> Judgement {
    judge((0, tree), timeline, calls, &SteppedClock::start(), Mode::Estimate)
}

#[test]
fn siblings_share_the_limit_above_them_in_a_cascading_tree_and_not_in_an_independent_one() {
    let timeline = Timeline::new(limited(TOKEN_MINUTE, Some(100)));
    let calls = [call(1, 0, 60), call(2, 10, 41)];
    let found = judged(&tree(world::Mode::Cascading, Manners::Declared), &timeline, &calls);
    let worst = found.finding.worst.unwrap();
    assert_eq!((worst.used, worst.cap, worst.calls.len()), (101, 100, 2));
    assert_eq!(found.worst.map(|counter| (counter.owner, counter.kind)), Some((0, TOKEN_MINUTE)));
    let apart = judged(&tree(world::Mode::Independent, Manners::Declared), &timeline, &calls);
    assert_eq!((apart.finding.over, apart.finding.fullest_permille), (0, 600));
}

#[test]
fn a_history_at_its_cap_passes_and_one_token_more_in_any_call_does_not() {
    let timeline = Timeline::new(limited(TOKEN_MINUTE, Some(100)));
    let tree = tree(world::Mode::Cascading, Manners::Declared);
    let history: Vec<Call> = (0..10).map(|n| call(1, n * 500, 10)).collect();
    assert_eq!(judged(&tree, &timeline, &history).finding.fullest_permille, 1_000);
    for mutated in 0..10 {
        let mut history = history.clone();
        history[mutated].tokens_min += 1;
        history[mutated].prompt += 1;
        assert_eq!(judged(&tree, &timeline, &history).finding.over, 1, "call {mutated}");
    }
}

#[test]
fn a_lowered_threshold_counts_from_the_answer_to_its_edit() {
    let tree = tree(world::Mode::Cascading, Manners::Declared);
    let mut timeline = Timeline::new(limited(REQUEST_MINUTE, Some(3)));
    timeline.edit(limited(REQUEST_MINUTE, Some(2)), (100 * MS, 200 * MS));
    let third_at =
        |ms| judged(&tree, &timeline, &[call(1, 0, 1), call(1, 1, 1), call(1, ms, 1)]).finding.over;
    assert_eq!([third_at(50), third_at(150), third_at(201)], [0, 0, 1]);
}

#[test]
fn a_limit_that_was_away_counts_no_call_of_that_time_and_keeps_what_it_had_unless_it_is_a_days() {
    let tree = tree(world::Mode::Cascading, Manners::Declared);
    for (kind, kept) in [(REQUEST_MINUTE, 1), (TOKEN_DAY, 0)] {
        let mut timeline = Timeline::new(limited(kind, Some(2)));
        timeline.edit(limited(kind, None), (100 * MS, 110 * MS));
        timeline.edit(limited(kind, Some(2)), (200 * MS, 210 * MS));
        let away = [call(1, 0, 1), call(1, 150, 1), call(1, 300, 1)];
        assert_eq!(judged(&tree, &timeline, &away).finding.over, 0);
        let kept_and_more = [call(1, 0, 1), call(1, 1, 1), call(1, 300, 1)];
        assert_eq!(judged(&tree, &timeline, &kept_and_more).finding.over, kept);
    }
}

#[test]
fn what_a_hold_did_not_cover_is_debt_in_a_wild_tree_and_a_breach_in_another() {
    let timeline = Timeline::new(limited(TOKEN_MINUTE, Some(100)));
    let long = Call { tokens_min: 150, ..call(1, 0, 90) };
    let of =
        |manners, calls: &[Call]| judged(&tree(world::Mode::Cascading, manners), &timeline, calls).finding;
    let alone = std::slice::from_ref(&long);
    assert_eq!((of(Manners::Wild, alone).over, of(Manners::Wild, alone).debt), (0, 50));
    assert_eq!(of(Manners::Declared, alone).over, 1);
    // Debt keeps the next call out.
    assert_eq!(of(Manners::Wild, &[long, call(2, 10, 1)]).over, 1);
}

#[test]
fn a_call_that_may_not_have_been_admitted_counts_nowhere() {
    let timeline = Timeline::new(limited(REQUEST_MINUTE, Some(1)));
    let perhaps = Call { admitted: false, ..call(1, 5, 1) };
    let found =
        judged(&tree(world::Mode::Cascading, Manners::Declared), &timeline, &[call(1, 0, 1), perhaps]);
    assert_eq!((found.finding.over, found.charges), (0, 1));
}
