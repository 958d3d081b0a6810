use domain::UsageSource;

use super::*;

const MILLI: u64 = 1_000_000;

fn usage(input: u64, output: u64, cached: u64) -> Usage {
    Usage { input, output, cached, cache_written: 0, source: UsageSource::Reported }
}

#[test]
fn an_operation_and_an_outcome_stand_where_the_lists_of_all_have_them() {
    for (at, operation) in Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, at);
    }
    for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, at);
    }
    for (at, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
}

#[test]
fn what_many_threads_note_adds_up() {
    let numbers = Numbers::default();
    std::thread::scope(|scope| {
        for _ in 0..2 * SHARDS {
            scope.spawn(|| {
                for _ in 0..100 {
                    numbers.ended(Operation::Messages, Outcome::LimitCut, &usage(7, 5, 2), 30 * MILLI);
                    numbers.refused(Measure::Concurrency);
                    numbers.turned_away(&Error::Overloaded);
                    numbers.forwarded(70_000);
                }
            });
        }
    });
    let totals = numbers.totals();
    let all = 200 * u64::try_from(SHARDS).unwrap();
    let counted: Vec<_> = totals.calls.iter().filter(|(.., count)| *count > 0).collect();
    assert_eq!(counted, [&(Operation::Messages, Outcome::LimitCut, all)]);
    assert_eq!(
        (totals.input_tokens, totals.output_tokens, totals.cached_tokens),
        (7 * all, 5 * all, 2 * all)
    );
    assert_eq!(totals.refused.last(), Some(&(Measure::Concurrency, all)));
    assert!(totals.turned_away.contains(&(Reason::Overloaded, all)));
    assert_eq!((totals.added.count(), totals.added.sum_ns), (all, 70_000 * all));
    assert_eq!(totals.added.counts[1], all, "from 50 to 100 microseconds");
}

#[test]
fn a_time_falls_into_the_first_bucket_that_it_is_not_longer_than() {
    let numbers = Numbers::default();
    for ns in [0, 10 * MILLI, 10 * MILLI + 1, 1_200_000 * MILLI, u64::MAX / 2] {
        numbers.answered(Operation::Embeddings, ns);
    }
    let totals = numbers.totals();
    let (_, histogram) = totals.first_byte.iter().find(|(of, _)| *of == Operation::Embeddings).unwrap();
    assert_eq!(
        (histogram.counts[0], histogram.counts[1], histogram.counts[14], histogram.counts[15]),
        (2, 1, 1, 1)
    );
    assert_eq!((histogram.count(), histogram.counts.len()), (5, histogram.bounds_ns.len() + 1));
    assert!(histogram.bounds_ns.is_sorted());
}

#[test]
fn every_measure_that_can_refuse_has_a_number() {
    let numbers = Numbers::default();
    for unit in [Unit::Second, Unit::Minute, Unit::Day] {
        for kind in [LimitType::Request, LimitType::Token] {
            numbers.refused(Measure::Use(kind, unit));
        }
    }
    for meter in [Meter::Requests, Meter::Tokens, Meter::Usd] {
        numbers.refused(Measure::Spend(meter));
    }
    numbers.refused(Measure::Concurrency);
    assert!(numbers.totals().refused.iter().all(|(_, count)| *count == 1));
}
