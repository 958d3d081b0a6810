//! Where periods begin and end, against an oracle that counts days by hand; and what is a duration.

use domain::{Cycle, Period, ResetDuration};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
/// Up to about the year 2526.
const WALL_MS_MAX: u64 = 203_000 * DAY_MS;
/// 1970-01-05T00:00:00Z.
const FIRST_MONDAY_MS: u64 = 4 * DAY_MS;

fn duration(text: &str) -> ResetDuration {
    text.parse().unwrap_or_else(|_| panic!("{text} is a duration"))
}

fn aligned(text: &str) -> Cycle {
    duration(text).calendar(0)
}

#[expect(clippy::fn_params_excessive_bools, reason = "a config says it by a flag")]
fn cycle_of(duration: &ResetDuration, is_aligned: bool, created_ms: u64) -> Cycle {
    if is_aligned { duration.calendar(created_ms) } else { duration.lattice(created_ms) }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Midnight of a day, counted from 1970 month by month.
fn midnight(year: u64, month: u64, day: u64) -> u64 {
    let before = (1970..year).flat_map(|year| (1..=12).map(move |month| days_of(year, month)));
    let this_year = (1..month).map(|month| days_of(year, month));
    (before.chain(this_year).sum::<u64>() + day - 1) * DAY_MS
}

/// The first of the month that comes so many months after January 1970.
fn first_of(month: u64) -> u64 {
    midnight(1970 + month / 12, month % 12 + 1, 1)
}

/// What is written, and what it has to be where it is aligned.
fn cycles() -> impl Strategy<Value = Cycle> {
    let lattice = (0..WALL_MS_MAX, 1_u64..400 * DAY_MS)
        .prop_map(|(anchor_ms, length_ms)| Cycle::Lattice { anchor_ms, length_ms });
    let months = (1_u32..40).prop_map(Cycle::Months);
    let written = prop_oneof![
        Just("daily"),
        Just("7d"),
        Just("2w"),
        Just("1M"),
        Just("3M"),
        Just("1Y"),
        Just("90m"),
        Just("1.5d"),
    ];
    let written = (written, any::<bool>(), 0..WALL_MS_MAX)
        .prop_map(|(text, aligned, created_ms)| cycle_of(&duration(text), aligned, created_ms));
    prop_oneof![lattice, months, written]
}

proptest! {
    #[test]
    fn every_millisecond_lies_in_exactly_one_period(cycle in cycles(), wall_ms in 0..WALL_MS_MAX) {
        let Period { start_ms, end_ms } = cycle.period(wall_ms);
        prop_assert!(start_ms <= wall_ms && wall_ms < end_ms);
        let within = [start_ms, end_ms - 1].map(|ms| cycle.period(ms));
        prop_assert_eq!(within, [Period { start_ms, end_ms }; 2], "all of it is one period");
        prop_assert_eq!(cycle.period(end_ms).start_ms, end_ms, "and the next begins where it ends");
        if let Some(before) = start_ms.checked_sub(1) {
            prop_assert_eq!(cycle.period(before).end_ms, start_ms);
        }
    }

    #[test]
    fn aligned_months_begin_on_the_first_of_every_so_many(months in 1_u64..40, wall_ms in 0..WALL_MS_MAX) {
        let period = aligned(&format!("{months}M")).period(wall_ms);
        let first = (0..).step_by(usize::try_from(months).unwrap())
            .map(|month| (month, first_of(month)))
            .take_while(|(_, start_ms)| *start_ms <= wall_ms)
            .last();
        let (first, start_ms) = first.unwrap();
        prop_assert_eq!(period, Period { start_ms, end_ms: first_of(first + months) });
    }

    #[test]
    fn aligned_days_and_weeks_are_counted_from_the_first_monday(days in 1_u64..40, wall_ms in FIRST_MONDAY_MS..WALL_MS_MAX) {
        let period = aligned(&format!("{days}d")).period(wall_ms);
        let nth = (wall_ms - FIRST_MONDAY_MS) / DAY_MS / days;
        let start_ms = FIRST_MONDAY_MS + nth * days * DAY_MS;
        prop_assert_eq!(period, Period { start_ms, end_ms: start_ms + days * DAY_MS });
        prop_assert_eq!(aligned(&format!("{days}w")), aligned(&format!("{}d", days * 7)));
    }

    /// Case 85: a boundary is a function of the anchor, whatever was looked at before.
    #[test]
    fn bifrost_case_85_boundaries_of_a_lattice_stay_on_it(
        created_ms in 0..WALL_MS_MAX, seconds in 1_u64..10_000_000, later_ms in 0..WALL_MS_MAX,
    ) {
        let cycle = duration(&format!("{seconds}s")).lattice(created_ms);
        let period = cycle.period(created_ms + later_ms);
        prop_assert_eq!((period.start_ms - created_ms) % (seconds * 1_000), 0);
        prop_assert_eq!(period.end_ms - period.start_ms, seconds * 1_000);
    }

    /// Case 88: what is shorter than a day, or no whole number of days, follows no calendar.
    #[test]
    fn bifrost_case_88_what_the_calendar_does_not_have_stays_on_the_lattice(
        created_ms in 0..WALL_MS_MAX, number in 1_u64..290,
    ) {
        for text in ["s", "m", "h", "h30m", "ms", ".5d", ".5w", ".5M", ".25Y"] {
            let duration = duration(&format!("{number}{text}"));
            prop_assert_eq!(duration.calendar(created_ms), duration.lattice(created_ms), "{}", text);
        }
    }

    #[test]
    fn a_duration_is_read_back_as_it_was_written(text in "[0-9]{1,4}(\\.[0-9]{1,3})?(d|w|M|Y|h|m|s|ms)") {
        if let Ok(duration) = text.parse::<ResetDuration>() {
            prop_assert_eq!(duration.as_str(), &*text);
            let kept: ResetDuration = serde_json::from_value(serde_json::to_value(&duration).unwrap()).unwrap();
            prop_assert_eq!(kept, duration);
        }
    }

    #[test]
    fn no_text_is_more_than_refused(text in "\\PC{0,12}", wall_ms: u64, created_ms: u64, is_aligned: bool) {
        if let Ok(duration) = text.parse::<ResetDuration>() {
            prop_assert!(duration.length_ms() > 0);
            let period = cycle_of(&duration, is_aligned, created_ms).period(wall_ms);
            prop_assert!(period.start_ms <= period.end_ms);
        }
    }
}

#[test]
fn bifrost_case_84_a_short_period_ends_when_its_time_has_come() {
    let cycle = duration("1s").lattice(500);
    assert_eq!(cycle.period(1_499), Period { start_ms: 500, end_ms: 1_500 });
    assert_eq!(cycle.period(1_500).start_ms, 1_500);
}

#[test]
fn bifrost_case_86_aligned_periods_begin_where_people_expect_it() {
    // A Wednesday, 12:00.
    let now = midnight(2026, 5, 13) + DAY_MS / 2;
    for (text, (year, month, day)) in [
        ("1d", (2026, 5, 13)),
        ("1w", (2026, 5, 11)),
        ("7d", (2026, 5, 11)),
        ("1M", (2026, 5, 1)),
        ("3M", (2026, 4, 1)),
        ("6M", (2026, 1, 1)),
        ("1Y", (2026, 1, 1)),
        ("2Y", (2026, 1, 1)),
        ("5Y", (2025, 1, 1)),
    ] {
        assert_eq!(aligned(text).period(now).start_ms, midnight(year, month, day), "{text}");
    }
}

#[test]
fn bifrost_case_87_months_and_years_last_to_their_last_day() {
    for (text, year, month, day, (next_year, next_month)) in [
        ("1M", 2026, 1, 29, (2026, 2)),
        ("1M", 2026, 1, 30, (2026, 2)),
        ("1M", 2026, 1, 31, (2026, 2)),
        ("1M", 2028, 2, 29, (2028, 3)),
        ("1M", 2027, 2, 28, (2027, 3)),
        ("1M", 2100, 2, 28, (2100, 3)),
        ("3M", 2026, 3, 31, (2026, 4)),
        ("1Y", 2028, 12, 31, (2029, 1)),
        ("1Y", 2027, 12, 31, (2028, 1)),
    ] {
        let last_ms = midnight(year, month, day) + DAY_MS - 1;
        let end_ms = aligned(text).period(last_ms).end_ms;
        assert_eq!(end_ms, midnight(next_year, next_month, 1), "{text} on {year}-{month}-{day}");
    }
}

#[test]
fn bifrost_case_89_words_mean_their_lengths_aligned_or_not() {
    for (word, written) in
        [("daily", "1d"), ("weekly", "1w"), ("monthly", "1M"), ("yearly", "1Y"), ("Monthly", "1M")]
    {
        let (word, written) = (duration(word), duration(written));
        assert_eq!(word.length_ms(), written.length_ms());
        for is_aligned in [false, true] {
            assert_eq!(cycle_of(&word, is_aligned, 77), cycle_of(&written, is_aligned, 77), "{word}");
        }
    }
}

#[test]
fn bifrost_case_14_one_length_may_be_written_in_many_ways() {
    for (one, other) in [
        ("24h", "1d"),
        ("60s", "1m"),
        ("1M", "30d"),
        ("1Y", "365d"),
        ("1w", "168h"),
        ("1.5d", "36h"),
        ("1h30m", "90m"),
    ] {
        assert_eq!(duration(one).length_ms(), duration(other).length_ms(), "{one} and {other}");
    }
    assert_ne!(duration("1m").length_ms(), duration("1M").length_ms());
}

#[test]
fn bifrost_case_18_to_19_the_grammar_is_gos_and_a_few_units_more() {
    for good in [
        "30s", "1h30m", "250ms", "1.5h", "+1h", "1us1ms", "1h1h", ".5h", "1.d", "1d", "1.5d", "2w", "3M",
        "1Y", "0.5Y", "daily", "Weekly", "MONTHLY", "yearly", "292Y",
    ] {
        assert!(good.parse::<ResetDuration>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "abc",
        "0s",
        "0d",
        "0M",
        "-1d",
        "-1h",
        "1D",
        "1y",
        "1W",
        "1d12h",
        "1h1d",
        "1",
        "d",
        "M",
        "1 d",
        " 1d",
        "1d ",
        "1e3d",
        "1Q",
        "1.2.3d",
        ".d",
        ".",
        "1hh",
        "h1",
        "1ns",
        "999us",
        "300Y",
        "1d\0",
        "١d",
        "quarterly",
        "99999999999999999999d",
    ] {
        assert!(bad.parse::<ResetDuration>().is_err(), "{bad}");
    }
}

#[test]
fn a_duration_is_short_text_however_little_it_means() {
    let zeros = |count: usize| format!("{}1d", "0".repeat(count));
    assert_eq!(duration(&zeros(62)).length_ms(), duration("1d").length_ms());
    for long in [zeros(63), "1s".repeat(33), format!("1.{}d", "0".repeat(10_000))] {
        assert!(long.parse::<ResetDuration>().is_err(), "{} bytes", long.len());
    }
}
