use super::{Admission, Late, Span, WITHOUT_END, slide};
use crate::chance::Chance;

const SECOND: u64 = 1_000_000;

fn at(us: u64, amount: u64, cap: u64) -> Admission {
    between(us, us, amount, cap)
}

fn between(earliest_us: u64, latest_us: u64, amount: u64, cap: u64) -> Admission {
    let call = u32::try_from(earliest_us % 1_000_000).unwrap();
    Admission { span: Span { earliest_us, latest_us }, amount, cap, call }
}

fn late(earliest_us: u64, latest_us: u64, amount: u64) -> Late {
    Late { span: Span { earliest_us, latest_us }, amount, call: 0 }
}

/// Ten a second, evenly, for ten seconds: every window is exactly full.
fn even() -> Vec<Admission> {
    (0..100).map(|n| at(n * SECOND / 10, 1, 10)).collect()
}

#[test]
fn a_history_exactly_at_its_cap_passes() {
    let found = slide(even(), Vec::new(), SECOND);
    assert_eq!((found.windows, found.over, found.fullest_permille), (100, 0, 1_000));
}

#[test]
fn one_charge_too_many_is_found_and_by_how_much_and_whose() {
    let mut history = even();
    history.push(at(5 * SECOND + 1, 7, 10));
    let found = slide(history, Vec::new(), SECOND);
    let worst = found.worst.unwrap();
    assert_eq!((worst.used, worst.cap, worst.calls.len()), (17, 10, 11));
    assert!(worst.calls.contains(&1) && (worst.from_us..=worst.until_us).contains(&(5 * SECOND + 1)));
}

#[test]
fn every_single_mutation_that_moves_a_charge_into_a_full_window_is_found() {
    // Charges of a window stand at 0 and 0.9 s by turns, so that each pair apart by less than a second is full.
    for moved in 1..100 {
        let mut history = even();
        history[moved].span.earliest_us -= 1;
        history[moved].span.latest_us -= 1;
        let found = slide(history, Vec::new(), SECOND);
        // Only the last ten can move towards those before them and meet nobody behind.
        assert_eq!(found.over > 0, moved >= 10, "{moved}");
    }
}

#[test]
fn what_is_a_whole_window_apart_is_never_added_up() {
    assert_eq!(slide(vec![at(7, 5, 5), at(7 + SECOND, 5, 5)], Vec::new(), SECOND).over, 0);
    assert_eq!(slide(vec![at(7, 5, 5), at(6 + SECOND, 5, 5)], Vec::new(), SECOND).over, 1);
}

#[test]
fn a_day_takes_in_everything() {
    let found = slide(vec![at(0, 5, 9), at(80_000 * SECOND, 5, 9)], Vec::new(), WITHOUT_END);
    assert_eq!(found.worst.unwrap().used, 10);
}

#[test]
fn a_charge_of_which_the_time_is_not_sure_counts_only_where_it_must_have_been() {
    let unsure =
        |earliest, latest| slide(vec![between(earliest, latest, 5, 5), at(SECOND, 5, 5)], Vec::new(), SECOND);
    assert_eq!(unsure(0, 10).over, 0);
    assert_eq!(unsure(1, SECOND - 1).over, 1);
    assert_eq!(unsure(1, SECOND + 10).over, 0, "it may have come a window after the other");
    assert_eq!(unsure(20, SECOND + 10).over, 1);
}

#[test]
fn the_threshold_at_the_last_admission_counts() {
    let lowered = slide(vec![at(0, 8, 10), at(1, 1, 5)], Vec::new(), SECOND);
    assert_eq!(lowered.worst.map(|worst| (worst.used, worst.cap)), Some((9, 5)));
    assert_eq!(slide(vec![at(0, 8, 10), at(1, 8, 20)], Vec::new(), SECOND).over, 0);
    // Whose threshold was the last nobody can say here.
    assert_eq!(slide(vec![between(0, 9, 8, 20), between(1, 8, 1, 5)], Vec::new(), SECOND).over, 0);
}

#[test]
fn late_charges_are_debt_and_keep_the_next_call_out() {
    let history = || vec![at(0, 5, 10), at(10, 5, 10)];
    let found = slide(history(), vec![late(11, 20, 90)], SECOND);
    assert_eq!((found.over, found.debt), (0, 90), "nobody was let in after it");
    let mut next = history();
    next.push(at(30, 1, 10));
    let found = slide(next, vec![late(11, 20, 90)], SECOND);
    assert_eq!((found.over, found.debt), (1, 90));
}

#[test]
fn a_full_counter_keeps_out_what_holds_nothing() {
    let full = |cap| slide(vec![at(0, 0, cap), at(30, 0, cap)], vec![late(1, 2, 10)], SECOND).over;
    assert_eq!((full(10), full(11)), (1, 0));
}

/// All windows there are, by trying each pair of charges as its ends.
fn brute(history: &[Admission]) -> u64 {
    let ends_over = |last: &Admission| {
        let inside = |a: &&Admission| {
            a.span.latest_us <= last.span.latest_us && a.span.earliest_us + SECOND > last.span.latest_us
        };
        history.iter().filter(inside).map(|a| a.amount).sum::<u64>() > last.cap
    };
    u64::try_from(history.iter().filter(|last| ends_over(last)).count()).unwrap()
}

#[test]
fn sliding_finds_what_looking_at_every_window_finds() {
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let mut times: Vec<u64> = (0..60).map(|_| chance.between(0, 5 * SECOND)).collect();
        times.sort_unstable();
        times.dedup();
        let history: Vec<Admission> = times.iter().map(|us| at(*us, chance.between(1, 4), 30)).collect();
        assert_eq!(slide(history.clone(), Vec::new(), SECOND).over, brute(&history), "seed {seed}");
    }
}
